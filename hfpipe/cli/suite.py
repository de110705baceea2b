"""What ``hfpipe finetune`` prints at the end of a suite."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hfpipe.suites import SuiteDone

FILES = "leaderboard.html, leaderboard.csv, leaderboard.json, comparison.json, slices.json"


def show_suite(done: SuiteDone, hub: str | None, quiet: bool = False) -> None:
    """Print the leaderboard, what stacking came to, and what to do next.

    Raises:
        RunError: A cell failed.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    best = None
    for horizon, found in done.board["horizons"].items():
        if not quiet:
            console.print(_table(horizon, found))
        best = best or found["cells"][0]["model"]
        stacked = done.stacking.get(horizon)
        if stacked and not quiet:
            inside, outside = stacked["out_of_fold"], stacked["test"]
            name, single = f"stacking_{stacked['meta']}", stacked["best_single"]
            console.print(
                f"stacking {horizon}: out of fold {inside[name]:.4f}, best single {single} "
                f"{inside[single]:.4f}; on test {outside[name]:.4f}, {single} {outside[single]:.4f}"
            )
    console.print(f"wrote   {done.folder} ({FILES})", markup=False)
    if best:
        place = f" --hub {hub}" if hub and hub != os.environ.get("HFPIPE_HUB") else ""
        console.print(f"next:   open {done.folder / 'leaderboard.html'} in a browser", markup=False)
        console.print(f"        hfpipe evaluate {best}{place}", markup=False)
    done.raise_failed()


def _table(horizon: str, found: Mapping[str, Any]) -> Any:
    from rich.table import Table
    from rich.text import Text

    constant = _number(found["constant"]["test"])
    title = f"{horizon}: {found['metric']}; the mean of train has {constant}"
    table = Table(title=Text(title), title_justify="left")
    for name in ("cell", "validation", "test", "from the best"):
        table.add_column(name, justify="left" if name == "cell" else "right")
    for row in found["cells"]:
        percent = row["to_best_percent"]
        away = "-" if percent is None else f"{percent:.1f} %"
        table.add_row(row["cell"], _number(row["validation"]), _number(row["test"]), away)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
