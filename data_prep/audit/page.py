"""``audit.html``: the audit on one page that needs no network and no script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from data_prep.audit.auditing import all_checks
from data_prep.audit.verdict import sentence, tally
from hfpipe.reports.rendering import render_page
from hfpipe.reports.words import listed

STANDINGS = {"ok": "better", "warn": "unclear", "fail": "worse"}
#: How shares and counts are written in tables.
SHARE = re.compile(r"none|n/a|(< )?[\d.]+ %|[\d,]+")
#: What examples show in their first cell.
IN_FIRST_CELL = {"row_id", "text", "split", "train_row_id", "train_text"}


def audit_page(audit: dict[str, Any], record: dict[str, Any]) -> str:
    """Write the page.

    Args:
        audit: From :func:`data_prep.audit.audit`.
        record: The content of ``prepare.json``; may be empty.

    Returns:
        Self-contained HTML; every text of rows, labels and columns is escaped.
    """
    text = record.get("text") or []
    return render_page(
        "audit.html.jinja",
        title="Audit of the splits",
        audit=audit,
        columns={
            "text": listed([str(name) for name in text]) if isinstance(text, list) else str(text),
            "label": record.get("label"),
        },
        standing=STANDINGS[audit["verdict"]],
        verdict=sentence(audit),
        tally=tally(audit),
        sections=[_section(found) for found in audit["findings"]],
        provenance=_provenance(audit, record),
    )


def _section(found: dict[str, Any]) -> dict[str, Any]:
    """A finding with its plots and the columns of its examples."""
    check = all_checks().get(found["check"])
    about = " ".join(((check and check.__doc__) or "").split("\n\n")[0].split())
    names = found["examples"][0] if found["examples"] else {}
    return {
        **found,
        "about": about,
        "tables": [{**table, "numeric": _numeric(table["rows"])} for table in found["tables"]],
        "plots": _plots(found),
        "shown": [name for name in names if name not in IN_FIRST_CELL],
    }


def _numeric(rows: list[list[Any]]) -> list[bool]:
    """Which columns of a table are numbers or shares, and stand on the right."""
    return [
        all(
            value is None or isinstance(value, (int, float)) or SHARE.fullmatch(str(value))
            for value in column
        )
        for column in zip(*rows, strict=True)
    ]


def _plots(found: dict[str, Any]) -> list[Markup]:
    draw = getattr(all_checks().get(found["check"]), "plots", None)
    if draw is None or found["verdict"] == "skipped":
        return []
    return list(draw(found["numbers"]))


def _provenance(audit: Mapping[str, Any], record: Mapping[str, Any]) -> list[tuple[str, str]]:
    made_with = record.get("provenance") or {}
    facts = [
        (str(file.get("file")), f"{int(file.get('rows') or 0):,} rows, sha256 {file.get('sha256')}")
        for file in record.get("inputs") or []
    ]
    if made_with.get("command"):
        facts.append(("Command", str(made_with["command"])))
    if made_with.get("hfpipe"):
        facts.append(("hfpipe", str(made_with["hfpipe"])))
    said = f"seed {audit['seed']}, {audit['sample_rows']:,} rows at most"
    return [*facts, ("Samples of the checks that fit models", said)]
