"""What is done to each row by itself: columns chosen, texts cleaned, rows judged, facts noted.

One chunk of rows in, one chunk out, nothing remembered in between: so it runs the same in this
process and on the workers of a cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.duplicates import text_keys
from data_prep.finding import (
    combined,
    flat_name,
    found_column,
    is_list,
    text_array,
    usable_types,
    without_columns,
    without_key,
)
from hfpipe.errors import UserError
from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.records import FileRows

if TYPE_CHECKING:
    from data_prep.joining import Joiner
    from data_prep.steps import Step


@dataclass(frozen=True)
class RowPlan:
    """What shall be done to each row; small, and sent to workers as it is.

    Attributes:
        text: Text columns.
        label: Label column; None where there is none.
        regression: The label is a number.
        ids: Column with row ids; None where they are made of the content.
        notes: Further columns to note as text, by what they are for (``group``, ``given``, …).
        key: Columns of which the latest row counts.
        where: Column, whether it shall equal, and the value.
        without: Columns to leave out.
        steps: Cleaning steps.
        joiner: Joins another table's columns.
        key_of_shards: Where the rows come from shards that hfpipe wrote, the user's id column or
            ``-``: the shards' own key is no column.
    """

    text: Sequence[str]
    label: str | None
    regression: bool = False
    ids: str | None = None
    notes: dict[str, str] = field(default_factory=dict)
    key: Sequence[str] = ()
    where: Sequence[tuple[str, bool, str]] = ()
    without: Sequence[str] = ()
    steps: Sequence[Step] = ()
    joiner: Joiner | None = None
    key_of_shards: str = ""

    @property
    def scalars(self) -> list[str]:
        """Columns that must hold a text or a number."""
        named = [self.label, self.ids, self.notes.get("given"), self.notes.get("group")]
        return [*self.text, *(name for name in named if name), ROW_ID]


@dataclass
class WorkedRows:
    """A chunk of rows after the work, and what the global steps need to know of them.

    Attributes:
        table: The columns to keep, texts cleaned.
        ids: Row ids, or hashes of the content as it came.
        reasons: Why a row is dropped; None where it is kept. ``(rows,)``
        texts: The text columns of a row joined by line breaks; empty for dropped rows.
        keys: Hash of each text, ``(rows, 2)``.
        lengths: Characters of each text.
        labels: Labels as text, or as numbers for regression.
        notes: The noted columns.
        rewritten: Rows that each step changed.
    """

    table: pa.Table
    ids: pa.Array
    reasons: np.ndarray
    texts: list[str]
    keys: np.ndarray
    lengths: np.ndarray
    labels: pa.Array | None
    notes: dict[str, pa.Array]
    rewritten: Counter[str]


def work_rows(chunk: FileRows, plan: RowPlan) -> WorkedRows:
    """Do the work on one chunk.

    Raises:
        UserError: A column is missing or of the wrong type.
    """
    table = usable_types(chunk.table)
    if plan.key_of_shards:
        table = without_key(table, plan.key_of_shards)
    reasons = np.full(table.num_rows, None, dtype=object)
    _judge(reasons, _unwanted(chunk, table, plan), "filtered_out")
    if plan.joiner is not None:
        table, unmatched = plan.joiner.join(table)
        _judge(reasons, unmatched, "unmatched")
    columns = [_texts(chunk, table, name) for name in plan.text]
    labels = _labels(chunk, table, plan)
    if plan.text:
        _judge(reasons, _blank(columns), "empty_text")
    if labels is not None:
        _judge_labels(reasons, labels, plan)
    rewritten: Counter[str] = Counter()
    columns, texts = _clean(columns, reasons, plan, rewritten)
    ids = (
        text_array(chunk.file, table, plan.ids)
        if plan.ids
        else pa.array(chunk.digests, pa.string())
    )
    return WorkedRows(
        table=_kept_columns(table, plan, columns, labels),
        ids=ids,
        reasons=reasons,
        texts=texts,
        keys=text_keys(texts if plan.text else chunk.digests),
        lengths=np.fromiter(map(len, texts), dtype=np.int32, count=len(texts)),
        labels=labels,
        notes={use: _note(chunk, table, name, use) for use, name in _noted(plan).items()},
        rewritten=rewritten,
    )


def _noted(plan: RowPlan) -> dict[str, str]:
    return {**plan.notes, **{f"key:{name}": name for name in plan.key}}


def _judge(reasons: np.ndarray, marks: np.ndarray, reason: str) -> None:
    """Give a reason to the marked rows that have none yet."""
    positions = np.flatnonzero(marks) if marks.dtype == bool else marks
    free = positions[_still_in(reasons[positions])]
    reasons[free] = reason


def _still_in(reasons: np.ndarray) -> np.ndarray:
    """Which rows have no reason to be dropped."""
    return np.asarray(reasons == np.array(None))


def _unwanted(chunk: FileRows, table: pa.Table, plan: RowPlan) -> np.ndarray:
    unwanted = np.zeros(table.num_rows, dtype=bool)
    for name, equal, value in plan.where:
        column = text_array(chunk.file, table, name)
        same = pc.fill_null(pc.equal(column, value), False).to_numpy(zero_copy_only=False)
        unwanted |= ~same if equal else same
    return unwanted


def _texts(chunk: FileRows, table: pa.Table, name: str) -> list[str]:
    column = text_array(chunk.file, table, name)
    return [text or "" for text in column.to_pylist()]


def _note(chunk: FileRows, table: pa.Table, name: str, use: str) -> pa.Array:
    if use in ("time", "latest"):  # its type says how it is read
        return combined(found_column(table, name))
    return text_array(chunk.file, table, name)


def _labels(chunk: FileRows, table: pa.Table, plan: RowPlan) -> pa.Array | None:
    if plan.label is None:
        return None
    column = text_array(chunk.file, table, plan.label)
    if not plan.regression:
        return column
    return pa.array([_number(value) for value in column.to_pylist()], pa.float64())


def _number(text: str | None) -> float | None:
    """A label as a number: None where there is none, NaN where it is no finite number."""
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")


def _blank(columns: list[list[str]]) -> np.ndarray:
    rows = zip(*columns, strict=True)
    return np.array([not any(text.strip() for text in texts) for texts in rows], dtype=bool)


def _judge_labels(reasons: np.ndarray, labels: pa.Array, plan: RowPlan) -> None:
    if plan.regression:
        _judge(reasons, pc.is_null(labels).to_numpy(zero_copy_only=False), "empty_label")
        wrong = pc.fill_null(pc.is_nan(labels), False).to_numpy(zero_copy_only=False)
        _judge(reasons, wrong, "no_number")
        return
    said = pc.fill_null(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(labels)), 0), False)
    _judge(reasons, ~said.to_numpy(zero_copy_only=False), "empty_label")


def _clean(
    columns: list[list[str]], reasons: np.ndarray, plan: RowPlan, rewritten: Counter[str]
) -> tuple[list[list[str]], list[str]]:
    """Rewrite every text column, then judge the joined texts of the rows that are still in."""
    for step in plan.steps:
        rewrite: Callable[[list[str]], list[str]] | None = getattr(step, "rewrite", None)
        if rewrite is None:
            continue
        fresh = [rewrite(column) for column in columns]
        changed = np.zeros(len(reasons), dtype=bool)
        for old, new in zip(columns, fresh, strict=True):
            changed |= np.fromiter((a is not b for a, b in zip(old, new, strict=True)), dtype=bool)
        rewritten[step_name(step)] += int(changed.sum())
        columns = fresh
    if plan.text:  # a text of control characters only is none
        _judge(reasons, _blank(columns), "empty_text")
    texts = _joined(columns, reasons)
    for step in plan.steps:
        judge: Callable[[list[str]], list[str | None]] | None = getattr(step, "judge", None)
        if judge is None:
            continue
        kept = np.flatnonzero(_still_in(reasons))
        for place, reason in zip(kept.tolist(), judge([texts[i] for i in kept]), strict=True):
            if reason is not None:
                reasons[place] = reason
                texts[place] = ""
    return columns, texts


def step_name(step: Step) -> str:
    """The name by which a step is asked for: its module's."""
    return type(step).__module__.rpartition(".")[2]


