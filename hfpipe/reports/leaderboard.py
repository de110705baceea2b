"""``leaderboard.html``: all cells of a suite on one page, without a script or a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hfpipe.files import write_text
from hfpipe.reports.rendering import render_page


def write_leaderboard(
    path: str | Path,
    board: Mapping[str, Any],
    comparison: Mapping[str, Any],
    slices: Mapping[str, Any],
    runs: Mapping[str, Any],
    stacking: Mapping[str, Any],
) -> Path:
    """Write the page, whole or not at all; the arguments are the suite's JSON files.

    Args:
        path: Where the page will be.
        board: ``leaderboard.json``.
        comparison: ``comparison.json``.
        slices: ``slices.json``.
        runs: ``runs.json``.
        stacking: Horizon to ``stacking/<horizon>/metrics.json``.

    Returns:
        The path.
    """
    page = render_page(
        "leaderboard.html.jinja",
        title=f"Leaderboard of {board['suite']}",
        board=board,
        comparison=comparison,
        slices={name: list(_slice_rows(found, board, name)) for name, found in slices.items()},
        runs=runs,
        stacking=stacking,
    )
    return write_text(path, page)


def _slice_rows(
    cells: Mapping[str, Any], board: Mapping[str, Any], horizon: str
) -> Iterator[dict[str, Any]]:
    """A row a cell and value, the cells in the order of the board."""
    found = board["horizons"][horizon]
    for row in found["cells"]:
        for column, values in cells[row["cell"]].items():
            for value, metrics in values.items():
                yield {
                    "cell": row["cell"],
                    "slice": column if column == value else f"{column} = {value}",
                    "n": metrics["n"],
                    "score": metrics.get(found["metric"]),
                    "weights": {
                        name.partition(".")[2]: number
                        for name, number in metrics.items()
                        if name.startswith("gate_weight.")
                    },
                }
