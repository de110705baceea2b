"""Rows of another unit than the input's: items of its lists, or groups of its rows.

What is read is written anew, as one file of the new rows; all further steps read that one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.exploding import explode, item_fields
from data_prep.finding import has_column, text_array, usable_types
from data_prep.gathering import KeyCodes, differing, gathered, groups_of
from data_prep.options import PrepareOptions, gather_columns
from data_prep.reading import LISTED, limit_bad_rows
from data_prep.rowwise import RowPlan
from data_prep.settling import settled_plan
from data_prep.spool import DiskBatches, Spool
from data_prep.voting import judged, settled_labels
from hfpipe.errors import RunError, UserError, nearest
from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.reading import read_chunks
from hfpipe.rows.records import BadRow
from hfpipe.rows.sources import Source


@dataclass
class Regrouped:
    """The rows of the new unit.

    Attributes:
        source: The file that holds them.
        units: Rows of each unit on the way, and those dropped by reason, for the record.
        inputs: File name, hash and number of rows of each input.
        bad: The first lines that are no rows.
    """

    source: Source
    units: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    bad: list[BadRow]


@dataclass
class _Read:
    """What was read, item by item where that was asked for."""

    spool: Spool
    owners: list[int] = field(default_factory=list)  # the input of each batch
    counts: list[int] = field(default_factory=list)  # rows of each input
    fields: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    empty: int = 0
    bad: list[BadRow] = field(default_factory=list)
    bad_digests: list[str] = field(default_factory=list)


def regroup(
    sources: Sequence[Source],
    options: PrepareOptions,
    plan: RowPlan,
    scratch: Path,
    advance: Callable[[int], None] = lambda size: None,
) -> Regrouped:
    """Explode and gather the rows of all inputs, as ``--explode`` and ``--gather-by`` say.

    Memory holds a chunk of rows, some numbers and the key a row; the rows lie on disk.

    Args:
        sources: The inputs.
        options: What was asked for.
        plan: What will be done to each new row; says which columns are texts and labels.
        scratch: An existing folder for rows.
        advance: Told how many bytes have been read.

    Raises:
        UserError: A column is missing or cannot be regrouped; too many lines are no rows; no row
            is left.
    """
    plan = settled_plan(sources, plan)
    read = _read(sources, options, plan, scratch, advance)
    limit_bad_rows(read.bad, read.bad_digests, sum(read.counts), options.max_bad_rows)
    units = _units(read, options)
    named = sources[0].name + (f" and {len(sources) - 1} more" if sources[1:] else "")
    if not read.spool.rows:
        raise UserError(f"{named}: no row has an item in '{options.explode}' (--explode)")
    tables: Iterator[pa.Table] = read.spool.tables()
    if options.gather_by:
        tables = _gather(read, options, plan, units, named)
    path = scratch / "regrouped.parquet"
    rows = _write(tables, path)
    units[-1] |= {"in": rows, "kept": rows}
    for unit in units:
        _check(unit)
    return Regrouped(
        source=Source(named, "parquet", str(path), path.stat().st_size),
        units=units,
        inputs=[
            {"file": source.short, "sha256": source.sha256, "rows": rows}
            for source, rows in zip(sources, read.counts, strict=True)
        ],
        bad=read.bad,
    )


def _read(
    sources: Sequence[Source],
    options: PrepareOptions,
    plan: RowPlan,
    scratch: Path,
    advance: Callable[[int], None],
) -> _Read:
    folder = scratch / "units"
    folder.mkdir()
    read = _Read(Spool(DiskBatches(folder)))
    texts = [*plan.scalars, *gather_columns(options)]
    for index, source in enumerate(sources):
        before = read.spool.rows
        columns: set[str] = set()
        rows = bad = 0
        for chunk in read_chunks(source, texts, advance=advance):
            rows += chunk.table.num_rows
            bad += len(chunk.bad_digests)
            read.bad += chunk.bad[: LISTED - len(read.bad)]
            read.bad_digests += chunk.bad_digests
            columns.update(chunk.table.column_names)
            table = _exploded(read, _usable(chunk.table, options), options.explode, source.name)
            if table.num_rows:
                read.spool.batches.append(table)
                read.owners.append(index)
        read.counts.append(rows + bad)
        if rows and options.explode:
            _check_columns(source, [options.explode], "--explode", columns)
        if read.spool.rows > before:  # else its lists, all empty, do not tell their fields
            _check_columns(source, gather_columns(options), "--gather-by", columns | read.fields)
    return read


def _usable(table: pa.Table, options: PrepareOptions) -> pa.Table:
    """Rows without the ids that they had as another unit."""
    if ROW_ID in table.column_names and ROW_ID not in gather_columns(options):
        table = table.drop_columns([ROW_ID])
    return usable_types(table)


def _check_columns(source: Source, names: Sequence[str], flag: str, known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = nearest(name, sorted(known))
            raise UserError(f"{source.name}: no column '{name}' ({flag}){near}")


def _exploded(read: _Read, table: pa.Table, column: str | None, place: str) -> pa.Table:
    if column is None:
        return table
    read.fields.update(item_fields(table, column, place))
    read.others.update(set(table.column_names) - {column})
    for name in sorted(read.fields & read.others):
        raise UserError(
            f"{place}: '{name}' is a column and a field of '{column}' (--explode), which would "
            "become one too: rename one of them"
        )
    items, empty = explode(table, column)
    read.empty += empty
    return items


def _units(read: _Read, options: PrepareOptions) -> list[dict[str, Any]]:
    """The account of the units, as far as reading settles it."""
    malformed = len(read.bad_digests)
    lost = {"malformed": malformed, "empty_list": read.empty}
    rows = sum(read.counts)
    first = {"unit": "rows read", "in": rows, "dropped": {k: v for k, v in lost.items() if v}}
    first["kept"] = rows - malformed - read.empty
    units = [first]
    if options.explode:
        items = read.spool.rows
        unit = f"items of {options.explode}"
        units.append({"unit": unit, "in": items, "dropped": {}, "kept": items})
    if options.gather_by:
        names = ", ".join(gather_columns(options))
        units.append({"unit": f"groups by {names}", "in": 0, "dropped": {}, "kept": 0})
    return units


def _check(unit: dict[str, Any]) -> None:
    if unit["in"] != unit["kept"] + sum(unit["dropped"].values()):
        raise RunError(
            f"the account of rows is wrong: {unit}; nothing was written, please report this"
        )


def _gather(
    read: _Read, options: PrepareOptions, plan: RowPlan, units: list[dict[str, Any]], place: str
) -> Iterator[pa.Table]:
    """Groups as rows; the account of the rows that became them is settled."""
    keys = gather_columns(options)
    spool, names = read.spool, read.spool.schema.names
    label = options.label if options.label in names else None
    if label is None and has_column(spool.schema.empty_table(), options.label or ""):
        raise UserError(
            f"{place}: label '{options.label}' lies within a column: --gather-by needs a label "
            "that is a column, or, with --explode, a field of its items"
        )
    coder = KeyCodes(keys)
    codes = np.concatenate([coder.codes(table, place) for table in spool.tables()])
    labels: np.ndarray | None = None
    label_names: list[str] = []
    if label is not None:
        owned = zip(read.owners, spool.tables(), strict=True)
        files = ((owner, text_array(place, table, label)) for owner, table in owned)
        labels, label_names = settled_labels(files, options)
    reasons = judged(codes, labels)
    lost = Counter(reasons[reasons != ""].tolist())
    order = ("empty_key", "empty_label", "other_label")
    units[-2]["dropped"] |= {reason: lost[reason] for reason in order if lost[reason]}
    units[-2]["kept"] -= sum(lost.values())
    groups = groups_of(codes, np.flatnonzero(reasons == ""))
    if not len(groups):
        said = ", ".join(f"{count} {reason}" for reason, count in units[-2]["dropped"].items())
        raise UserError(
            f"{place}: no group of --gather-by {','.join(keys)} is left (dropped: {said}): check "
            "--gather-by, --label and --map-labels"
        )
    settled = {*keys, label}
    open_columns = [name for name in names if name not in settled | read.fields]
    lists = differing(spool, groups, open_columns) | (read.fields - settled)
    _check_lists(lists, options, keys)

    def relabelled(table: pa.Table, positions: np.ndarray) -> pa.Table:
        if label is None or labels is None:
            return table
        said = pa.array(label_names, pa.string()).take(pa.array(labels[positions]))
        return table.set_column(names.index(label), label, said)

    return gathered(spool, groups, lists, plan.text, relabelled)


def _check_lists(lists: set[str], options: PrepareOptions, keys: Sequence[str]) -> None:
    """Refuse lists where one value is needed."""
    used: dict[str, list[str | None]] = {
        "--id-column": [options.id_column],
        "--group-by": [options.group_by],
        "--split-column": [options.split_column],
        "--time-column": [options.time_column],
        "--latest-by": [options.latest_by],
        "--latest-key": [*options.latest_key],
        "--join-on": [options.join_on],
        "--where": [each.partition("=")[0].rstrip("! ") for each in options.where],
    }
    for flag, names in used.items():
        for name in names:
            if name in lists:
                raise UserError(
                    f"column '{name}' ({flag}) becomes a list, as rows of one group of --gather-by "
                    f"{','.join(keys)} may differ in it: add it to --gather-by, or name another"
                )


def _write(tables: Iterator[pa.Table], path: Path) -> int:
    """Write the tables, which have one schema; gives their number of rows."""
    first = next(tables)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        rows = first.num_rows
        for table in tables:
            writer.write_table(table)
            rows += table.num_rows
    return rows
