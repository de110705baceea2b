"""Turn the options into the work on each row."""

from __future__ import annotations

from data_prep.joining import Joiner, join_manifest
from data_prep.options import PrepareOptions
from data_prep.rowwise import RowPlan, parse_where
from data_prep.steps import build_steps
from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_file


def row_plan(options: PrepareOptions, endpoint: Endpoint | None = None) -> RowPlan:
    """What shall be done to each row.

    Raises:
        UserError: A step or a condition that cannot be meant; a table to join that cannot be read.
    """
    notes = {
        "group": options.group_by,
        "given": options.split_column,
        "time": options.time_column,
        "latest": options.latest_by,
    }
    return RowPlan(
        text=options.text,
        label=options.label,
        regression=options.task == "regression",
        ids=options.id_column,
        notes={use: name for use, name in notes.items() if name},
        key=_names(options.latest_key),
        where=parse_where(options.where),
        without=[*options.drop_columns, *options.leakage_columns],
        steps=build_steps(options.steps) if options.clean and options.text else (),
        joiner=_joiner(options, endpoint),
    )


def step_reasons(plan: RowPlan) -> dict[str, str]:
    """The reasons for which the cleaning steps may drop a row, in words."""
    reasons: dict[str, str] = {}
    for step in plan.steps:
        reasons |= getattr(step, "reasons", {})
    return reasons


def _names(said: list[str]) -> list[str]:
    return [part.strip() for name in said for part in name.split(",") if part.strip()]


def _joiner(options: PrepareOptions, endpoint: Endpoint | None) -> Joiner | None:
    if options.join is None or options.join_on is None:
        return None
    found = find_inputs([options.join], endpoint)
    if len(found) != 1:
        raise UserError(f"--join {options.join}: {len(found)} files: name one")
    manifest = read_file(found[0], [options.join_on])
    if manifest.bad:
        raise UserError(f"{manifest.bad[0]}: mend or remove it")
    return join_manifest(manifest.table, options.join_on)
