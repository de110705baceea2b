"""The printed account: rows in, kept and dropped by reason; classes before and after; splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data_prep.splitting import SPLITS
from hfpipe.rows.records import BadRow

#: Bad lines and classes printed one by one; the rest is counted.
SHOWN_LINES = 10
SHOWN_CLASSES = 60
SHOWN_CONFLICTS = 3


def print_account(
    console: Console, record: dict[str, Any], bad: Sequence[BadRow], words: Mapping[str, str]
) -> None:
    """Print what became of the rows.

    Args:
        console: Where to.
        record: The content of ``prepare.json``.
        bad: Lines that were dropped because they are not rows.
        words: Every reason for dropping a row, in words.
    """
    counts = record["counts"]
    for row in bad[:SHOWN_LINES]:
        console.print(f"dropped {row.file}: line {row.line}: {row.reason}", markup=False)
    units = counts.get("units") or []
    first = units[0] if units else counts  # lines that are no rows are of the input's unit
    more = first["dropped"].get("malformed", 0) - SHOWN_LINES
    if more > 0:
        console.print(f"dropped {more:,} more malformed rows")
    if units:
        console.print(units_line(units), markup=False)
    console.print(rows_table(counts, words))
    if counts["per_class"]:
        console.print(classes_table(counts["per_class"]))
    _print_conflicts(console, record.get("conflicts") or {})
    if record["clusters_kept_together"]:
        clusters = record["clusters_kept_together"]
        console.print(f"{clusters:,} clusters of near-duplicates, each kept in one split")


def rows_table(counts: dict[str, Any], words: Mapping[str, str]) -> Table:
    """Rows in, dropped by reason, kept, and in each split."""
    table = Table(title="Rows", title_justify="left")
    table.add_column("rows")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    rewritten = counts.get("rewritten") or {}
    dropped = counts["dropped"]
    table.add_row("in", f"{counts['in']:,}", "", end_section=not (dropped or rewritten))
    for step, count in rewritten.items():
        table.add_row(f"changed: {step}", f"{count:,}", _share(count, counts["in"]))
    for reason, count in dropped.items():
        said = f"dropped: {reason} ({words[reason]})"
        table.add_row(said, f"{count:,}", _share(count, counts["in"]))
    table.add_section()
    table.add_row(
        "kept", f"{counts['kept']:,}", _share(counts["kept"], counts["in"]), end_section=True
    )
    for split in SPLITS:
        rows = counts["splits"][split]
        table.add_row(split, f"{rows:,}", _share(rows, counts["kept"]))
    for fold, rows in enumerate(counts.get("folds") or []):
        table.add_row(f"fold {fold}", f"{rows:,}", _share(rows, counts["kept"]))
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


def _print_conflicts(console: Console, conflicts: dict[str, Any]) -> None:
    if not conflicts.get("texts"):
        return
    treated = {
        "report": "the first row of each stays; see --conflicts",
        "drop": "all of them were dropped",
        "majority": "the most frequent label of each was kept",
    }
    console.print(
        f"texts with several labels: {conflicts['texts']:,} ({conflicts['rows']:,} rows); "
        f"{treated[conflicts['policy']]}"
    )
    for example in conflicts["examples"][:SHOWN_CONFLICTS]:
        labels = ", ".join(f"{label} ({count})" for label, count in example["labels"].items())
        console.print(f"  {labels}: {example['text'][:100]!r}", markup=False)


def units_line(units: Sequence[Mapping[str, Any]]) -> str:
    """How rows became rows of another unit, on one line.

    >>> first = {"unit": "rows read", "in": 5, "dropped": {"empty_list": 1}, "kept": 4}
    >>> units_line([first, {"unit": "items of m", "in": 1900, "dropped": {}, "kept": 1900}])
    'regrouped: 5 rows read (dropped: 1 empty_list) → 1,900 items of m'
    """
    said = []
    for unit in units:
        lost = ", ".join(f"{count:,} {reason}" for reason, count in unit["dropped"].items())
        said.append(f"{unit['in']:,} {unit['unit']}" + (f" (dropped: {lost})" if lost else ""))
    return f"regrouped: {' → '.join(said)}"


def _share(part: int, whole: int) -> str:
    if not whole:
        return ""
    return "< 0.1%" if 0 < part / whole < 0.0005 else f"{part / whole:.1%}"
