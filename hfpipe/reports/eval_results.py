"""``.eval_results/*.yaml``: the scores of a model repo in the Hub's own format.

The Hub shows them on the model's page and, where the dataset is a benchmark, on its leaderboard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hfpipe.reports import words
from hfpipe.reports.decisions import calibration_method, threshold_words
from hfpipe.reports.kinds import primary, shown
from hfpipe.reports.uncertainty import bracketed

FOLDER = ".eval_results"
COMMIT = re.compile(r"[0-9a-f]{40}")


def eval_results_files(record: Mapping[str, Any], *, date: str) -> dict[str, bytes]:
    """The files to push with a model, or none where there is nothing to tell the Hub.

    The first entry is the metric that decides; the others follow, each named in its notes.

    Args:
        record: The evaluation record as a dict.
        date: When it was evaluated, as ISO-8601 has it.

    Returns:
        Path in the repo to content. A local file, rows without labels and a split without a name
        have no entry.

    >>> record = {"dataset": "ada/spam", "split": "test", "n": 2, "metrics": {"accuracy": 0.5}}
    >>> files = eval_results_files(record, date="2026-11-21")
    >>> print(*files, files[".eval_results/ada--spam-test.yaml"].decode())
    .eval_results/ada--spam-test.yaml - dataset:
        id: ada/spam
        task_id: test
      value: 0.5
      date: '2026-11-21'
      notes: Accuracy on 2 rows
    <BLANKLINE>
    """
    dataset, split = record.get("dataset"), record.get("split")
    entries = _entries(record, date) if split and _is_repo_id(dataset) else []
    if not entries:
        return {}
    told = eval_result_entries_to_yaml(entries)
    content = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=10_000)
    return {f"{FOLDER}/{_slug(str(dataset))}-{_slug(str(split))}.yaml": content.encode()}


def _entries(record: Mapping[str, Any], date: str) -> list[EvalResultEntry]:
    metrics = record["metrics"]
    names = dict.fromkeys([primary(metrics), *shown(metrics)])
    revision = str(record.get("dataset_revision") or "")
    return [
        EvalResultEntry(
            dataset_id=str(record["dataset"]),
            task_id=str(record["split"]),
            value=metrics[name],
            dataset_revision=revision if COMMIT.fullmatch(revision) else None,
            date=date,
            notes=_notes(record, name),
        )
        for name in names
        if record.get("n") and metrics.get(name) is not None
    ]


def _notes(record: Mapping[str, Any], name: str) -> str:
    """The metric and all that is needed to read its value."""
    told = f"{words.title(name)}{bracketed(record, name)} on {words.count(record['n'], 'row')}"
    more = [threshold_words(record), _calibrated(record)]
    return "; ".join([told, *filter(None, more)])


def _calibrated(record: Mapping[str, Any]) -> str:
    method = calibration_method(record)
    return f"calibrated by {method}" if method else ""


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.replace("/", "--"))


def _is_repo_id(name: object) -> bool:
    """Whether it is ``namespace/name``, as the Hub has it; the path of a local file is not."""
    try:
        validate_repo_id(str(name))
    except HFValidationError:
        return False
    return name is not None and "/" in str(name)
