"""``hfpipe compare``: ranks, differences by hand computation, recipes, repos, and bad input."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hfpipe.evaluation.predictions import task_rows, write_jsonl
from hfpipe.evaluation.record import evaluation_record
from hfpipe.metrics.tasks import Task, task_of

PLACE = {"dataset": "local/compared", "dataset_revision": "2e" * 20, "split": "test"}
YES = task_of("binary", ["no", "yes"])
TIED = "not distinguishable from the best"
ENDINGS = ("csv", "html", "json")
TRUTH = np.array([1, 1, 1, 1, 0, 0, 0, 0] * 25)


def result(folder: Path, task: Task, truth, scores, config="", **more) -> Path:
    """A folder as 'hfpipe evaluate' leaves it."""
    groups = more.pop("groups", None)
    ids = more.pop("ids", [f"r{at}" for at in range(len(truth))])
    about = {"model": f"ada/{folder.name}", "model_revision": "1f" * 20, **PLACE, **more}
    record = evaluation_record(task, truth, scores, **about)
    record = replace(record, intervals={"accuracy": [0.1, 0.95]})
    record.write(folder / "metrics.json")
    rows = list(task_rows(task, ids, [{}] * len(ids), truth, scores, record.threshold))
    if groups is not None:
        rows = [{**row, "group": group} for row, group in zip(rows, groups, strict=True)]
    write_jsonl(folder / "predictions.jsonl", rows)
    if config:
        (folder / "config.yaml").write_text(config)
    return folder


def answers(wrong: int, start: int = 0, sure: float = 0.9) -> np.ndarray:
    """Scores that have so many rows wrong, from a row on."""
    right = np.where(TRUTH == 1, sure, 1 - sure)
    right[start : start + wrong] = 1 - right[start : start + wrong]
    return right


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Of 200 rows the best has 20 wrong, the next 22 (of which 18 are the same), the last 80."""
    known = {"best": ("x", "1.0e-5"), "near": ("x", "3.0e-5"), "far": ("y", "1.0e-5")}
    said = {"best": answers(20), "near": answers(22, 2), "far": answers(80, 0, 0.8)}
    found = {}
    for name, (base, rate) in known.items():
        config = f"model: {{base: {base}}}\ntraining: {{seed: 1, learning_rate: {rate}}}\n"
        found[name] = result(tmp_path / name, YES, TRUTH, said[name], config)
    return found


def board_of(out: Path) -> dict:
    return json.loads((out / "compare.json").read_text())


def test_models_are_ranked_with_differences_worked_out_by_hand(cli, folders, tmp_path):
    out = tmp_path / "out"
    given = [folders[name] for name in ("far", "near", "best")]
    ran = cli("compare", *given, "--metric", "accuracy", "--out", out)
    assert ran.code == 0, ran.err
    board = board_of(out)
    assert (board["metric"], board["direction"]) == ("accuracy", "higher")
    assert [Path(each["name"]).name for each in board["models"]] == ["best", "near", "far"]
    best, near, far = board["models"]
    assert [each["rank"] for each in board["models"]] == [1, 2, 3]
    assert [each["value"] for each in board["models"]] == pytest.approx([0.9, 0.89, 0.6])
    assert (best["low"], best["high"], best["difference"]) == (0.1, 0.95, None)
    # near: rows 0 and 1 right that the best has wrong, rows 20 to 23 the other way round
    assert near["difference"]["value"] == pytest.approx(-0.01)
    assert near["difference"]["low"] < 0 < near["difference"]["high"]
    # six rows differ: 2 P(X <= 2) of a binomial with n = 6 is 2 (1 + 6 + 15) / 64
    assert near["mcnemar"] == {"only_this": 2, "only_best": 4, "p": pytest.approx(0.6875)}
    assert near["verdict"] == TIED
    # far: 60 of 200 rows differ, all for the best; one standard error is sqrt(.3 .7 / 200) = .0324
    assert far["difference"]["value"] == pytest.approx(-0.3)
    assert far["difference"]["low"] == pytest.approx(-0.3 - 1.96 * 0.0324, abs=0.01)
    assert far["difference"]["high"] == pytest.approx(-0.3 + 1.96 * 0.0324, abs=0.01)
    assert far["difference"]["p"] < 0.01
    assert far["mcnemar"]["p"] < 1e-10
    assert far["verdict"] == "worse than the best"
    assert board["rows"] == {"common": 200, "left_out": dict.fromkeys(map(str, given), 0)} | {
        "grouped": False
    }
    said = " ".join(ran.out.split())
    assert "has the best accuracy: 0.900 (0.100 to 0.950)." in said
    assert f"Not distinguishable from the best: {folders['near']}." in said
    assert f"Worse than it: {folders['far']}." in said
    assert "[0.1000, 0.9500]" in said
    assert f"wrote {out / 'compare.html'}" in said
    assert ran.out.splitlines()[-1] == f"next:   open {out / 'compare.html'} in a browser"


