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
    bad = False
    for source in sources:  # no further than the first with rows: a source may be far away
        first = _first_chunk(source)
        if first.table.num_rows:
            return _settled(plan, first.table)
        bad = bad or bool(first.bad)
    if bad:
        return plan  # it will be said how many lines are malformed
    raise no_rows(sources)


def _settled(plan: RowPlan, table: pa.Table) -> RowPlan:
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
    return next(read_chunks(source, (), chunk_rows=100))  # at least one comes
