"""The audit as a section of the dataset card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_prep.audit.verdict import sentence, tally
from hfpipe.reports.rendering import text


def audit_section(audit: Mapping[str, Any]) -> str:
    """Write the audit in Markdown, for the card's ``extra_sections``; every text is escaped.

    Args:
        audit: From :func:`data_prep.audit.audit`.

    Returns:
        A section with its heading.
    """
    lines = [
        "## Audit",
        "",
        f"**{audit['verdict']}**: {sentence(audit)} {tally(audit)}",
        "",
        "| Check | Verdict | Found |",
        "|---|---|---|",
    ]
    lines += [
        f"| {text(found['title'])} | {found['verdict']} | {text(found['figure'])} |"
        for found in audit["findings"]
    ]
    return "\n".join(lines) + "\n"
