"""The audit on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hfpipe.reports.rendering import CONTROL
from hfpipe.reports.words import number, shortened

COLOURS = {"fail": "bold red", "warn": "yellow", "ok": "green", "skipped": "dim"}
#: Examples of each problem, and characters of a text.
SHOWN, CHARACTERS = 2, 100


def print_audit(console: Console, audit: Mapping[str, Any]) -> None:
    """Print a line a check, then for each problem what to do and the worst examples.

    Args:
        console: Where to.
        audit: From :func:`data_prep.audit.audit`.
    """
    table = Table(title="Audit", title_justify="left")
    table.add_column("check", overflow="fold")
    table.add_column("verdict")
    table.add_column("found", overflow="fold")
    for found in audit["findings"]:
        colour = COLOURS[found["verdict"]]
        said = f"[{colour}]{found['verdict']}[/]"
        table.add_row(_safe(found["title"]), said, _safe(found["figure"]))
    console.print(table)
    for found in audit["findings"]:
        if found["verdict"] in ("fail", "warn"):
            _print_problem(console, found)


def _print_problem(console: Console, found: Mapping[str, Any]) -> None:
    title = f"[{COLOURS[found['verdict']]}]{_safe(found['title'])}[/]"
    console.print(f"{title}: {_safe(found['advice'])}", highlight=False)
    for row in found["examples"][:SHOWN]:
        console.print(f"  {_safe(_example(row))}", highlight=False)


def _example(row: Mapping[str, Any]) -> str:
    facts = [
        f"{name.replace('_', ' ')} {number(value)}"
        for name, value in row.items()
        if name not in ("row_id", "split", "text", "train_text") and value is not None
    ]
    text = shortened(row["text"], CHARACTERS)
    return f"{row['row_id']} ({', '.join([row['split'], *facts])}): {text}"


def _safe(value: object) -> str:
    return escape(CONTROL.sub("\ufffd", str(value)))
