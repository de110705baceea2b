"""Fit a processor on the train split, as a recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.inputs.kinds import Kind, kind_class, kind_names
from hfpipe.inputs.kinds._base import COMMON
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.reading import check_columns
from hfpipe.inputs.targets import PROBLEM_TYPES, fit_label
from hfpipe.recipe import Data, Input

if TYPE_CHECKING:
    from datasets import Dataset


def fit_processor(
    train: Dataset,
    data: Data,
    prepared: Mapping[str, Any] | None,
    place: str,
    *,
    fitted: Mapping[str, Kind] | None = None,
) -> Processor:
    """Fit the processor on the train split.

    Args:
        train: The train split.
        data: The recipe's ``data:`` block.
        prepared: The dataset repo's ``hfpipe/prepare.json``, which names the columns that the
            recipe leaves open.
        place: How to call the dataset in a message.
        fitted: Inputs that were fitted before; they stay as they are.

    Raises:
        UserError: Columns unknown or refused, an input kind or option unknown, columns that do not
            hold what the kind needs, or fewer than two classes.
    """
    recorded = prepared or {}
    check_recipe(data, recorded, place)
    label = str(data.label or recorded.get("label") or "")
    specs = {name: _settled(name, spec, recorded) for name, spec in data.inputs.items()}
    for name, spec in specs.items():
        if not spec.columns or not label:
            key = "data.label" if spec.columns else f"data.inputs.{name}.columns"
            raise UserError(
                f"{place} was not made by hfpipe prepare, so {key} must be given: e.g. {key}="
                f"{'COLUMN' if spec.columns else '[COLUMN]'}{nearest('', train.column_names)}"
            )
    wanted = [column for spec in specs.values() for column in spec.columns]
    check_columns([*wanted, label], train, place)
    inputs = fit_inputs(train, data, recorded, place, fitted)
    task = data.task or str(recorded.get("task") or "classification")
    target = fit_label(train, label, place, task, positive=data.positive, log1p=data.log1p)
    return Processor(inputs, label, target.labels, target.task, target.log1p)


def fit_inputs(
    train: Dataset,
    data: Data,
    prepared: Mapping[str, Any],
    place: str,
    fitted: Mapping[str, Kind] | None = None,
) -> dict[str, Kind]:
    """Fit the inputs alone; arguments and errors as for ``fit_processor``."""
    known = fitted or {}
    specs = {name: _settled(name, spec, prepared) for name, spec in data.inputs.items()}
    return {
        name: known[name] if name in known else kind_class(spec.kind).fit(train, spec, name, place)
        for name, spec in specs.items()
    }


def check_recipe(data: Data, prepared: Mapping[str, Any], place: str) -> None:
    """Check all of the ``data:`` block that can be checked without a row of the dataset.

    Args:
        data: The recipe's block.
        prepared: The dataset repo's ``hfpipe/prepare.json``.
        place: How to call the dataset in a message.

    Raises:
        UserError: No inputs, an unknown kind, an option of another kind, a column named twice in an
            input, the label as an input, or a column that the dataset's leakage columns refuse.

    >>> check_recipe(Data(label="followers"), {"leakage_columns": ["followers"]}, "'ns/set'")
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: 'ns/set' refuses column 'followers' (data.label): it is one of its \
leakage columns, which tell the answer
    """
    refused = set(prepared.get("leakage_columns") or [])
    label = data.label or prepared.get("label")
    named = {"data.label": [str(label)] if label else []}
    check_inputs(data)
    for name, spec in data.inputs.items():
        named[f"data.inputs.{name}"] = list(_settled(name, spec, prepared).columns)
        if label and str(label) in named[f"data.inputs.{name}"]:
            raise UserError(
                f"column '{label}' (data.inputs.{name}) is the label: a model that is shown the "
                "answer learns nothing else; name another column"
            )
    if not data.inputs:
        raise UserError("data.inputs is empty: name at least one input")
    for key, columns in named.items():
        for column in columns:
            if column in refused:
                raise UserError(
                    f"{place} refuses column '{column}' ({key}): it is one of its leakage "
                    "columns, which tell the answer"
                )


def check_inputs(data: Data) -> None:
    """Check the kinds and options of the inputs, and the task.

    Raises:
        UserError: Something is unknown, or belongs to another kind.
    """
    if data.task is not None and data.task not in PROBLEM_TYPES:
        raise UserError(f"data.task: no task '{data.task}'{nearest(data.task, PROBLEM_TYPES)}")
    for name, spec in data.inputs.items():
        _check_input(name, spec)


def _check_input(name: str, spec: Input) -> None:
    if spec.kind not in kind_names():
        raise UserError(f"data.inputs.{name}.kind: '{spec.kind}'{nearest(spec.kind, kind_names())}")
    own, blank = kind_class(spec.kind).options, Input()
    for each in fields(Input):
        given = getattr(spec, each.name) != getattr(blank, each.name)
        if given and each.name not in (*COMMON, *own):
            raise UserError(
                f"data.inputs.{name}.{each.name} is no option of a {spec.kind} input"
                f"{nearest(each.name, own)}"
            )
    twice = [column for column in spec.columns if spec.columns.count(column) > 1]
    if twice:
        raise UserError(f"data.inputs.{name}.columns: '{twice[0]}' stands there twice")


def _settled(name: str, spec: Input, prepared: Mapping[str, Any]) -> Input:
    """The block with the columns that the dataset was prepared with, where it names none."""
    from dataclasses import replace

    if spec.columns:
        return spec
    if spec.kind != "text":
        raise UserError(
            f"data.inputs.{name}.columns: which columns is this {spec.kind} input made of? give "
            f"data.inputs.{name}.columns=[COLUMN]"
        )
    return replace(spec, columns=list(prepared.get("text") or []))