def test_what_differs_in_the_recipes_is_listed_and_nothing_else(cli, folders, tmp_path):
    ran = cli("compare", *folders.values(), "--out", tmp_path / "out")
    names = {key: str(folder) for key, folder in folders.items()}
    assert board_of(tmp_path / "out")["recipes"] == {
        "model.base": {names["best"]: "x", names["near"]: "x", names["far"]: "y"},
        "training.learning_rate": {
            names["best"]: 1e-5,
            names["near"]: 3e-5,
            names["far"]: 1e-5,
        },
    }
    assert "training.learning_rate" in ran.out
    assert "seed" not in ran.out


def test_the_table_can_be_read_back(cli, folders, tmp_path):
    cli("compare", *folders.values(), "--metric", "log_loss", "--out", tmp_path / "out")
    with (tmp_path / "out" / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert [Path(row["name"]).name for row in rows] == ["best", "near", "far"]
    assert {row["direction"] for row in rows} == {"lower"}
    values = [float(row["value"]) for row in rows]
    assert values == sorted(values)
    # 20 and 22 of 200 rows wrong, at 0.9: 2/200 (ln 0.9 - ln 0.1) between them
    assert float(rows[1]["difference"]) == pytest.approx(0.01 * np.log(9), abs=1e-6)
    assert float(rows[1]["difference_low"]) < 0 < float(rows[1]["difference_high"])
    assert rows[0]["difference"] == rows[0]["mcnemar_p"] == ""
    assert float(rows[1]["mcnemar_p"]) == pytest.approx(0.6875)  # of decisions, whatever ranks
    assert float(rows[2]["accuracy"]) == 0.6
    assert rows[0]["n"] == "200"


def test_the_primary_metric_decides_and_a_missing_one_comes_last_with_its_reason(
    cli, folders, tmp_path
):
    record = json.loads((folders["far"] / "metrics.json").read_text())
    record["metrics"]["roc_auc"] = None
    record["undefined"] = {"roc_auc": "no row is positive"}
    (folders["far"] / "metrics.json").write_text(json.dumps(record))
    ran = cli("compare", folders["far"], folders["near"], "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    board = board_of(tmp_path / "out")
    assert board["metric"] == "roc_auc"
    last = board["models"][-1]
    assert (last["rank"], last["value"], last["reason"]) == (None, None, "no row is positive")
    assert last["verdict"] is None
    assert f"{folders['far']}: no row is positive" in ran.out


def test_rows_that_not_all_have_are_counted_and_left_out_of_the_differences(cli, tmp_path):
    ids = [f"r{at}" for at in range(200)]
    more = np.append(TRUTH, [1] * 50)
    result(tmp_path / "a", YES, TRUTH, answers(20), ids=ids)
    # all of its 50 further rows wrong: 70 of 250, but 20 of the 200 common ones
    scores = np.append(answers(20), [0.1] * 50)
    result(tmp_path / "b", YES, more, scores, ids=[*ids, *(f"s{at}" for at in range(50))])
    ran = cli(
        *("compare", tmp_path / "a", tmp_path / "b", "--metric", "accuracy"),
        *("--out", tmp_path / "out"),
    )
    board = board_of(tmp_path / "out")
    assert board["rows"]["common"] == 200
    second = board["models"][1]
    assert second["value"] == 0.72
    assert second["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    assert f"{tmp_path / 'b'}: 50 labelled rows not in all results" in ran.out


def test_rows_of_one_group_are_drawn_together(cli, tmp_path):
    """Ten groups of 20 rows that are all right or all wrong say as much as ten rows."""
    groups = np.repeat(np.arange(10), 20)
    first = answers(0, sure=0.6)
    scores = np.where(groups < 4, 1 - first, first)
    for name, each in {"a": first, "b": scores}.items():
        result(tmp_path / name, YES, TRUTH, each, groups=groups)
        result(tmp_path / f"alone-{name}", YES, TRUTH, each)
    found = {}
    for kind in ("", "alone-"):
        given = [tmp_path / f"{kind}{name}" for name in "ab"]
        cli("compare", *given, "--metric", "accuracy", "--out", tmp_path / f"{kind}out")
        found[kind] = board_of(tmp_path / f"{kind}out")
    wide, narrow = (each["models"][1]["difference"] for each in found.values())
    assert wide["value"] == narrow["value"] == -0.4
    # standard errors: sqrt(.24 / 10) = .155 against sqrt(.24 / 200) = .035
    assert wide["high"] - wide["low"] > 3 * (narrow["high"] - narrow["low"])
    assert found[""]["rows"]["grouped"]
    assert found[""]["models"][1]["mcnemar"] is None
    assert found["alone-"]["models"][1]["mcnemar"]["only_best"] == 80


def test_groups_that_one_result_knows_count_for_all(cli, tmp_path):
    groups = np.repeat(np.arange(10), 20)
    result(tmp_path / "old", YES, TRUTH, answers(0, sure=0.6))
    result(tmp_path / "new", YES, TRUTH, answers(30, sure=0.7), groups=groups)
    cli("compare", tmp_path / "old", tmp_path / "new", "--out", tmp_path / "out")
    board = board_of(tmp_path / "out")
    assert board["rows"]["grouped"]
    assert board["models"][1]["mcnemar"] is None


def test_predictions_of_another_run_give_no_difference_but_the_reason(cli, folders, tmp_path):
    (folders["near"] / "predictions.jsonl").write_text(
        (folders["far"] / "predictions.jsonl").read_text()
    )
    ran = cli("compare", *folders.values(), "--metric", "accuracy", "--out", tmp_path / "out")
    near = board_of(tmp_path / "out")["models"][1]
    assert near["difference"] is None
    assert near["verdict"] is None
    assert "gives accuracy 0.6000 and metrics.json 0.8900" in near["no_difference"]
    assert "gives accuracy 0.6000 and metrics.json 0.8900" in ran.out
    (folders["near"] / "predictions.jsonl").unlink()
    cli("compare", *folders.values(), "--metric", "accuracy", "--out", tmp_path / "out")
    assert board_of(tmp_path / "out")["models"][1]["no_difference"].endswith(
        "it has no predictions.jsonl"
    )


@pytest.mark.parametrize("kind", ["classification", "multi_label", "regression"])
def test_every_task_is_compared(cli, tmp_path, kind):
    draw, labels = np.random.default_rng(0), [] if kind == "regression" else ["a", "b", "c"]
    task = task_of(kind, labels, log1p=kind == "regression")
    truth, good, bad = {
        "classification": lambda: _classes(draw),
        "multi_label": lambda: _marks(draw),
        "regression": lambda: _numbers(draw),
    }[kind]()
    result(tmp_path / "good", task, truth, good)
    result(tmp_path / "bad", task, truth, bad)
    ran = cli("compare", tmp_path / "bad", tmp_path / "good", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    best, other = board_of(tmp_path / "out")["models"]
    assert (Path(best["name"]).name, other["verdict"]) == ("good", "worse than the best")
    assert other["difference"]["value"] == pytest.approx(
        other["value"] - best["value"], rel=1e-3, abs=1e-6
    )


def _classes(draw):
    truth = draw.integers(0, 3, 300)
    sure = np.eye(3)[truth]
    noise = draw.dirichlet([1, 1, 1], 300)
    return truth, 0.5 * sure + 0.5 * noise, 0.2 * sure + 0.8 * noise


def _marks(draw):
    truth = (draw.random((300, 3)) < 0.4).astype(float)
    noise = draw.random((300, 3))
    return truth, 0.5 * truth + 0.5 * noise, 0.1 * truth + 0.9 * noise


def _numbers(draw):
    truth, noise = draw.normal(8, 1, 300), draw.normal(size=300)
    return truth, truth + 0.3 * noise, truth + noise


BAD = {
    "one only": ("compare best", ("1 given", "takes two")),
    "none": ("compare", ("Missing argument", "compare --help")),
    "the same twice": ("compare best ./best", ("one and the same",)),
    "no such folder": ("compare best ./bset", ("./bset", "no such folder")),
    "no metrics.json": ("compare best empty", ("empty", "no metrics.json")),
    "unknown metric": (
        "compare best near --metric acuracy",
        ("--metric acuracy", "did you mean 'accuracy'"),
    ),
    "another task's metric": (
        "compare best near --metric rmse_raw",
        ("no result has the metric 'rmse_raw'",),
    ),
    "no resamples": ("compare best near --resamples 0", ("--resamples",)),
    "one resample": ("compare best near --resamples 1", ("--resamples: 1 is too few",)),
    "another test set": (
        "compare best other",
        ("best and other", "dataset 'local/compared' against 'local/else'", "hfpipe evaluate"),
    ),
    "another split": (
        "compare best near --split validation",
        ("--split validation", "best holds a result of split 'test'", "hfpipe evaluate ada/best"),
    ),
    "a split that is a path": ("compare best near --split ../x", ("not a split's name",)),
    "a file that is no JSON": ("compare best broken", ("broken/metrics.json", "not JSON")),
}


@pytest.mark.parametrize(("line", "says"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_writes_nothing(cli, folders, tmp_path, monkeypatch, line, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metrics.json").write_text("{")
    result(tmp_path / "other", YES, TRUTH, answers(3), dataset="local/else")
    ran = cli(*line.split(), *(["--out", "out"] if len(line.split()) > 1 else []))
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    for words in says:
        assert words in ran.err
    assert not (tmp_path / "out").exists()


def test_unknown_repo_is_one_line(cli, hub, folders):
    ran = cli("compare", folders["best"], "local/compare-nothing")
    assert ran.code == 2
    assert "local/compare-nothing: there is no such folder, and model repo" in ran.err
    assert "does not exist" in ran.err


@pytest.fixture
def pushed(hub, folders):
    """Push a folder's result as 'hfpipe evaluate --push' does, beside a story of its model."""
    from hfpipe.hub.publish import publish

    def push(repo_id: str, folder: str, seed: int) -> str:
        story = {"config": {"training": {"seed": seed}}, "dataset": {"repo_id": "local/compared"}}
        told = {"hfpipe/run.json": json.dumps(story).encode()}
        made = publish(hub, repo_id, "model", told, "a model")
        record = json.loads((folders[folder] / "metrics.json").read_text())
        record |= {"model": repo_id, "model_revision": made.revision}
        files = {
            "metrics.json": json.dumps(record).encode(),
            "predictions.jsonl": (folders[folder] / "predictions.jsonl").read_bytes(),
        }
        place = "hfpipe/evaluation/test"
        results = {f"{place}/{name}": content for name, content in files.items()}
        publish(hub, repo_id, "model", results, "results")
        return made.revision

    return push


def test_pushed_results_are_compared_without_a_model(cli, pushed, tmp_path):
    revision = pushed("local/compare-a", "best", 1)
    pushed("local/compare-b", "far", 2)
    out = tmp_path / "out"
    ran = cli("compare", "local/compare-b", "local/compare-a", "--out", out)
    assert ran.code == 0, ran.err
    board = board_of(out)
    assert [each["name"] for each in board["models"]] == ["local/compare-a", "local/compare-b"]
    assert board["models"][0]["model_revision"] == revision
    assert f"local/compare-a@{revision[:12]}" in ran.out
    assert board["models"][1]["verdict"] == "worse than the best"
    assert board["recipes"] == {"training.seed": {"local/compare-a": 1, "local/compare-b": 2}}
    assert "it may have learned from rows that are scored here" in board["notes"][0]
    assert {path.name for path in out.iterdir()} == {f"compare.{end}" for end in ENDINGS}


def test_results_of_an_older_model_do_not_count(hub, pushed):
    from hfpipe.evaluation.subjects import find_subject, take_pushed
    from hfpipe.hub.publish import publish

    revision = pushed("local/compare-c", "best", 1)
    subject = find_subject("local/compare-c", hub)
    take_pushed(subject, hub, "test")
    assert subject.result.record.metrics["accuracy"] == 0.9
    newer = {"hfpipe/run.json": b'{"config": {"training": {"seed": 3}}}'}
    publish(hub, "local/compare-c", "model", newer, "trained anew")
    subject = find_subject("local/compare-c", hub)
    take_pushed(subject, hub, "test")
    assert subject.result is None
    assert subject.why == f"the results in the repo are of its commit {revision[:12]}"


def test_a_repo_without_results_is_evaluated_on_the_rows_of_the_others(
    cli, hub, toy_model, tmp_path
):
    import hfpipe

    cli("evaluate", toy_model, "--no-baselines", "--out", tmp_path / "toy")
    out = tmp_path / "out"
    ran = cli("compare", tmp_path / "toy", toy_model, "--metric", "accuracy", "--out", out)
    assert ran.code == 0, ran.err
    assert f"{toy_model}: the repo has no results of split 'test': evaluating it now" in ran.out
    now = out / "local--toys-model" / "predictions.jsonl"
    assert now.read_bytes() == (tmp_path / "toy" / "predictions.jsonl").read_bytes()
    board = board_of(out)
    assert [each["rank"] for each in board["models"]] == [1, 1]
    assert board["models"][1]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    assert board["models"][1]["verdict"] == TIED
    told = f"{toy_model}: the repo has no results of split 'test': evaluated now into {now.parent}"
    assert board["notes"] == [told]
    again = hfpipe.compare(
        tmp_path / "toy", out / "local--toys-model", hub=hub.url, out=out / "again", quiet=True
    )
    assert again.board["notes"] == []
    assert again.board["recipes"] == {}
