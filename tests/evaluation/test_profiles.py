"""Authors judged by all of their rows: chosen on validation, compared in four ways, pushed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hfpipe.blocks import Evaluation
from hfpipe.errors import UserError
from hfpipe.evaluation.profiles import ProfileChoice, owners_truth
from tests.training.support import (
    SEQUENCE,
    SMALL_SEQUENCE,
    push,
    pushed_bytes,
    rows,
    scores,
    story,
    tune,
)

WAYS = {"mean", "median", "mean_vote", "total_vote"}
GROUPED = {"group_by": "author"}
FAST = {"learning_rate": 1e-2, "num_train_epochs": 4}


def profile(hub, folder, target: str, dataset: str, **config: Any):
    model = {"kind": "profile", "config": {**SMALL_SEQUENCE, **config}}
    return tune(
        hub,
        folder,
        target,
        dataset,
        model,
        SEQUENCE,
        training=FAST,
        evaluation=GROUPED,
        task="binary",
    )


def from_countries(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows with a column that is the author's: every third one is from France."""
    return [
        {**row, "country": ["at", "fr", "de"][at // 3 % 3]}
        for at, row in enumerate(rows(count, seed))
    ]


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    splits = {"train": (120, 1), "validation": (48, 2), "test": (48, 3)}
    return push(hub, "authors", **{name: from_countries(*each) for name, each in splits.items()})


@pytest.fixture(scope="module")
def tuned(hub, dataset, tmp_path_factory):
    return profile(hub, tmp_path_factory.mktemp("profile"), "profile", dataset)


@pytest.fixture(scope="module")
def found(hub, tuned, tmp_path_factory):
    return scores(hub, tmp_path_factory.mktemp("scores"), tuned)


def test_one_prediction_an_author_in_the_order_of_the_rows(found):
    authors = list(dict.fromkeys(row["author"] for row in rows(48, 3)))
    assert [row["row_id"] for row in found.rows] == authors
    assert found.record.n == len(found.rows) == 16
    assert [row["truth"] for row in found.rows] == ["no", "yes"] * 8
    assert found.rows[0]["inputs"] == {"author": authors[0], "rows": 3}
    assert found.record.metrics["roc_auc"] > 0.95


def test_a_loaded_profile_says_of_rows_what_evaluate_wrote(hub, tuned, found):
    from hfpipe.loading import load_pushed

    bare = [{key: row[key] for key in ("author", "messages")} for row in rows(48, 3)]
    said = load_pushed(hub, tuned.model.repo_id).predict(bare)
    assert [row["row_id"] for row in said] == [row["row_id"] for row in found.rows]
    assert [row["prediction"] for row in said] == [row["prediction"] for row in found.rows]
    assert [row["score"] for row in said] == pytest.approx(
        [row["score"] for row in found.rows], abs=2e-6
    )
    assert {row["truth"] for row in said} == {None}


def test_all_four_aggregations_are_in_the_record(tuned, found):
    for record in (found.record, tuned.record):
        table = record.slices["aggregation"]
        assert set(table) == WAYS
        assert {each["n"] for each in table.values()} == {16}
        # The record's own is that of the recipe, mean.
        for name in ("roc_auc", "f1", "accuracy"):
            assert table["mean"][name] == pytest.approx(record.metrics[name])


def test_every_threshold_was_chosen_on_validation(hub, tuned, found, tmp_path):
    from sklearn.metrics import f1_score

    told = story(hub, tuned)
    chosen = told["profile"]
    assert (chosen["group_by"], chosen["aggregation"]) == ("author", "mean")
    assert set(chosen["decisions"]) == WAYS
    assert found.record.threshold == tuned.record.threshold == chosen["decisions"]["mean"]
    assert told["threshold"] == chosen["decisions"]["mean"]
    # The pushed model votes at the rows' own best threshold.
    config = json.loads(pushed_bytes(hub, tuned, "config.json"))
    assert config["threshold"] == chosen["vote"]
    assert config["aggregation"] == "mean"

    held = scores(hub, tmp_path, tuned, split="validation")
    assert held.record.slices["aggregation"]["mean"] == pytest.approx(
        tuned.record.slices["aggregation"]["mean"], abs=1e-6
    )
    truth = [row["truth"] == "yes" for row in held.rows]
    each = np.array([row["score"] for row in held.rows])
    assert held.record.metrics["f1"] == pytest.approx(max(f1_score(truth, each >= c) for c in each))


def test_a_vote_and_a_way_that_the_recipe_names_are_used(hub, dataset, tmp_path):
    tuned = profile(hub, tmp_path, "profile-votes", dataset, aggregation="mean_vote", threshold=0.3)
    chosen = story(hub, tuned)["profile"]
    assert (chosen["aggregation"], chosen["vote"]) == ("mean_vote", 0.3)
    found = scores(hub, tmp_path / "scores", tuned)
    # A share of three votes.
    assert {round(row["score"] * 3, 4) for row in found.rows} <= {0, 1, 2, 3}
    own = found.record.slices["aggregation"]["mean_vote"]
    for name in ("roc_auc", "average_precision", "f1", "accuracy"):
        assert found.record.metrics[name] == pytest.approx(own[name])
    assert own["threshold"] == found.record.threshold


def test_a_pushed_sequence_model_can_be_the_start(hub, dataset, tmp_path):
    own = {"kind": "sequence", "config": SMALL_SEQUENCE}
    first = tune(hub, tmp_path, "row-model", dataset, own, SEQUENCE, training=FAST, task="binary")
    model = {"kind": "profile", "base": first.model.repo_id}
    still = {"num_train_epochs": 1, "learning_rate": 1e-9}
    tuned = tune(
        hub,
        tmp_path,
        "profile-of-it",
        dataset,
        model,
        SEQUENCE,
        training=still,
        evaluation=GROUPED,
        task="binary",
    )
    assert story(hub, tuned)["origins"]["base"]["revision"] == first.model.revision
    rows_alone = scores(hub, tmp_path / "rows", first)
    authors = scores(hub, tmp_path / "authors", tuned)
    by_author: dict[str, list[float]] = {}
    for row, given in zip(rows_alone.rows, rows(48, 3), strict=True):
        by_author.setdefault(given["author"], []).append(row["score"])
    for row in authors.rows:
        assert row["score"] == pytest.approx(np.mean(by_author[row["row_id"]]), abs=1e-4)


@pytest.mark.parametrize(
    ("config", "evaluation", "words"),
    [
        ({}, {}, "evaluation.group_by: which column"),
        ({}, {"group_by": "autor"}, "'autor'.*did you mean 'author'"),
        ({}, {**GROUPED, "slices": ["channel"]}, "split 'validation': column 'channel' varies"),
        ({"aggregation": "medain"}, GROUPED, "'medain'; did you mean 'median'"),
        ({"hiden_size": 8}, GROUPED, "hiden_size.*did you mean 'hidden_size'"),
    ],
)
def test_what_cannot_work_is_refused_before_any_step(
    hub, dataset, tmp_path, config, evaluation, words
):
    model = {"kind": "profile", "config": {**SMALL_SEQUENCE, **config}}
    with pytest.raises(UserError, match=words):
        tune(hub, tmp_path, "never", dataset, model, SEQUENCE, evaluation=evaluation, task="binary")
    assert not (tmp_path / "never" / "checkpoints").exists()


def test_a_profile_is_told_beside_its_baselines(hub, tuned, tmp_path):
    found = scores(hub, tmp_path, tuned, baselines=True, resamples=60)
    baselines, apart = found.record.baselines, found.record.differences
    # All authors have three rows, so that their number says nothing.
    assert list(baselines) == list(apart) == ["majority", "logistic_regression"]
    assert (baselines["majority"]["roc_auc"], baselines["majority"]["accuracy"]) == (0.5, 0.5)
    assert baselines["majority"]["brier"] == pytest.approx(0.25)
    assert baselines["logistic_regression"]["roc_auc"] > 0.95
    for name, each in baselines.items():
        for metric in ("roc_auc", "average_precision", "f1"):
            ours = found.record.metrics[metric]
            assert apart[name][metric]["value"] == pytest.approx(ours - each[metric])
    least = apart["majority"]["roc_auc"]["low"]
    assert least > 0.3
    assert "Logistic regression" in (tmp_path / "report.html").read_text()


def test_the_baselines_of_validation_are_those_of_groups_too(hub, dataset):
    from hfpipe.blocks import Data, Input
    from hfpipe.evaluation.choosing import validation_guesses
    from hfpipe.inputs.training_data import load_training_data
    from hfpipe.metrics.tasks import task_of

    block = Data(dataset=dataset, inputs={"messages": Input(**SEQUENCE["messages"])}, task="binary")
    data = load_training_data(hub, dataset, block, None, 3)
    choice = ProfileChoice("author", "mean", 0.5)
    found = validation_guesses(task_of("binary"), data, Evaluation(), choice)
    assert list(found) == ["majority", "logistic_regression"]
    assert {len(each.scores) for each in found.values()} == {16}


def test_authors_are_sliced_by_what_is_theirs(hub, tuned, tmp_path):
    found = scores(hub, tmp_path, tuned, slices=["country"])
    sliced = found.record.slices["country"]
    assert {name: each["n"] for name, each in sliced.items()} == {"at": 6, "de": 5, "fr": 5}
    right = [row["prediction"] == row["truth"] for row in found.rows]
    for at, name in enumerate(["at", "fr", "de"]):
        assert sliced[name]["accuracy"] == pytest.approx(np.mean(right[at::3]))
    assert list(found.record.slices) == ["country", "aggregation"]


def test_a_column_that_varies_within_an_author_is_refused(hub, tuned, tmp_path):
    words = r"split 'test': column 'channel' varies within group 'author-3-\d+' \('.' and '.'\)"
    with pytest.raises(UserError, match=words):
        scores(hub, tmp_path / "never", tuned, slices=["country", "channel"])
    assert not (tmp_path / "never" / "metrics.json").exists()


def test_votes_in_all_have_no_metrics_of_probabilities_anywhere(hub, dataset, tmp_path):
    from hfpipe.hub.repos import api, download

    tuned = profile(hub, tmp_path, "profile-total", dataset, aggregation="total_vote")
    found = scores(hub, tmp_path / "scores", tuned, push=True, slices=["country"])
    names = ("log_loss", "brier", "ece")
    for record in (tuned.record, found.record):
        assert {record.metrics[name] for name in names} == {None}
        assert {record.intervals[name] for name in names} == {None}
        assert {record.undefined[name] for name in names} == {
            "votes in all, v / (v + 1), are no probability"
        }
        assert record.metrics["roc_auc"] is not None
        assert record.intervals["accuracy"] is not None
    for each in found.record.slices["country"].values():
        assert {each[name] for name in names} == {None}
    assert story(hub, tuned)["metrics"]["validation"]["brier"] is None
    repo = tuned.model.repo_id
    files = {
        name: download(hub, repo, "model", name, "main").read_text()
        for name in api(hub).list_repo_files(repo)
        if name == "README.md" or name.startswith(".eval_results")
    }
    assert len(files) == 2
    card = files.pop("README.md")
    assert "| Brier score | n/a |" in card
    assert "v / (v + 1), are no probability" in card
    (entries,) = files.values()
    assert "ROC AUC" in entries
    assert "Brier" not in entries
    assert "no probability" in (tmp_path / "scores" / "report.html").read_text()


def test_thresholds_of_authors_by_hand():
    # Means .2, .6 and .7; at .6 both positive authors are found and the other is not.
    scores = [0.1, 0.3, 0.9, 0.3, 0.7, 0.7]
    chosen = ProfileChoice.fit([0, 0, 1, 1, 1, 1], scores, list("aabbcc"), "author", "mean", 0.5)
    assert 0.2 < chosen.decisions["mean"] <= 0.6 + 1e-9
    table = chosen.table([0, 0, 1, 1, 1, 1], scores, list("aabbcc"))
    assert table["mean"]["f1"] == 1
    # From .5 on a row votes: 0, 1 and 2 votes of 2.
    assert table["mean_vote"]["roc_auc"] == 1


def test_an_author_whose_rows_disagree_has_the_label_of_most():
    truth = [1, 1, 0, 1, 0, np.nan, np.nan]
    assert owners_truth(truth, list("aaabbbc"))[:3].tolist() == [1, 1, 1]
    assert np.isnan(owners_truth(truth, list("aaabbbc"))[3:]).all()
