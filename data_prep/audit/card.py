"""The audit as a section of the dataset card."""

from __future__ import annotations

from typing import Any

from hfpipe.reports.rendering import text

VERDICTS = {
    "ok": "No check found a problem.",
    "warn": "Something is worth a look before results are believed.",
    "fail": "Results measured on these splits would not hold.",
}


def audit_section(audit: dict[str, Any]) -> str:
    """The audit in Markdown, for the card's ``extra_sections``; every text is escaped.

    Args:
        audit: From :func:`data_prep.audit.audit`.

    Returns:
        A section with its heading.
    """
    lines = [
        "## Audit",
        "",
        f"**{audit['verdict']}**: {VERDICTS[audit['verdict']]}",
        "",
        "| Check | Verdict | Found |",
        "|---|---|---|",
    ]
    lines += [
        f"| {text(found['title'])} | {found['verdict']} | {text(found['figure'])} |"
        for found in audit["findings"]
    ]
    return "\n".join(lines) + "\n"
