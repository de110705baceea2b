"""Rows added to an earlier version of a dataset: one account and one manifest of both."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_prep.corpus import Corpus
from data_prep.dividing import Division
from data_prep.earlier import Earlier
from data_prep.ledger import Ledger
from data_prep.writing import manifest


def mark_known(corpus: Corpus, earlier: Earlier) -> None:
    """Give a reason to new rows that the earlier version has kept or dropped; keep its own rows."""
    assert corpus.pinned is not None
    corpus.reasons[corpus.pinned >= 0] = None
    known = earlier.knows(corpus.row_ids) & (corpus.pinned < 0)
    corpus.reasons[known] = "already_there"
    ids = set(earlier.manifest.column("row_id").to_pylist())
    corpus.bad_ids = [row_id for row_id in corpus.bad_ids if row_id not in ids]


def add_to_record(record: dict[str, Any], earlier: Earlier, ledger: Ledger) -> dict[str, Any]:
    """The record of old and new rows together.

    Rows that were there are counted once; ``added`` says what this run brought.
    """
    old = earlier.record["counts"]
    counts = record["counts"]
    there = counts["dropped"].pop("already_there", 0)
    before = Counter(earlier.dropped().column("reason").to_pylist())
    brought = counts["in"] - there - old["kept"]
    words = list(ledger.words)
    dropped = Counter(counts["dropped"]) + before
    record["counts"] = {
        **counts,
        "in": counts["in"] - there + sum(before.values()),
        "dropped": {reason: dropped[reason] for reason in words if dropped[reason]},
    }
    for label, row in old["per_class"].items():
        fresh = record["counts"]["per_class"].setdefault(label, dict.fromkeys(row, 0))
        fresh["before"] += row["before"] - row["after"]
    record["added"] = {
        "to": earlier.revision,
        "rows": brought,
        "kept": counts["kept"] - old["kept"],
        "already_there": there,
    }
    known = {each["sha256"] for each in earlier.record["inputs"]}
    fresh = [each for each in record["inputs"] if each["sha256"] not in known]
    record["inputs"] = [*earlier.record["inputs"], *fresh]
    return record


def whole_manifest(
    corpus: Corpus, ledger: Ledger, division: Division, earlier: Earlier | None
) -> pa.Table:
    """The fate of every row, those of earlier versions included."""
    rows = manifest(corpus, ledger, division)
    if earlier is None:
        return rows
    there = pc.fill_null(pc.equal(rows.column("reason"), "already_there"), False)
    fresh = rows.filter(pc.invert(there))
    old = earlier.dropped().select(rows.column_names).cast(rows.schema)
    return pa.concat_tables([fresh, old]).sort_by("row_id")
