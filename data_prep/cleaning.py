"""The steps that look at all rows at once: stale, filtered, conflicting and duplicate ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from data_prep.balancing import class_counts, rare_rows, resolve_labels, rows_over_cap
from data_prep.conflicts import find_conflicts, to_drop
from data_prep.corpus import Corpus
from data_prep.duplicates import exact_duplicates
from data_prep.ids import checked_ids
from data_prep.ledger import Ledger
from data_prep.lots import draw_order
from data_prep.options import PrepareOptions
from data_prep.reading import Engine
from data_prep.times import latest_rows, parse_times
from hfpipe.errors import UserError

#: Conflicts shown one by one.
SHOWN_CONFLICTS = 20


def open_ledger(corpus: Corpus, steps: dict[str, str]) -> Ledger:
    """The account as reading left it.

    Raises:
        UserError: No row has a text and a label.
    """
    ledger = Ledger(len(corpus.row_ids), len(corpus.bad_ids), steps)
    for reason in dict.fromkeys(corpus.reasons.tolist()):
        if reason is not None:
            ledger.drop(np.flatnonzero(corpus.reasons == reason), reason)
    if not len(ledger.kept()):
        dropped = ledger.dropped()
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        columns = ", ".join(f"'{name}'" for name in corpus.text)
        raise UserError(
            f"no row has both a text{f' in {columns}' if columns else ''} and a label "
            f"({reasons} of {ledger.rows_in} rows): check --text, --label, --where and --step"
        )
    return ledger


def settle_ids(corpus: Corpus, ledger: Ledger) -> None:
    """Ids of a column must differ among the rows that are left; others get a number."""
    if corpus.id_column is not None:
        old = int((corpus.pinned >= 0).sum()) if corpus.pinned is not None else 0
        corpus.row_ids = checked_ids(corpus.row_ids, ledger.kept(), corpus.id_column, old)


def drop_stale(corpus: Corpus, ledger: Ledger, options: PrepareOptions) -> None:
    """Of the rows with one key, only the latest stays; one of an earlier version counts as such."""
    if options.latest_by is None:
        return
    kept = ledger.kept()
    keys = {
        use: column.take(pa.array(kept))
        for use, column in corpus.notes.items()
        if use.startswith("key:")
    }
    times = parse_times(corpus.notes["latest"].take(pa.array(kept)), options.latest_by)
    if corpus.pinned is not None:
        last = np.inf if times.dtype.kind == "f" else np.iinfo(np.int64).max
        times = np.where(corpus.pinned[kept] >= 0, last, times)
    stale = kept[latest_rows(pa.table(keys), times, options.latest_by)]
    ledger.drop(_new(corpus, stale), "stale")


def drop_labels(corpus: Corpus, ledger: Ledger, options: PrepareOptions) -> list[str]:
    """Leave out the labels that were named; gives them as they are called."""
    if corpus.targets is not None or corpus.label is None:
        return []
    kept = ledger.kept()
    present = [corpus.label_names[code] for code in np.unique(corpus.labels[kept])]
    # Rows that are added need not have a label that was left out before.
    known = present if corpus.pinned is None else [*present, *options.drop_labels]
    unwanted = resolve_labels(options.drop_labels, known)
    codes = [corpus.label_names.index(name) for name in unwanted if name in present]
    ledger.drop(_new(corpus, kept[np.isin(corpus.labels[kept], codes)]), "dropped_label")
    check_classes(corpus, ledger)
    return unwanted


def drop_conflicts(corpus: Corpus, ledger: Ledger, options: PrepareOptions) -> dict[str, Any]:
    """Find texts that stand with several labels; drop their rows where that was asked for.

    Returns:
        What was found, for the record.
    """
    kept = ledger.kept()
    if corpus.targets is not None or corpus.label is None or not corpus.text:
        return {}
    labels = corpus.labels[kept]
    found = find_conflicts(corpus.keys[kept], labels)
    shown = found.groups[:SHOWN_CONFLICTS]
    firsts = corpus.texts(kept[[group[0] for group in shown]]) if shown else []
    record = {
        "texts": found.texts,
        "rows": found.rows,
        "policy": options.conflicts,
        "examples": [
            {
                "text": text[:200],
                "labels": class_counts([corpus.label_names[labels[place]] for place in group]),
            }
            for text, group in zip(firsts, shown, strict=True)
        ],
    }
    if options.conflicts != "report":
        rows = to_drop(found, labels, options.conflicts)
        ledger.drop(_new(corpus, kept[rows]), "conflicting_label")
        check_classes(corpus, ledger)
    return record


def drop_duplicates(
    corpus: Corpus,
    ledger: Ledger,
    options: PrepareOptions,
    engine: Engine,
    advance: Callable[[int], None],
) -> None:
    """Exact duplicates first, then near-duplicates; the earlier row stays."""
    kept = ledger.kept()
    ledger.drop(_new(corpus, kept[exact_duplicates(corpus.keys[kept])]), "exact_duplicate")
    if corpus.text:
        kept = ledger.kept()
        marks = engine.near_duplicates(corpus, kept, options, advance)
        ledger.drop(kept[marks], "near_duplicate")


def balance(corpus: Corpus, ledger: Ledger, options: PrepareOptions) -> None:
    """Leave out small classes, and cut large ones."""
    if corpus.targets is not None or corpus.label is None:
        return
    kept = ledger.kept()
    rare = rare_rows(corpus.labels[kept], options.min_count)
    ledger.drop(_new(corpus, kept[rare]), "rare_label")
    check_classes(corpus, ledger)
    if options.reduce_majority_to is None and options.cap is None:
        return
    kept = ledger.kept()
    order = draw_order(corpus.row_ids.take(pa.array(kept)), options.seed, "cap")
    if corpus.pinned is not None:  # rows that stay are counted first
        order = order[np.argsort(corpus.pinned[kept][order] < 0, kind="stable")]
    over = rows_over_cap(corpus.labels[kept], order, options.reduce_majority_to, options.cap)
    ledger.drop(_new(corpus, kept[over]), "majority_cap")


def check_classes(corpus: Corpus, ledger: Ledger) -> None:
    """Refuse what no classifier can learn from.

    Raises:
        UserError: No row is left, or one class only.
    """
    kept = ledger.kept()
    reasons = ", ".join(f"{count} {reason}" for reason, count in ledger.dropped().items())
    after = f" (dropped: {reasons})" if reasons else ""
    if not len(kept):
        raise UserError(
            f"no rows are left of {ledger.rows_in}{after}: check --drop-labels, --min-count, "
            "--conflicts and --step"
        )
    if corpus.targets is not None or corpus.label is None:
        return
    classes = np.unique(corpus.labels[kept])
    if len(classes) == 1:
        only = corpus.label_names[classes[0]]
        raise UserError(
            f"column '{corpus.label}' has one class only, '{only}'{after}: a classifier needs "
            "two or more; check --label, --drop-labels and --min-count"
        )


def _new(corpus: Corpus, positions: np.ndarray) -> np.ndarray:
    """Those of the rows that no earlier version of the dataset has: its rows stay."""
    if corpus.pinned is None:
        return positions
    return positions[corpus.pinned[positions] < 0]
