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

from data_prep.corpus import LabelCodes, mapped_labels
from data_prep.exploding import explode, item_fields
from data_prep.finding import has_column, text_array, usable_types
from data_prep.gathering import KeyCodes, differing, gathered, groups_of, majority
from data_prep.options import PrepareOptions, gather_columns
from data_prep.reading import LISTED, limit_bad_rows
from data_prep.rowwise import RowPlan
from data_prep.settling import settled_plan
from data_prep.spool import DiskBatches, Spool
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
    keys = gather_columns(options)
    for index, source in enumerate(sources):
        columns: set[str] = set()
        rows = bad = 0
        for chunk in read_chunks(source, [*plan.scalars, *keys], advance=advance):
            table = usable_types(chunk.table)
            if ROW_ID not in keys:  # the id of another unit
                table = table.drop_columns([n for n in (ROW_ID,) if n in table.column_names])
            rows += table.num_rows
            bad += len(chunk.bad_digests)
            read.bad += chunk.bad[: LISTED - len(read.bad)]
            read.bad_digests += chunk.bad_digests
            columns.update(chunk.table.column_names)
            if options.explode:
                table = _exploded(read, table, options.explode, source.name)
            if table.num_rows:
                read.spool.batches.append(table)
                read.owners.append(index)
        read.counts.append(rows + bad)
        wanted = [(options.explode, "--explode")] if options.explode else []
        wanted += [(name, "--gather-by") for name in keys]
        known = columns | read.fields
        for name, flag in wanted if rows else ():
            if name not in known:
                near = nearest(name, sorted(known))
                raise UserError(f"{source.name}: no column '{name}' ({flag}){near}")
    return read


def _exploded(read: _Read, table: pa.Table, column: str, place: str) -> pa.Table:
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
    labels, label_names = _labels(read, options, place) if label else (None, [])
    reasons = _judged(codes, labels)
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


def _labels(read: _Read, options: PrepareOptions, place: str) -> tuple[np.ndarray, list[str]]:
    """The label of each row, as it is called after ``--map-labels``; -1 where there is none."""
    settling, last = LabelCodes(), 0
    for owner, table in zip(read.owners, read.spool.tables(), strict=True):
        if owner != last:
            settling.end_file()
            last = owner
        settling.add(text_array(place, table, options.label or ""))
    settling.end_file()
    codes, names = settling.settled()
    blank = np.array([*(not name.strip() for name in names), True], dtype=bool)
    codes = np.where(blank[codes], -1, codes)
    mapping = options.map_labels
    if options.task == "regression":  # 2.50 is 2.5
        mapping = {name: _number(name) for name in names if name.strip()}
    return mapped_labels(codes, names, mapping) if mapping else (codes, names)


def _number(label: str) -> str:
    try:
        return repr(float(label))
    except ValueError:
        return label


def _judged(codes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Why each row goes into no group; empty where it goes into one."""
    reasons = np.full(len(codes), "", dtype=object)
    reasons[codes < 0] = "empty_key"
    if labels is None:
        return reasons
    reasons[(labels < 0) & (reasons == "")] = "empty_label"
    kept = np.flatnonzero(reasons == "")
    reasons[kept[~majority(codes[kept], labels[kept].astype(np.int64))]] = "other_label"
    return reasons


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
