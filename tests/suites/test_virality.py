"""The virality recipes, each from its own defaults, on rows as ``hfpipe prepare`` gives them."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from hfpipe.recipe import load_recipe

FAMILIES = ["concat_mlp", "gated", "ridge", "gbdt"]
LEAKAGE = load_recipe("virality_suite").prepare.leakage_columns


def rows(count: int, seed: int) -> list[dict]:
    random = np.random.default_rng(seed)
    return [
        {
            "row_id": f"{seed}-{at}",
            "horizon_view_count": float(random.integers(10, 100_000)),
            "n_depends": int(random.integers(9)),
            "title_length": int(random.integers(9, 99)),
            "name_length": int(random.integers(3, 20)),
            "has_homepage": at % 2,
            "channel_id": f"ch{at % 5}",
            "channel_country": "all",
            "default_language": None if at % 7 == 0 else "en",
            "query": f"q{at % 3}",
            "text_present": at % 2,
            "video": [float(value) for value in random.normal(size=6)],
            "audio": [float(value) for value in random.normal(size=6)],
            "text": [float(value) for value in random.normal(size=6)] if at % 2 else None,
        }
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def views(hub) -> str:
    from hfpipe.hub.publish import publish

    prepared = {"label": "horizon_view_count", "leakage_columns": LEAKAGE}
    files: dict = {"hfpipe/prepare.json": json.dumps(prepared).encode()}
    for seed, (split, count) in enumerate((("train", 60), ("validation", 12), ("test", 12))):
        buffer = io.BytesIO()
        pd.DataFrame(rows(count, seed)).to_parquet(buffer, index=False)
        files[f"data/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    return publish(hub, "local/virality-7", "dataset", files, "rows").repo_id


@pytest.mark.parametrize("family", FAMILIES)
def test_a_recipe_runs_a_step_and_is_scored_by_text_present(cli, views, tmp_path, family):
    name = f"virality_{family}"
    step = [] if family in ("ridge", "gbdt") else ["training.max_steps=1"]
    target = f"local/step-{family}"
    ran = cli(
        *("finetune", "--recipe", name, "--dataset", views, "--target", target, "--no-wandb"),
        *("--out", tmp_path / "run", "--quiet", *step),
    )
    assert ran.code == 0, ran.err
    ran = cli("evaluate", target, "--out", tmp_path / "test", "--no-baselines", "--quiet")
    assert ran.code == 0, ran.err
    found = json.loads((tmp_path / "test" / "metrics.json").read_text())["slices"]
    assert {value: each["n"] for value, each in found["text_present"].items()} == {"0": 6, "1": 6}
    if family == "gated":
        without, having = found["text_present"]["0"], found["text_present"]["1"]
        assert without["gate_weight.text"] == 0 < having["gate_weight.text"]
        towers = [without[f"gate_weight.{name}"] for name in ("audio", "video", "text")]
        assert sum(towers) == pytest.approx(1)


@pytest.mark.parametrize("column", LEAKAGE)
def test_what_is_known_only_afterwards_is_refused(cli, views, tmp_path, column):
    ran = cli(
        *("finetune", "--recipe", "virality_ridge", "--dataset", views, "--no-wandb"),
        *("--out", tmp_path, f"data.inputs.numbers.columns=[{column}]"),
        "data.inputs.numbers.log1p=false",
    )
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"refuses column '{column}'" in ran.err


def test_the_suite_is_four_families_by_three_strategies_by_two_horizons():
    from hfpipe.suites.planning import plan

    cells = plan(load_recipe("virality_suite"))
    assert len({cell.place for cell in cells}) == 4 * 3 * 2
    assert {cell.family for cell in cells} == {"concat-mlp", "gated", "ridge", "gbdt"}
    assert {cell.horizon for cell in cells} == {"7", "30"}
    for cell in cells:
        assert cell.recipe.model.config["strategy"].replace("_", "-") == cell.strategy
        assert cell.recipe.data.dataset == f"virality-{cell.horizon}"
        assert cell.recipe.training["seed"] == 42
