"""The audit on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hfpipe.reports.rendering import CONTROL

COLOURS = {"fail": "bold red", "warn": "yellow", "ok": "green", "skipped": "dim"}
#: Examples of one finding, and of all.
SHOWN, SHOWN_IN_ALL = 2, 8


def print_audit(console: Console, audit: dict[str, Any]) -> None:
    """Print a line a check, then the worst examples.

    Args:
        console: Where to.
        audit: From :func:`data_prep.audit.audit`.
    """
    table = Table(title="Audit", title_justify="left")
    table.add_column("check")
    table.add_column("verdict")
    table.add_column("found", overflow="fold")
    for found in audit["findings"]:
        colour = COLOURS[found["verdict"]]
        table.add_row(
            _safe(found["title"]),
            f"[{colour}]{found['verdict']}[/]",
            _safe(found["figure"]),
        )
    console.print(table)
    for line in list(_examples(audit))[:SHOWN_IN_ALL]:
        console.print(line, highlight=False, soft_wrap=False)


def _examples(audit: dict[str, Any]) -> Iterator[str]:
    for found in audit["findings"]:
        if found["verdict"] in ("ok", "skipped"):
            continue
        for row in found["examples"][:SHOWN]:
            facts = ", ".join(
                f"{name.replace('_', ' ')} {value}"
                for name, value in row.items()
                if name not in ("text", "train_text", "row_id") and value is not None
            )
            where = f" {row['row_id']}" if "row_id" in row else ""
            text = f": {row['text']}" if row.get("text") else ""
            yield f"[dim]{_safe(found['title'])}:[/]{_safe(where)} ({_safe(facts)}){_safe(text)}"


def _safe(value: object) -> str:
    return escape(CONTROL.sub("\ufffd", str(value)))
