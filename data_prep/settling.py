"""What of the plan only the first rows tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from data_prep.finding import has_column
from data_prep.rowwise import RowPlan
from hfpipe.errors import UserError
from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.reading import read_chunks
from hfpipe.rows.records import FileRows
from hfpipe.rows.sources import Source


def settled_plan(sources: Sequence[Source], plan: RowPlan) -> RowPlan:
    """Settle what only the first rows tell: names with commas, and whether ids come along.

    Raises:
        UserError: There are no rows.
    """
    begins = [_first_chunk(source) for source in sources]
    first = next((chunk for chunk in begins if chunk.table.num_rows), None)
    if first is None and any(chunk.bad for chunk in begins):
        return plan  # it will be said how many lines are malformed
    if first is None:
        raise no_rows(sources)
    table = first.table
    if plan.joiner is not None and has_column(table, plan.joiner.key):
        table, _ = plan.joiner.join(table)
    names: list[str] = []
    for name in plan.text:
        names += [name] if has_column(table, name) else [part.strip() for part in name.split(",")]
    ids = plan.ids or (ROW_ID if ROW_ID in table.column_names else None)
    return replace(plan, text=list(dict.fromkeys(name for name in names if name)), ids=ids)


def no_rows(sources: Sequence[Source]) -> UserError:
    """What to say where no input has a row."""
    named = ", ".join(source.name for source in sources)
    return UserError(f"no rows in {named}: give a file with at least one row a class and split")


def _first_chunk(source: Source) -> FileRows:
    chunks = read_chunks(source, (), chunk_rows=100)
    found = next(chunks, None)
    return found if found is not None else FileRows(source.name, pa.table({}), [])
