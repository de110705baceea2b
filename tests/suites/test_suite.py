"""A suite as a user sees it: its cells, its leaderboard, its folder, what it leaves alone."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

STRATEGY = "model.config.strategy"


def read(path: Path):
    return json.loads(path.read_text())


def run(cli, suite: Path, out: Path, *more: object):
    return cli("finetune", "--recipe", suite, "--out", out, "--no-wandb", *more)


@pytest.fixture(scope="module")
def whole(hub, suite_file, datasets, tmp_path_factory):
    """Two families, two datasets, stacked and mirrored."""
    from hfpipe.recipe import load_recipe
    from hfpipe.suites import SuiteOptions, run_suite

    out = tmp_path_factory.mktemp("whole")
    suite = suite_file(
        "whole",
        ["toy_ridge", "toy_mlp"],
        {"data.dataset": datasets, STRATEGY: ["concat"]},
        folds=2,
        repeats=2,
        mirror=f"file://{out}-copy",
    )
    lines: list[str] = []
    options = SuiteOptions(out=out, wandb=False)
    done = run_suite(load_recipe(str(suite)), hub, options, lines.append)
    return done, out, lines, suite


def test_python_runs_a_suite_by_the_same_function(hub, suite_file, datasets, tmp_path):
    import hfpipe

    suite = suite_file("from_python", ["toy_ridge"], {"data.dataset": datasets})
    more = {"model.config.alphas": [3.0]}
    done = hfpipe.finetune(str(suite), out=tmp_path, hub=hub.url, quiet=True, **more)
    assert len(done.outcomes) == 2
    assert not done.failed
    assert {each.cell.recipe.model.config["alphas"][0] for each in done.outcomes} == {3.0}
    board = json.loads((tmp_path / "leaderboard.json").read_text())
    assert board == json.loads(json.dumps(done.board))


def test_every_cell_is_pushed_and_scored_on_test_from_there(hub, whole):
    from hfpipe.evaluating import EvaluateOptions, evaluate

    done, out, lines, _ = whole
    assert done.failed == []
    names = ["ridge-concat-7", "mlp-concat-7", "ridge-concat-30", "mlp-concat-30"]
    assert [each.cell.name for each in done.outcomes] == names
    assert lines[0].startswith("1 of 4  ridge-concat-7: rmse_log ")
    place = out / "cells" / "7" / "ridge" / "concat"
    for name in ("config.yaml", "metrics.json", "predictions.jsonl", "cell.json", "report.html"):
        assert (place / name).is_file(), name
    assert not list(out.rglob("checkpoints"))
    assert not (out / ".running").exists()
    model = read(place / "cell.json")["model"]
    assert model["repo_id"] == "local/whole-ridge-concat-7"
    again = evaluate(
        f"{model['repo_id']}@{model['revision']}",
        hub,
        EvaluateOptions(out=out.parent / "again", baselines=False, quiet=True),
    )
    kept = read(place / "metrics.json")
    assert kept["test"]["metrics"] == again.record.to_dict()["metrics"]
    assert (kept["test"]["n"], kept["validation"]["n"]) == (10, 10)


def test_the_leaderboard_ranks_a_horizon_and_knows_the_mean(whole, datasets):
    done, out, _, _ = whole
    board = read(out / "leaderboard.json")
    assert board == json.loads(json.dumps(done.board))
    assert list(board["horizons"]) == ["7", "30"]
    for horizon, found in board["horizons"].items():
        first, second = found["cells"]
        assert first["test"] <= second["test"]
        assert (first["family"], first["to_best"]) == ("ridge", 0)
        assert second["to_best"] == pytest.approx(second["test"] - first["test"])
        assert second["to_best_percent"] == pytest.approx(100 * second["to_best"] / first["test"])
        assert first["test"] < 0.5 * found["constant"]["test"]
        assert found["dataset"] == f"local/views-{horizon}"
    table = list(csv.DictReader((out / "leaderboard.csv").open()))
    assert [row["cell"] for row in table if row["horizon"] == "7"] == [
        row["cell"] for row in board["horizons"]["7"]["cells"]
    ]
    page = (out / "leaderboard.html").read_text()
    assert "local/whole-mlp-concat-30@" in page
    assert "<script" not in page
    values = read(out / "slices.json")["7"]["ridge-concat-7"]["text_present"]
    assert {name: each["n"] for name, each in values.items()} == {"0": 5, "1": 5}
    best = read(out / "comparison.json")["7"]["best_strategy_on_validation"]
    assert best["ridge"]["strategy"] == "concat"


def test_the_constant_is_the_mean_of_train(hub, whole):
    import pandas as pd

    from tests.suites.conftest import rows

    _, out, _, _ = whole
    train, test = (np.log1p(pd.DataFrame(rows(n, at + 7)).views) for n, at in ((40, 0), (10, 2)))
    expected = np.sqrt(np.mean((test - train.mean()) ** 2))
    found = read(out / "leaderboard.json")["horizons"]["7"]["constant"]["test"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_stacking_learns_from_rows_that_no_base_had_seen(whole):
    import pandas as pd

    _, out, lines, _ = whole
    place = out / "stacking" / "7"
    table = pd.read_parquet(place / "oof_predictions.parquet")
    assert len(table) == 40
    assert sorted(table.fold_1.value_counts()) == [20, 20]
    told = read(place / "metrics.json")
    errors = [np.sqrt(np.mean((table[f"ridge_{at}"] - table.truth) ** 2)) for at in (1, 2)]
    assert told["out_of_fold"]["ridge"] == pytest.approx(np.mean(errors))
    assert told["not_worse_out_of_fold"] == (
        told["out_of_fold"][f"stacking_{told['meta']}"] <= told["out_of_fold"]["ridge"]
    )
    assert told["test"]["ridge"] == pytest.approx(
        read(out / "cells/7/ridge/concat/metrics.json")["test"]["metrics"]["rmse_log"], abs=1e-5
    )
    assert set(read(place / "weights.json")["names"]) == {"ridge", "mlp"}
    # Out of fold, a linear model of 40 rows errs more than on its own train rows.
    assert told["out_of_fold"]["ridge"] > 0.1
    assert "stacking 7: fold 4 of 4" in lines


def test_all_of_it_is_copied_to_the_mirror_and_nothing_else(whole):
    _, out, _, _ = whole
    copy = Path(f"{out}-copy")

    def files(folder: Path) -> dict[str, bytes]:
        found = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    assert files(copy) == files(out)


def test_a_second_start_keeps_all_and_a_deleted_model_is_made_again(cli, hub, whole):
    from huggingface_hub import HfApi

    _, out, _, suite = whole
    states = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*/*/*")}
    folds = {path: path.stat().st_mtime_ns for path in out.glob("stacking/*/folds/*")}
    assert len(folds) == 2 * 2 * 4
    board, page = (out / "leaderboard.json").read_bytes(), (out / "leaderboard.html").read_bytes()
    HfApi(token=hub.token).delete_repo("local/whole-ridge-concat-30")
    ran = run(cli, suite, out)
    assert ran.code == 0, ran.err
    assert ran.out.count("(kept)") == 3
    assert "stacking 7: fold 1 of 4: kept" in ran.out
    assert f"next:   open {out}/leaderboard.html" in ran.out
    changed = {path for path, mtime in states.items() if path.stat().st_mtime_ns != mtime}
    assert {path.parent for path in changed} == {out / "cells" / "30" / "ridge" / "concat"}
    assert {path: path.stat().st_mtime_ns for path in folds} == folds
    assert (out / "leaderboard.json").read_bytes() == board
    assert (out / "leaderboard.html").read_bytes() != page  # another commit and time


@pytest.mark.long
def test_killed_in_the_middle_it_loses_one_cell_and_ends_the_same(cli, whole, tmp_path):
    _, before, _, suite = whole
    out, alone = tmp_path / "killed", ("suite.mirror=null",)
    command = [sys.executable, "-m", "hfpipe", "finetune", "--recipe", str(suite), "--no-wandb"]
    process = subprocess.Popen([*command, "--out", str(out), *alone], start_new_session=True)
    finished = out / "cells" / "7" / "ridge" / "concat" / "cell.json"
    try:
        deadline = time.monotonic() + 120
        while not finished.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert finished.exists()
    there = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*/*/*")}
    cells = {path.parent for path in there}
    assert 1 <= len(cells) < 4
    ran = run(cli, suite, out, *alone)
    assert ran.code == 0, ran.err
    assert ran.out.count("(kept)") == len(cells)
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert not (out / ".running").exists()
    for name in ("leaderboard.json", "leaderboard.csv", "comparison.json", "slices.json"):
        assert (out / name).read_bytes() == (before / name).read_bytes(), name
    for name in ("metrics.json", "weights.json", "oof_predictions.parquet"):
        one, other = (place / "stacking" / "7" / name for place in (out, before))
        assert one.read_bytes() == other.read_bytes(), name


def test_one_failing_cell_is_named_and_stops_no_other(cli, suite_file, datasets, tmp_path):
    vary = {"data.dataset": datasets[:1], "training.learning_rate": [1e30, 0.01]}
    ran = run(cli, suite_file("failing", ["toy_mlp"], vary), tmp_path)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "1 of 2 cells or steps failed, first toy-mlp-1e-30-views-7: " in ran.err
    board = read(tmp_path / "leaderboard.json")
    (failed,) = board["failed"]
    assert failed["cell"] == "toy-mlp-1e-30-views-7"
    assert failed["error"] in ran.out
    (row,) = board["horizons"]["views-7"]["cells"]
    assert row["cell"] == "toy-mlp-0.01-views-7"
    assert failed["error"].split()[0] in (tmp_path / "leaderboard.html").read_text()


@pytest.mark.parametrize(
    ("recipes", "vary", "block", "said"),
    [
        (["no_such"], {}, {}, "no_such.yaml does not exist"),
        (["toy_ridge", "toy_ridge"], {}, {}, "stands there twice"),
        (["toy_ridge"], {"model.config.stratgy": ["concat"]}, {}, "'model.config.strategy'"),
        (["toy_ridge"], {STRATEGY: []}, {}, "suite.vary.model.config.strategy is empty"),
        (["toy_ridge"], {STRATEGY: ["concat", "conact"]}, {}, "no 'conact'; did you mean"),
        (["toy_ridge"], {STRATEGY: ["sum_pool", "sum-pool"]}, {}, "would both be called"),
        (["toy_ridge"], {"data.dataset": ["local/none"]}, {}, "'local/none'"),
        (["toy_ridge"], {"data.dataset": ["local/eleven"]}, {}, "has 11 rows with a label"),
        (["toy_ridge"], {"data.dataset": ["local/leaky"]}, {}, "refuses column 'size'"),
        (["toy_ridge"], {"training.num_train_epochs": [1, 2]}, {}, "only training.seed counts"),
        (["toy_ridge"], {}, {"folds": 1}, "suite.folds=1"),
        (["toy_ridge"], {}, {"mirror": "nowhere://a/b"}, "suite.mirror: nowhere://a/b"),
    ],
)
def test_what_was_given_wrong_is_said_before_any_cell_runs(
    cli, hub, suite_file, datasets, tmp_path, recipes, vary, block, said
):
    from tests.suites.conftest import push_rows

    if "local/eleven" in str(vary):
        push_rows(hub, "eleven", (11, 10, 10))
    if "local/leaky" in str(vary):
        push_rows(hub, "leaky", leakage_columns=["size"])
    vary = {"data.dataset": datasets[:1], **vary}
    ran = run(cli, suite_file("wrong", recipes, vary, **block), tmp_path / "out")
    assert ran.code == 2, ran.out
    assert ran.err.count("\n") == 1
    assert said in ran.err
    assert not (tmp_path / "out").exists()


def test_a_dataset_can_be_given_where_the_suite_varies_none(cli, suite_file, datasets, tmp_path):
    alone = suite_file("alone", ["toy_ridge"], {STRATEGY: ["concat"]})
    ran = run(cli, alone, tmp_path)
    assert (ran.code, "give --dataset" in ran.err) == (2, True)
    ran = run(cli, alone, tmp_path, "--dataset", datasets[0], "--target", "local/mine")
    assert ran.code == 0, ran.err
    (row,) = read(tmp_path / "leaderboard.json")["horizons"]["views-7"]["cells"]
    assert row["model"] == "local/mine-toy-ridge-concat"
    both = suite_file("both", ["toy_ridge"], {"data.dataset": datasets[:1]})
    ran = run(cli, both, tmp_path, "--dataset", datasets[0])
    assert (ran.code, "names its datasets itself" in ran.err) == (2, True)
