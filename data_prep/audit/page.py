"""``audit.html``: the audit on one page that needs no network and no script."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from data_prep.audit.auditing import all_checks
from data_prep.audit.card import VERDICTS
from hfpipe.reports.rendering import render_page

STANDINGS = {"ok": "better", "warn": "unclear", "fail": "worse"}


def audit_page(audit: dict[str, Any], record: dict[str, Any]) -> str:
    """The page.

    Args:
        audit: From :func:`data_prep.audit.audit`.
        record: The content of ``prepare.json``.

    Returns:
        Self-contained HTML; every text of rows, labels and columns is escaped.
    """
    return render_page(
        "audit.html.jinja",
        audit=audit,
        record=record,
        standing=STANDINGS[audit["verdict"]],
        verdict=VERDICTS[audit["verdict"]],
        sections=[{**found, "plots": _plots(found)} for found in audit["findings"]],
    )


def _plots(found: dict[str, Any]) -> list[Markup]:
    draw = getattr(all_checks().get(found["check"]), "plots", None)
    if draw is None or found["verdict"] == "skipped":
        return []
    return list(draw(found["numbers"]))
