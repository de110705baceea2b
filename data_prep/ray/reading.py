"""Files read and rows worked by Ray Data's tasks; the rows stay as blocks in the object store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from data_prep.ray import packing
from data_prep.ray.counting import count_terms
from data_prep.reading import Worked, worked_chunk
from data_prep.rowwise import RowPlan, WorkedRows
from hfpipe.errors import HfpipeError, RunError, UserError
from hfpipe.rows.reading import read_chunks
from hfpipe.rows.records import BadRow
from hfpipe.rows.sources import Source

#: Cells of a chunk's record that the driver fetches; the others stay where they are.
FETCHED = ["source", "number", "about", "facts", "schema"]
_NOTE = "note:"


@dataclass(frozen=True)
class ReadJob:
    """What to read, and what to do with it."""

    sources: Sequence[Source]
    plans: Sequence[RowPlan]


class RayBatches:
    """Batches of rows in the object store, each in a block that tasks have made.

    Ray makes a block again whose node has died, by running its tasks again.

    Attributes:
        sizes: Rows of each batch.
        schemas: The schema of each batch.
        blocks: The blocks, in order; each holds a few batches.
        chunks: Source and number of each batch.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.sizes: list[int] = []
        self.schemas: list[pa.Schema] = []
        self.blocks: list[Any] = []
        self.chunks: list[tuple[int, int]] = []
        self._places: list[tuple[int, int]] = []

    def add(self, chunk: tuple[int, int], place: int, size: int, schema: pa.Schema) -> None:
        """Note a batch: it is row ``place`` of the newest block."""
        self.chunks.append(chunk)
        self.sizes.append(size)
        self.schemas.append(schema)
        self._places.append((len(self.blocks) - 1, place))

    def append(self, table: pa.Table) -> None:
        """Add a batch that this process has made. Nothing brings it back if its node dies."""
        import ray

        self.blocks.append(ray.put(packing.record(rows=packing.written(table))))
        self.add((-1, -1), 0, table.num_rows, table.schema)

    def table(self, index: int) -> pa.Table:
        """Fetch one batch."""
        import ray

        from data_prep.ray.failing import cluster_errors

        block, place = self._places[index]
        with cluster_errors():
            content = ray.get(self.blocks[block])
        return packing.read(packing.buffers(content.slice(place, 1), "rows")[0])


def read_all(job: ReadJob, batches: RayBatches, advance: Callable[[int], None]) -> Iterator[Worked]:
    """Read all sources, each by one task; gives the facts in the order of the input.

    Args:
        job: What to read; the sources' ``sha256`` are set.
        batches: Takes the rows.
        advance: Told how many bytes have been read.
    """
    import ray

    places = ray.data.from_items(
        [{"source": place} for place in range(len(job.sources))],
        override_num_blocks=len(job.sources),
    )
    read = places.map_batches(
        read_sources,  # type: ignore[arg-type]
        batch_size=1,
        batch_format="pyarrow",
        fn_kwargs={"job": ray.put(job)},
    )
    fetch = ray.remote(num_cpus=0)(fetched)
    for bundle in read.iter_internal_ref_bundles():
        for block in bundle.block_refs:
            batches.blocks.append(block)
            found = ray.get(fetch.remote(block))
            for place in range(found.num_rows):
                chunk = found.slice(place, 1)
                said = _about(chunk)
                advance(said["read"])
                if "sha256" in said:
                    job.sources[packing.numbers(chunk, "source")[0]].sha256 = said["sha256"]
                else:
                    yield _noted(chunk, place, said, batches)


def _noted(chunk: pa.Table, place: int, said: dict[str, Any], batches: RayBatches) -> Worked:
    (source,), (number,) = packing.numbers(chunk, "source"), packing.numbers(chunk, "number")
    schema = packing.read(packing.buffers(chunk, "schema")[0]).schema
    facts = packing.read(packing.buffers(chunk, "facts")[0])
    batches.add((source, number), place, facts.num_rows, schema)
    bad = [BadRow(*each) for each in said["bad"]]
    return Worked(source, said["columns"], _worked_rows(facts, said), bad, said["bad_digests"])


def _about(chunk: pa.Table) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(packing.buffers(chunk, "about")[0].to_pybytes())
    if "failed" in said:
        kinds = {kind.__name__: kind for kind in (UserError, RunError)}
        raise kinds[said["failed"]](said["message"])
    return said


def fetched(block: pa.Table) -> pa.Table:
    """What the driver needs of a block. Runs where the block is."""
    return block.select(FETCHED)


def read_sources(batch: pa.Table, job: Any) -> Iterator[pa.Table]:
    """Read sources chunk by chunk; gives a record for each chunk, and one at the end."""
    import ray

    work: ReadJob = ray.get(job)
    for place in packing.numbers(batch, "source"):
        try:
            yield from _chunks(place, work.sources[place], work.plans[place])
        except HfpipeError as error:
            kind = UserError if isinstance(error, UserError) else RunError
            yield _record(place, -1, {"failed": kind.__name__, "message": str(error), "read": 0})


def _chunks(place: int, source: Source, plan: RowPlan) -> Iterator[pa.Table]:
    read: list[int] = []
    number = -1
    for number, chunk in enumerate(read_chunks(source, plan.scalars, advance=read.append)):
        worked, table = worked_chunk(place, chunk, plan)
        said = {
            "read": sum(read),
            "columns": worked.columns,
            "bad": [[bad.file, bad.line, bad.reason, bad.digest] for bad in worked.bad],
            "bad_digests": worked.bad_digests,
            "rewritten": worked.rows.rewritten,
        }
        read.clear()
        yield _record(place, number, said, _facts(worked.rows), table, worked.rows.texts)
    said = {"read": sum(read), "sha256": source.sha256}
    yield _record(place, number + 1, said)


def _record(
    source: int,
    number: int,
    said: dict[str, Any],
    facts: pa.Table | None = None,
    table: pa.Table | None = None,
    texts: Sequence[str] = (),
) -> pa.Table:
    return packing.record(
        source=source,
        number=number,
        about=json.dumps(said).encode(),
        facts=packing.written(facts) if facts is not None else b"",
        schema=packing.written(table.slice(0, 0)) if table is not None else b"",
        rows=packing.written(table) if table is not None else b"",
        **count_terms(texts),
    )


def _facts(rows: WorkedRows) -> pa.Table:
    columns = {
        "id": rows.ids,
        "reason": pa.array(rows.reasons, pa.string()),
        "key0": rows.keys[:, 0],
        "key1": rows.keys[:, 1],
        "length": rows.lengths,
        **{_NOTE + use: values for use, values in rows.notes.items()},
    }
    if rows.labels is not None:
        columns["label"] = rows.labels
    return pa.table(columns)


def _worked_rows(facts: pa.Table, said: dict[str, Any]) -> WorkedRows:
    def column(name: str) -> pa.Array:
        return pa.concat_arrays(facts.column(name).chunks) if facts.num_rows else _empty(name)

    def _empty(name: str) -> pa.Array:
        return pa.array([], facts.schema.field(name).type)

    notes = [name for name in facts.column_names if name.startswith(_NOTE)]
    return WorkedRows(
        table=pa.table({}),
        ids=column("id"),
        reasons=column("reason").to_numpy(zero_copy_only=False),
        texts=[],
        keys=np.column_stack([column("key0").to_numpy(), column("key1").to_numpy()]),
        lengths=column("length").to_numpy(),
        labels=column("label") if "label" in facts.column_names else None,
        notes={name.removeprefix(_NOTE): column(name) for name in notes},
        rewritten=Counter(said["rewritten"]),
    )
