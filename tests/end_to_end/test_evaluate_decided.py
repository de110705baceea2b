"""``hfpipe evaluate``: intervals, leaks, a threshold for another aim, and results pushed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hfpipe.metrics.tasks import task_of
from tests.toys import push_rows, read_jsonl, write_jsonl
from tests.training.support import METADATA, PREPARED, pushed_bytes, pushed_files, rows, tune

MLP = {"kind": "concat_mlp", "config": {"sizes": [8]}}
LEAKED = 6
KEYS = ("size", "weight", "channel", "answer", "author", "topic")


def plain(found: list[dict]) -> list[dict]:
    return [{name: row[name] for name in ("row_id", *KEYS)} for row in found]


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    """Rows split by author, six of train in test again."""
    train, test = plain(rows(120, 1)), plain(rows(48, 3))
    again = [{**row, "row_id": f"again-{row['row_id']}"} for row in train[:LEAKED]]
    prepared = {**PREPARED, "options": {"group_by": "author"}}
    return push_rows(
        hub,
        "local/decided",
        prepared,
        train=train,
        validation=plain(rows(48, 2)),
        test=[*test, *again],
    )


@pytest.fixture(scope="module")
def tuned(hub, dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("decided")
    given = {"task": "binary", "evaluation": {"baselines": True, "resamples": 200}}
    return tune(hub, folder, "decided-model", dataset, MLP, METADATA, **given)


@pytest.fixture
def evaluated(cli, tuned, tmp_path):
    """Run the verb; gives what it printed, the record and the predictions."""

    def run(*options: object) -> tuple[str, dict, list[dict]]:
        ran = cli("evaluate", tuned.model.repo_id, "--out", tmp_path / "out", *options)
        assert ran.code == 0, ran.err
        record = json.loads((tmp_path / "out" / "metrics.json").read_text())
        return ran.out, record, read_jsonl(tmp_path / "out" / "predictions.jsonl")

    return run


def test_everything_a_decision_needs_is_in_the_record(evaluated, dataset):
    said, record, found = evaluated()
    assert record["interval_method"]["groups"] == "author"
    assert record["interval_method"]["resamples"] == 200
    low, high = record["intervals"]["roc_auc"]
    assert low <= record["metrics"]["roc_auc"] <= high
    assert found[0]["group"] == "author-3-0"
    leaks = record["slices"]["near-duplicate in train"]
    assert (leaks["leaked"]["n"], leaks["clean"]["n"]) == (LEAKED, 48)
    assert set(record["differences"]) == set(record["baselines"])
    assert record["threshold_for"] == "f1"
    assert record["calibration"]["rows"] == 48
    assert "95 % interval" in said
    assert "chosen on validation for f1" in said
    assert "calibration: " in said


def test_a_threshold_for_another_aim_is_chosen_on_validation(evaluated, tuned):
    _, record, _ = evaluated("--threshold-for", "cost=20:1")
    validation = read_jsonl(Path(tuned.folder) / "predictions.jsonl")
    truth = [float(row["truth"] == "yes") for row in validation]
    scores = [row["score"] for row in validation]
    chosen = task_of("binary", ["no", "yes"]).best_threshold(truth, scores, "cost=20:1")
    assert record["threshold"] == pytest.approx(chosen, abs=2e-6)
    assert record["threshold_for"] == "cost=20:1"
    assert record["threshold"] > tuned.record.threshold + 0.1, "a false alarm costs 20 misses"


def test_results_are_pushed_in_one_commit_without_what_the_model_was_shown(
    cli, hub, evaluated, tuned
):
    before = pushed_files(hub, tuned)
    said, record, found = evaluated("--push")
    assert "pushed  " in said
    new = pushed_files(hub, tuned) - before
    folder = "hfpipe/evaluation/test"
    (results,) = (path for path in new if path.startswith(".eval_results/"))
    assert new == {results, f"{folder}/metrics.json", f"{folder}/predictions.jsonl"}

    from hfpipe.hub.repos import api, download

    revision = api(hub).model_info(tuned.model.repo_id).sha

    def content(path: str) -> str:
        found = download(hub, tuned.model.repo_id, "model", path, revision)
        assert found is not None
        return found.read_text(encoding="utf-8")

    assert json.loads(content(f"{folder}/metrics.json")) == record
    pushed = [json.loads(line) for line in content(f"{folder}/predictions.jsonl").splitlines()]
    assert [{**row, "inputs": None} for row in found] == [{**row, "inputs": None} for row in pushed]
    assert not any("inputs" in row for row in pushed)
    first = yaml.safe_load(content(results))[0]
    assert first["dataset"]["id"] == "local/decided"
    assert first["dataset"]["revision"] == record["dataset_revision"]
    assert first["value"] in record["metrics"].values()
    assert "of the test split" in content("README.md")
    assert pushed_bytes(hub, tuned, "model.safetensors"), "the commit of training is still there"
    log = api(hub).list_repo_commits(tuned.model.repo_id)
    assert log[0].title == "Evaluate on local/decided, split test"


def test_what_cannot_be_pushed_is_refused_before_any_row_is_scored(cli, tuned, tmp_path):
    file = write_jsonl(tmp_path / "rows.jsonl", plain(rows(6, 9)))
    ran = cli("evaluate", tuned.model.repo_id, "--file", file, "--push", "--out", tmp_path / "no")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "--push: only results on a dataset repo" in ran.err
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("--examples", "5"), "not on its first 5 rows"),
        (("--threshold-for", "cost=20:1"), "does not decide by --threshold-for cost=20:1"),
    ],
)
def test_only_what_the_pushed_model_does_on_a_split_is_pushed(cli, tuned, tmp_path, given, line):
    ran = cli("evaluate", tuned.model.repo_id, "--push", "--out", tmp_path / "no", *given)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert line in ran.err
    assert not (tmp_path / "no").exists()


def test_a_split_without_labels_gives_nothing_to_push(cli, hub, tuned, tmp_path):
    bare = [{**row, "answer": None} for row in plain(rows(6, 9))]
    other = push_rows(hub, "local/decided-bare", test=bare)
    ran = cli(
        *("evaluate", tuned.model.repo_id, "--dataset", other, "--push"),
        *("--out", tmp_path / "no", "--quiet"),
    )
    assert ran.code == 2
    assert "--push: dataset repo 'local/decided-bare', split 'test': no row has a label" in ran.err
    assert not (tmp_path / "no").exists()


def test_results_of_an_earlier_model_go_with_it(cli, hub, dataset, tmp_path):
    from hfpipe.hub.repos import api

    def results(revision: str) -> set[str]:
        names = api(hub).list_repo_files("local/decided-twice", revision=revision)
        return {name.partition("/")[0] for name in names if "eval" in name}

    given = {"task": "binary", "training": {"num_train_epochs": 1}}
    flags = ("--push", "--no-baselines", "--out", tmp_path / "out")
    first = tune(hub, tmp_path, "decided-twice", dataset, MLP, METADATA, **given).model
    ran = cli("evaluate", first.repo_id, *flags)
    assert ran.code == 0, ran.err
    assert results("main") == {".eval_results", "hfpipe"}
    second = tune(hub, tmp_path, "decided-twice", dataset, MLP, METADATA, task="binary").model
    assert results(second.revision) == set()

    ran = cli("evaluate", f"{first.repo_id}@{first.revision}", *flags)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "holds another model by now" in ran.err
    ran = cli("evaluate", f"{first.repo_id}@{second.revision}", *flags)
    assert ran.code == 0, ran.err


def test_a_column_that_these_rows_lack_is_told(cli, tuned, tmp_path):
    table = [{**row, "size": None} for row in plain(rows(6, 9))]
    file = write_jsonl(tmp_path / "rows.jsonl", table)
    ran = cli("evaluate", tuned.model.repo_id, "--file", file, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert f"note: 'size': nothing in any row of {file}; the model takes it" in ran.out
    assert "'weight': nothing" not in ran.out


@pytest.mark.parametrize(
    ("aim", "line"),
    [("f", "threshold"), ("precision_at_recall=2", "recall"), ("youdn", "did you mean 'youden'")],
)
def test_an_aim_that_is_none_is_one_line(cli, tuned, aim, line):
    ran = cli("evaluate", tuned.model.repo_id, "--threshold-for", aim)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert line in ran.err


def test_an_aim_that_validation_does_not_reach_is_said_and_never_met_by_another(cli, hub, tmp_path):
    train, held_out = plain(rows(60, 1)), plain(rows(24, 2))
    wrong = [{**row, "answer": "no" if row["size"] > -2 else "yes"} for row in held_out]
    wrong[0]["answer"] = "yes"
    data = push_rows(
        hub, "local/decided-far", PREPARED, train=train, validation=wrong, test=held_out
    )
    aim = "recall_at_precision=1.0"
    given = {"task": "binary", "evaluation": {"threshold_for": aim, "resamples": 0}}
    far = tune(hub, tmp_path, "decided-far-model", data, MLP, METADATA, **given)
    assert far.notes[0].startswith(f"the threshold is 0.5, not chosen: no threshold serves '{aim}'")
    model = far.model.repo_id
    ran = cli("evaluate", model, "--threshold-for", aim, "--out", tmp_path / "no", "--quiet")
    assert ran.code == 2
    assert "split 'validation': no threshold has precision 1: the highest is 0." in ran.err
    assert not (tmp_path / "no").exists()
    file, out = write_jsonl(tmp_path / "in.jsonl", held_out), tmp_path / "out.csv"
    ran = cli("predict", model, "--input", file, "--output", out)
    assert "yes     from a score of 0.5000 on, not chosen" in ran.out


def test_results_on_another_dataset_do_not_take_the_place_of_those_on_its_own(cli, hub, tuned):
    push_rows(hub, "local/decided-other", PREPARED, test=plain(rows(6, 9)))
    other = ("--dataset", "local/decided-other")
    ran = cli("evaluate", tuned.model.repo_id, *other, "--push", "--quiet")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "is of its own dataset, 'local/decided'" in ran.err


def test_several_classes_have_no_threshold_to_ask_for(cli, hub, dataset, tmp_path):
    given = {"task": "classification", "label": "topic", "training": {"num_train_epochs": 1}}
    model = tune(hub, tmp_path, "decided-topics", dataset, MLP, METADATA, **given).model.repo_id
    ran = cli("evaluate", model, "--threshold-for", "f1")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "threshold" in ran.err


def test_an_evaluation_is_a_run_of_its_own(evaluated, tmp_path):
    evaluated("--wandb")
    (run,) = (tmp_path / "out").glob("wandb/offline-run-*/run-*.wandb")
    assert run.stat().st_size > 10_000
