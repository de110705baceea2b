"""Read all inputs, chunk by chunk, into one corpus: rows to disk, facts to memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from data_prep.corpus import Corpus, Counted, LabelCodes
from data_prep.finding import flat_name, message_paths
from data_prep.ids import numbered
from data_prep.options import PrepareOptions, check_inputs
from data_prep.rowwise import RowPlan, WorkedRows, work_rows
from data_prep.settling import no_rows, settled_plan
from data_prep.spool import Batches, Spool
from data_prep.terms import TermCounter
from data_prep.wanted import check_columns
from hfpipe.errors import UserError
from hfpipe.rows.columns import column_paths
from hfpipe.rows.reading import read_chunks
from hfpipe.rows.records import BadRow, FileRows
from hfpipe.rows.sources import Source

if TYPE_CHECKING:
    from data_prep.earlier import Earlier

#: Bad lines kept with their reason; of the others only the id is kept.
LISTED = 100


class Engine(Protocol):
    """Where the work on the rows is done: in this process, or on a cluster."""

    @property
    def batches(self) -> Batches:
        """The rows that have been worked."""

    @property
    def counter(self) -> Counted:
        """Their terms."""

    def worked(
        self,
        sources: Sequence[Source],
        plans: Sequence[RowPlan],
        advance: Callable[[int], None],
    ) -> Iterator[Worked]:
        """Read and work all chunks, in the order of the input; the rows go to ``batches``."""

    def near_duplicates(
        self,
        corpus: Corpus,
        kept: np.ndarray,
        options: PrepareOptions,
        advance: Callable[[int], None],
    ) -> np.ndarray:
        """Mark the near-duplicates among the rows at ``kept``."""

    def near_clusters(self, corpus: Corpus, kept: np.ndarray, threshold: float) -> np.ndarray:
        """The cluster of near-duplicates of each of the rows at ``kept``."""


@dataclass
class Worked:
    """What a chunk tells about itself; its rows lie in the engine's batches.

    Attributes:
        source: Place of the input among the inputs.
        columns: Names of the columns as read, joined ones included.
        rows: The facts. ``table`` has no rows any more.
        bad: Lines of the chunk that are no rows.
    """

    source: int
    columns: list[str]
    rows: WorkedRows
    bad: list[BadRow]
    bad_digests: list[str]


@dataclass
class _Gathered:
    """Facts of the chunks so far."""

    labels: LabelCodes = field(default_factory=LabelCodes)
    ids: list[pa.Array] = field(default_factory=list)
    reasons: list[np.ndarray] = field(default_factory=list)
    keys: list[np.ndarray] = field(default_factory=list)
    lengths: list[np.ndarray] = field(default_factory=list)
    targets: list[np.ndarray] = field(default_factory=list)
    notes: dict[str, list[pa.Array]] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    bad_digests: list[str] = field(default_factory=list)
    rewritten: Counter[str] = field(default_factory=Counter)


def read_corpus(
    sources: Sequence[Source],
    options: PrepareOptions,
    plan: RowPlan,
    engine: Engine,
    earlier: Earlier | None = None,
    advance: Callable[[int], None] = lambda size: None,
) -> tuple[Corpus, RowPlan]:
    """Read every input.

    Args:
        sources: The inputs.
        options: What was asked for; says how many bad lines may be dropped.
        plan: What to do with each row.
        engine: Does it.
        earlier: The version of the dataset that the rows are added to; its rows come first.
        advance: Told how many bytes have been read.

    Returns:
        The rows, and the plan as it was settled by the first of them.

    Raises:
        UserError: A file is missing or damaged, has too many bad lines or lacks a column; two
            rows have one id; there are no rows.
    """
    plan = settled_plan(sources, plan)
    check_inputs(replace(options, text=list(plan.text)))
    old = earlier.sources if earlier is not None else []
    plans = [*(earlier.plan(plan) for _ in old if earlier is not None), *(plan for _ in sources)]
    everything = [*old, *sources]
    gathered = _Gathered()
    columns: list[set[str]] = [set() for _ in everything]
    counts = [0] * len(everything)
    for index, chunks in groupby(
        engine.worked(everything, plans, advance), key=attrgetter("source")
    ):
        for chunk in chunks:
            columns[index].update(chunk.columns)
            counts[index] += len(chunk.rows.reasons) + len(chunk.bad_digests)
            _gather(gathered, chunk, plan)
        gathered.labels.end_file()
    first = len(old)
    limit_bad_rows(gathered.bad, gathered.bad_digests, sum(counts[first:]), options.max_bad_rows)
    if not any(len(reasons) for reasons in gathered.reasons):
        raise no_rows(sources)
    check_columns(sources, columns[first:], counts[first:], plan, options)
    corpus = _corpus(gathered, plan, engine, sum(counts[:first]))
    corpus.inputs = [
        {"file": source.short, "sha256": source.sha256, "rows": rows}
        for source, rows in zip(sources, counts[first:], strict=True)
    ]
    if earlier is not None:
        earlier.check_columns(columns[:first], plan)
        corpus.pinned = earlier.pinned(counts[:first], len(corpus.row_ids))
        if "group" in corpus.notes:
            old_rows = sum(counts[:first])
            groups = earlier.groups(corpus.row_ids[:old_rows])
            fresh = corpus.notes["group"][old_rows:].chunks
            corpus.notes["group"] = pa.chunked_array([groups, *fresh], pa.string())
    return corpus, plan


def _gather(into: _Gathered, chunk: Worked, plan: RowPlan) -> None:
    rows = chunk.rows
    into.ids.append(rows.ids)
    into.reasons.append(rows.reasons)
    into.keys.append(rows.keys)
    into.lengths.append(rows.lengths)
    if rows.labels is not None and plan.regression:
        into.targets.append(rows.labels.to_numpy(zero_copy_only=False))
    elif rows.labels is not None:
        into.labels.add(rows.labels)
    for use, values in rows.notes.items():
        into.notes.setdefault(use, []).append(values)
    into.rewritten.update(rows.rewritten)
    into.bad += chunk.bad[: LISTED - len(into.bad)]
    into.bad_digests += chunk.bad_digests


def limit_bad_rows(
    shown: Sequence[BadRow], digests: Sequence[str], rows: int, limit: float
) -> None:
    """Refuse more lines that are no rows than the share that may be dropped.

    Args:
        shown: The first of them.
        digests: A hash of each.
        rows: All rows, those included.
        limit: The share.

    Raises:
        UserError: There are more.
    """
    bad = len(digests)
    if bad and bad > limit * rows:
        raise UserError(
            f"{shown[0]}; {bad} of {rows} rows are "
            f"malformed, more than --max-bad-rows {limit:g}: mend them, or allow a larger share"
        )


def _corpus(
    gathered: _Gathered,
    plan: RowPlan,
    engine: Engine,
    old: int,
) -> Corpus:
    """Put the facts together; the first ``old`` rows have had their ids before."""
    ids = pa.chunked_array(gathered.ids, pa.string())
    fresh = ids[old:] if plan.ids else numbered(ids[old:])
    codes, names = gathered.labels.settled()
    rows = len(ids)
    bad_ids = pa.chunked_array([pa.array([f"bad-{d}" for d in gathered.bad_digests], pa.string())])
    return Corpus(
        spool=Spool(engine.batches),
        row_ids=pa.chunked_array([*ids[:old].chunks, *fresh.chunks], pa.string()),
        reasons=np.concatenate(gathered.reasons),
        keys=np.concatenate(gathered.keys),
        lengths=np.concatenate(gathered.lengths),
        labels=codes if len(codes) else np.full(rows, -1, dtype=np.int32),
        label_names=names,
        targets=np.concatenate(gathered.targets) if gathered.targets else None,
        notes={use: _stacked(parts) for use, parts in gathered.notes.items()},
        counter=engine.counter,
        id_column=plan.ids,
        text=[flat_name(name) for name in plan.text],
        label=flat_name(plan.label) if plan.label else None,
        bad=gathered.bad,
        bad_ids=numbered(bad_ids).to_pylist(),
        rewritten=gathered.rewritten,
    )


def _stacked(parts: Sequence[pa.Array]) -> pa.ChunkedArray:
    kinds = {part.type for part in parts}
    if len(kinds) == 1:
        return pa.chunked_array(list(parts))
    return pa.chunked_array([part.cast(pa.string()) for part in parts])


class LocalEngine:
    """Everything in this process, one chunk at a time."""

    def __init__(self, batches: Batches) -> None:
        """Keep the rows in ``batches``."""
        self.batches = batches
        self.counter = TermCounter()

    def worked(
        self,
        sources: Sequence[Source],
        plans: Sequence[RowPlan],
        advance: Callable[[int], None],
    ) -> Iterator[Worked]:
        """See :class:`Engine`."""
        for index, (source, plan) in enumerate(zip(sources, plans, strict=True)):
            for chunk in read_chunks(source, plan.scalars, advance=advance):
                worked, table = worked_chunk(index, chunk, plan)
                self.batches.append(table)
                self.counter.add(worked.rows.texts)
                yield worked

    def near_duplicates(
        self,
        corpus: Corpus,
        kept: np.ndarray,
        options: PrepareOptions,
        advance: Callable[[int], None],
    ) -> np.ndarray:
        """See :class:`Engine`."""
        from data_prep.duplicates import near_duplicates
        from data_prep.terms import tfidf

        rows = tfidf(corpus.counter.counts(), kept)
        pinned = corpus.pinned[kept] >= 0 if corpus.pinned is not None else None
        return near_duplicates(rows, options.threshold, options.policy, advance, pinned)

    def near_clusters(self, corpus: Corpus, kept: np.ndarray, threshold: float) -> np.ndarray:
        """See :class:`Engine`."""
        from data_prep.duplicates import near_clusters
        from data_prep.terms import tfidf

        return near_clusters(tfidf(corpus.counter.counts(), kept), threshold)


def worked_chunk(source: int, chunk: FileRows, plan: RowPlan) -> tuple[Worked, pa.Table]:
    """Work one chunk: what it tells about itself, and its rows."""
    rows = work_rows(chunk, plan)
    joined = plan.joiner.columns.column_names if plan.joiner is not None else []
    names = [*column_paths(chunk.table.schema), *message_paths(chunk.table.schema), *joined]
    table, rows.table = rows.table, rows.table.slice(0, 0)
    return Worked(source, names, rows, chunk.bad, chunk.bad_digests), table