def _joined(columns: list[list[str]], reasons: np.ndarray) -> list[str]:
    if not columns:
        return [""] * len(reasons)
    if len(columns) == 1:
        joined = list(columns[0])
    else:
        rows = zip(*columns, strict=True)
        joined = ["\n".join(part for part in parts if part) for parts in rows]
    for place in np.flatnonzero(~_still_in(reasons)).tolist():
        joined[place] = ""
    return joined


def _kept_columns(
    table: pa.Table, plan: RowPlan, columns: list[list[str]], labels: pa.Array | None
) -> pa.Table:
    """The user's columns, with the texts as they are now and the label under its own name."""
    table = without_columns(table, [*plan.without, ROW_ID])
    for name, values in zip(plan.text, columns, strict=True):
        table = _with_column(table, name, pa.array(values, pa.string()))
    if labels is not None and plan.label is not None:
        table = _with_column(table, plan.label, labels)
    return table


def _with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    flat = flat_name(name)
    if flat != name and flat in table.column_names:
        raise UserError(
            f"column '{name}' becomes '{flat}', which there is already: rename that, or leave it "
            f"out with --drop-columns {flat}"
        )
    if place >= 0 and is_list(table.schema.field(place).type):
        values = table.column(place)  # its messages stay as they are
    if place >= 0:
        return table.set_column(place, flat, values)
    return table.append_column(flat, values)


def parse_where(conditions: Sequence[str]) -> list[tuple[str, bool, str]]:
    """``column=value`` and ``column!=value`` taken apart.

    >>> parse_where(["horizon_days=7", "lang!=en"])
    [('horizon_days', True, '7'), ('lang', False, 'en')]
    """
    parsed: list[tuple[str, bool, str]] = []
    for condition in conditions:
        name, sign, value = condition.partition("=")
        if not sign or not name.strip("! "):
            raise UserError(f"--where {condition}: write column=value, or column!=value")
        parsed.append((name.rstrip("! "), not name.endswith("!"), value))
    return parsed
