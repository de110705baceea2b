"""An evaluation's results put into the model's repo, in one commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from hfpipe.evaluation.predictions import json_line
from hfpipe.evaluation.record import EvaluationRecord
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import Published, publish

FOLDER = "hfpipe/evaluation"
"""In the model's repo; a folder a split."""


def result_files(record: EvaluationRecord, rows: Iterable[Mapping[str, Any]]) -> dict[str, bytes]:
    """Record and predictions by their paths in the repo.

    What the model was shown stays out: a model is often more public than its test rows.
    """
    folder = f"{FOLDER}/{record.split}"
    told = json.dumps(record.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    lines = [json_line({name: row[name] for name in row if name != "inputs"}) for row in rows]
    return {
        f"{folder}/metrics.json": f"{told}\n".encode(),
        f"{folder}/predictions.jsonl": "".join(lines).encode(),
    }


def push_results(
    endpoint: Endpoint,
    record: EvaluationRecord,
    rows: Iterable[Mapping[str, Any]],
    others: Mapping[str, bytes],
) -> Published:
    """Push all of them in one commit.

    Args:
        endpoint: The Hub.
        record: Of a dataset's split.
        rows: Of ``predictions.jsonl``.
        others: Card and ``.eval_results``, by their paths.

    Raises:
        UserError: See ``hfpipe.hub.repos.hub_errors``.
        RunError: The Hub failed; the repo is as it was.
    """
    files = {**result_files(record, rows), **others}
    message = f"Evaluate on {record.dataset}, split {record.split}"
    return publish(endpoint, record.model, "model", files, message)


def today() -> str:
    """The date of now, as ``.eval_results`` wants it."""
    return datetime.now(UTC).date().isoformat()
