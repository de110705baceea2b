"""A suite of 60 rows a dataset, which a ridge and a tiny network learn in a second."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DATA = """\
data:
  task: regression
  log1p: true
  inputs:
    video: {kind: vector, columns: [video], optional: true}
    text: {kind: vector, columns: [text], optional: true}
    numbers: {kind: numeric, columns: [size]}
    categories: {kind: categorical, columns: [channel]}
evaluation:
  slices: [text_present]
"""
RIDGE = DATA + "model: {kind: ridge, config: {strategy: concat}}\n"
MLP = DATA + (
    "model: {kind: concat_mlp, config: {strategy: concat, sizes: [8]}}\n"
    "training: {seed: 3, num_train_epochs: 3, learning_rate: 0.02, eval_strategy: epoch,\n"
    "  save_strategy: best, load_best_model_at_end: true, metric_for_best_model: rmse_log}\n"
)


def rows(count: int, seed: int) -> list[dict]:
    """The target grows with a number, a category and a direction of a vector; half lack a text."""
    random = np.random.default_rng(seed)
    found = []
    for at in range(count):
        video, size, channel = random.normal(size=4), random.normal(), int(random.integers(3))
        log = 5 + 2 * video[0] + size + channel + 0.1 * random.normal()
        found.append(
            {
                "row_id": f"{seed}-{at}",
                "video": [float(value) for value in video],
                "text": [float(value) for value in random.normal(size=4)] if at % 2 else None,
                "text_present": at % 2,
                "size": float(size),
                "channel": f"c{channel}",
                "views": float(np.expm1(max(log, 0.1))),
            }
        )
    return found


def push_rows(hub, name: str, sizes: tuple[int, int, int] = (40, 10, 10), **prepared) -> str:
    from hfpipe.hub.publish import publish

    files: dict = {"hfpipe/prepare.json": json.dumps({"label": "views", **prepared}).encode()}
    for at, (split, count) in enumerate(zip(("train", "validation", "test"), sizes, strict=True)):
        buffer = io.BytesIO()
        pd.DataFrame(rows(count, at + len(name))).to_parquet(buffer, index=False)
        files[f"data/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    return publish(hub, f"local/{name}", "dataset", files, "rows").repo_id


@pytest.fixture(scope="session")
def datasets(hub) -> list[str]:
    return [push_rows(hub, "views-7"), push_rows(hub, "views-30")]


@pytest.fixture(scope="session")
def folder(datasets, tmp_path_factory) -> Path:
    """The recipes' folder; ``suite_file`` writes suites over them."""
    place = tmp_path_factory.mktemp("suites")
    (place / "toy_ridge.yaml").write_text(RIDGE)
    (place / "toy_mlp.yaml").write_text(MLP)
    return place


@pytest.fixture(scope="session")
def suite_file(folder):
    """Write a suite: ``suite_file("name", ["toy_ridge"], vary, folds=2)`` gives its path."""

    def write(name: str, recipes: list[str], vary: dict, **block) -> Path:
        path = folder / f"{name}.yaml"
        named = [str(folder / f"{each}.yaml") for each in recipes]
        suite = {"folds": 0, "repeats": 1, **block, "recipes": named, "vary": vary}
        path.write_text(json.dumps({"description": "toy", "suite": suite}))
        return path

    return write
