"""The verdict of the whole audit, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hfpipe.reports.words import count, listed

SENTENCES = {
    "ok": "no check found a problem.",
    "warn": "something is worth a look before results are believed.",
    "fail": "results measured on these splits would not hold.",
}
WAYS = {
    "fail": "failed",
    "warn": "gave a warning",
    "ok": "found nothing",
    "skipped": "could not be made",
}


def sentence(audit: Mapping[str, Any]) -> str:
    """What the verdict means.

    >>> sentence({"verdict": "ok"})
    'no check found a problem.'
    """
    return SENTENCES[audit["verdict"]]


def tally(audit: Mapping[str, Any]) -> str:
    """How many checks came to which verdict.

    >>> tally({"findings": [{"verdict": "fail"}, {"verdict": "ok"}]})
    'Of 2 checks, 1 failed and 1 found nothing.'
    """
    verdicts = Counter(found["verdict"] for found in audit["findings"])
    said = [f"{verdicts[name]} {way}" for name, way in WAYS.items() if verdicts[name]]
    return f"Of {count(len(audit['findings']), 'check')}, {listed(said)}."
