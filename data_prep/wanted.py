"""Are all columns there that were asked for?"""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.options import PrepareOptions
from data_prep.rowwise import RowPlan
from hfpipe.errors import UserError, nearest
from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.sources import Source


def check_columns(
    sources: Sequence[Source],
    columns: Sequence[set[str]],
    counts: Sequence[int],
    plan: RowPlan,
    options: PrepareOptions,
) -> None:
    """Every column asked for must be in every input; one to leave out in at least one.

    Args:
        sources: The inputs.
        columns: The columns of each, and the paths of the nested ones.
        counts: The rows of each.
        plan: What was asked of each row.
        options: What was asked for.

    Raises:
        UserError: The first column that is missing, with the nearest names.
    """
    wanted = _wanted(plan, options)
    for source, known, rows in zip(sources, columns, counts, strict=True):
        for name, flag in wanted if rows else ():
            column, _, field = name.rpartition(".")
            if not known & {name, f"{column}[].{field}", f"{column}[]."}:
                plain = {each.replace("[].", ".").rstrip(".") for each in known}
                near = nearest(name, sorted(plain))
                raise UserError(f"{source.name}: no column '{name}' ({flag}){near}")
        if rows:
            _check_row_id(source, known, plan)
            _check_fold(source, known, options)
    everywhere = set().union(*columns)
    for flag, names in (
        ("--drop-columns", options.drop_columns),
        ("--leakage-columns", options.leakage_columns),
    ):
        for name in names:  # a slip would let a leak pass
            if name not in everywhere:
                near = nearest(name, sorted(each for each in everywhere if "[]." not in each))
                raise UserError(f"no input has column '{name}' ({flag}){near}")


def _check_row_id(source: Source, known: set[str], plan: RowPlan) -> None:
    """Refuse to write our ids over a column of the user's, or to mix them with earlier ones."""
    if ROW_ID in known and plan.ids != ROW_ID:
        raise UserError(
            f"{source.name}: has a column '{ROW_ID}', which hfpipe would replace: give it in "
            f"every input (or --id-column {ROW_ID}), or rename it"
        )
    if ROW_ID not in known and plan.ids == ROW_ID:
        raise UserError(
            f"{source.name}: no column '{ROW_ID}', which the first input has: give it in every "
            "input, or rename it there"
        )


def _check_fold(source: Source, known: set[str], options: PrepareOptions) -> None:
    if options.folds and "fold" in {*known} - {*options.drop_columns, *options.leakage_columns}:
        raise UserError(
            f"{source.name}: has a column 'fold', which --folds writes: rename it, or leave it out "
            "with --drop-columns fold"
        )


def _wanted(plan: RowPlan, options: PrepareOptions) -> list[tuple[str, str]]:
    named = [
        *((name, "--text") for name in plan.text),
        (plan.label, "--label"),
        (plan.ids if plan.ids != ROW_ID else None, "--id-column"),
        (options.split_column, "--split-column"),
        (options.group_by, "--group-by"),
        (options.time_column, "--time-column"),
        (options.latest_by, "--latest-by"),
        *((name, "--latest-key") for name in plan.key),
        *((name, "--where") for name, _, _ in plan.where),
        (options.encode.get("column"), "--encode"),
    ]
    return [(name, flag) for name, flag in named if name]
