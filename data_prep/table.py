"""The printed account: rows in, kept and dropped by reason; classes before and after; splits."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_prep.ledger import REASONS
from data_prep.splitting import SPLITS
from hfpipe.rows.records import BadRow

#: Bad lines and classes printed one by one; the rest is counted.
SHOWN_LINES = 10
SHOWN_CLASSES = 60


def print_account(console: Console, record: dict[str, Any], bad: list[BadRow]) -> None:
    """Print what became of the rows.

    Args:
        console: Where to.
        record: The content of ``prepare.json``.
        bad: Lines that were dropped because they are not rows.
    """
    for row in bad[:SHOWN_LINES]:
        console.print(f"dropped {row.file}: line {row.line}: {row.reason}", markup=False)
    if len(bad) > SHOWN_LINES:
        console.print(f"dropped {len(bad) - SHOWN_LINES:,} more malformed rows")
    console.print(rows_table(record["counts"]))
    console.print(classes_table(record["counts"]["per_class"]))


def rows_table(counts: dict[str, Any]) -> Table:
    """Rows in, dropped by reason, kept, and in each split."""
    table = Table(title="Rows", title_justify="left")
    table.add_column("rows")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    table.add_row("in", f"{counts['in']:,}", "", end_section=not counts["dropped"])
    for reason, count in counts["dropped"].items():
        said = f"dropped: {reason} ({REASONS[reason]})"
        table.add_row(said, f"{count:,}", _share(count, counts["in"]))
    table.add_section()
    table.add_row(
        "kept", f"{counts['kept']:,}", _share(counts["kept"], counts["in"]), end_section=True
    )
    for split in SPLITS:
        rows = counts["splits"][split]
        table.add_row(split, f"{rows:,}", _share(rows, counts["kept"]))
    return table


def classes_table(per_class: dict[str, dict[str, int]]) -> Table:
    """Rows a class, before and after, and in each split; the largest classes first."""
    table = Table(title="Classes", title_justify="left")
    table.add_column("label", overflow="fold")
    columns = ("before", "after", *SPLITS)
    for column in columns:
        table.add_column(column, justify="right")
    largest_first = sorted(per_class.items(), key=lambda item: (-item[1]["before"], item[0]))
    for label, counts in largest_first[:SHOWN_CLASSES]:
        table.add_row(escape(label), *(f"{counts[column]:,}" for column in columns))
    rest = [counts for _, counts in largest_first[SHOWN_CLASSES:]]
    if rest:
        sums = (sum(counts[column] for counts in rest) for column in columns)
        table.add_row(f"({len(rest)} more classes)", *(f"{rows:,}" for rows in sums))
    return table


def _share(part: int, whole: int) -> str:
    if not whole:
        return ""
    return "< 0.1%" if 0 < part / whole < 0.0005 else f"{part / whole:.1%}"
