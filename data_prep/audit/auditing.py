"""Run every check and put what they find in order of gravity."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from data_prep.audit import checks
from data_prep.audit.finding import VERDICTS, plain, skipped, worst
from data_prep.audit.given import AuditInput
from data_prep.splitting import SPLITS
from hfpipe.folders import module_names
from hfpipe.reports.words import listed


@cache
def all_checks() -> dict[str, ModuleType]:
    """The modules of the folder ``checks`` by name, in the order they say.

    >>> list(all_checks())[:2]
    ['exact_duplicates', 'near_duplicates']
    """
    names = module_names(checks.__path__)
    modules = {name: import_module(f"{checks.__name__}.{name}") for name in names}
    return dict(sorted(modules.items(), key=lambda item: (item[1].ORDER, item[0])))


def audit(given: AuditInput, advance: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """Look for what makes results of a split untrue.

    Args:
        given: The kept rows.
        advance: Told after each check how many more rows that makes, as if every check had its
            share of them; ``len(given.splits)`` in all.

    Returns:
        A JSON-ready dict, the same for the same rows: ``verdict`` (the gravest), ``summary``
        (one line a finding), ``splits`` (rows), ``findings`` (the gravest first).
    """
    findings = []
    shares = np.diff(np.linspace(0, len(given.splits), len(all_checks()) + 1).astype(np.int64))
    for (name, module), share in zip(all_checks().items(), shares.tolist(), strict=True):
        found = skipped(given.skip[name]) if name in given.skip else module.check(given)
        findings.append({"check": name, "title": module.TITLE, **found})
        advance(share)
    findings.sort(key=lambda found: VERDICTS.index(found["verdict"]))
    return plain(
        {
            "verdict": worst([found["verdict"] for found in findings]),
            "summary": _summary(findings),
            "splits": dict(zip(SPLITS, given.split_sizes, strict=True)),
            "seed": given.seed,
            "sample_rows": given.sample_rows,
            "findings": findings,
        }
    )


def _summary(findings: list[dict[str, Any]]) -> list[str]:
    """A line for each problem, one for what is in order and one for what was not looked at."""
    lines = [
        f"{found['verdict']}: {found['title']}: {found['figure']}"
        for found in findings
        if found["verdict"] in ("fail", "warn")
    ]
    for verdict in ("ok", "skipped"):
        titles = [found["title"].lower() for found in findings if found["verdict"] == verdict]
        if titles:
            lines.append(f"{verdict}: {listed(titles)}")
    return lines
