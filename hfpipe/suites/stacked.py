"""Stacking over a suite: each family's best strategy, combined by what they say out of fold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.evaluation.stacking import META, Stacking, repeated_folds, stack
from hfpipe.files import write_text
from hfpipe.hub.endpoint import Endpoint
from hfpipe.metrics.regression import rmse
from hfpipe.recipe import Suite
from hfpipe.suites.cells import Outcome
from hfpipe.suites.folding import Floats, Folder, Ints

if TYPE_CHECKING:
    from hfpipe.inputs.training_data import TrainingData

MEAN = "mean"


def stack_cells(
    bases: Mapping[str, Outcome],
    endpoint: Endpoint,
    suite: Suite,
    out: Path,
    horizon: str,
    say: Callable[[str], None],
    rows: int | None = None,
) -> dict[str, Any]:
    """Predict train out of fold, fit the weights, score both there and on test.

    Args:
        bases: Family to the cell that stands for it, chosen on validation.
        endpoint: The Hub.
        suite: Folds and repeats.
        out: The suite's folder.
        horizon: Which dataset.
        say: Told of every fold.
        rows: At most so many train rows, as the cells had.

    Returns:
        ``metrics.json``: the errors out of fold and on test, and the weights.
    """
    from hfpipe.inputs.training_data import load_training_data

    place = out / "stacking" / horizon
    loaded: dict[str, TrainingData] = {}
    shared: dict[str, Any] = {}
    folders = {}
    seed = int(next(iter(bases.values())).cell.recipe.training.get("seed", 42))
    for family, each in bases.items():
        recipe = each.cell.recipe
        key = str(recipe.data)
        if key not in loaded:
            loaded[key] = load_training_data(endpoint, each.cell.dataset, recipe.data, rows, seed)
        data = loaded[key]
        fold_ids = repeated_folds(len(data.train), suite.folds, suite.repeats, seed=seed)
        folders[family] = Folder(endpoint, data, each, place / "folds", fold_ids, shared)
    _predict(folders, suite, horizon, say)
    first = next(iter(folders.values()))
    target = first.data.processor.target
    truth = np.asarray(target.encode(first.data.train, horizon), np.float64)
    said = {family: folder.predictions() for family, folder in folders.items()}
    found = {meta: stack(said, truth, first.fold_ids, meta) for meta in META}
    meta = min(found, key=lambda name: found[name].scores["stacking"])
    told = _metrics(said, truth, found, meta, _test(bases, out, log1p=target.log1p))
    _keep(place, first, said, truth, found[meta], told)
    return told


def _predict(
    folders: Mapping[str, Folder], suite: Suite, horizon: str, say: Callable[[str], None]
) -> None:
    total, done = suite.folds * suite.repeats, 0
    for repeat in range(suite.repeats):
        for fold in range(suite.folds):
            made = [folder.predict(repeat, fold) for folder in folders.values()]
            done += 1
            kept = "" if any(made) else ": kept"
            say(f"stacking {horizon}: fold {done} of {total}{kept}")


def _test(
    bases: Mapping[str, Outcome], out: Path, *, log1p: bool
) -> tuple[Floats, dict[str, Floats]]:
    """Truth on test, and what the pushed models said of it."""
    ending = "_log" if log1p else ""
    said, truth = {}, np.empty(0)
    for family, each in bases.items():
        path = out / each.cell.place / "predictions.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in rows if row["truth"] is not None]
        truth = np.array([row[f"truth{ending}"] for row in rows], np.float64)
        said[family] = np.array([row[f"prediction{ending}"] for row in rows], np.float64)
    return truth, said


def _metrics(
    said: Mapping[str, Floats],
    truth: Floats,
    found: Mapping[str, Stacking],
    meta: str,
    test: tuple[Floats, dict[str, Floats]],
) -> dict[str, Any]:
    singles = {family: found[meta].scores[family] for family in said}
    middle = np.mean([said[family] for family in said], axis=0)
    inside = {
        **singles,
        MEAN: float(np.mean([rmse(truth, row) for row in middle])),
        **{f"stacking_{name}": each.scores["stacking"] for name, each in found.items()},
    }
    goals, others = test
    outside = {
        **{family: rmse(goals, values) for family, values in others.items()},
        MEAN: rmse(goals, np.mean(list(others.values()), axis=0)),
        **{f"stacking_{n}": rmse(goals, each.stacker.predict(others)) for n, each in found.items()},
    }
    best = min(singles, key=lambda family: singles[family])
    return {
        "metric": "rmse",
        "meta": meta,
        "weights": dict(zip(found[meta].stacker.names, found[meta].stacker.weights, strict=True)),
        "intercept": found[meta].stacker.intercept,
        "best_single": best,
        "not_worse_out_of_fold": inside[f"stacking_{meta}"] <= singles[best],
        "out_of_fold": inside,
        "out_of_fold_by_repeat": found[meta].by_repeat,
        "test": outside,
    }


def _keep(
    place: Path,
    folder: Folder,
    said: Mapping[str, Floats],
    truth: Floats,
    found: Stacking,
    told: Mapping[str, Any],
) -> None:
    """The predictions out of fold as a table, the weights, the errors."""
    import os

    import pyarrow as pa
    import pyarrow.parquet as pq

    from hfpipe.inputs.splits import row_ids

    fold_ids: Ints = folder.fold_ids
    columns: dict[str, Any] = {"row_id": row_ids(folder.data.train), "truth": truth}
    for repeat in range(len(fold_ids)):
        columns[f"fold_{repeat + 1}"] = fold_ids[repeat]
        columns |= {f"{name}_{repeat + 1}": each[repeat] for name, each in said.items()}
    columns["stacking"] = found.predictions
    half = place / ".oof_predictions.parquet"
    pq.write_table(pa.table(columns), half)
    os.replace(half, place / "oof_predictions.parquet")
    _json(place / "weights.json", found.stacker.to_dict() | {"meta": told["meta"]})
    _json(place / "metrics.json", told)


def _json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")
