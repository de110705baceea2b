"""``training.report_to``: who may be named, and what TensorBoard gets of an evaluation."""

from __future__ import annotations

import pytest
from sklearn import metrics as sklearn_metrics

from hfpipe.blocks import Stage
from hfpipe.errors import UserError
from hfpipe.recipe import Recipe
from hfpipe.tracking import log_to
from hfpipe.training.reporting import trackers_of
from tests.tracking.support import binary, classes, numbers


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0})
    found.Reload()
    return found


def scalar(found, tag: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in found.Scalars(tag)]


def text(found, tag: str) -> str:
    (event,) = found.Tensors(f"{tag}/text_summary")
    return event.tensor_proto.string_val[0].decode()


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    found = {}
    for make in (binary, classes, numbers):
        folder, evaluation = tmp_path_factory.mktemp(make.__name__), make()
        log_to(["wandb", "tensorboard"], folder, evaluation.record, evaluation.rows, step=12)
        found[make.__name__] = (evaluation, events(folder))
    return found


@pytest.mark.parametrize("task", ["binary", "classes", "numbers"])
def test_every_metric_is_a_scalar_at_the_last_step(told, task):
    evaluation, found = told[task]
    for name, value in evaluation.record.metrics.items():
        assert scalar(found, f"validation/{name}") == [(12, pytest.approx(value, rel=1e-6))]


def test_precision_and_recall_are_a_curve_of_each_class(told):
    _, found = told["classes"]
    tags = [f"validation/pr/{label}" for label in ("ant", "bee", "cat")]
    assert set(tags) <= set(found.Tags()["tensors"])
    _, found = told["binary"]
    (event,) = found.Tensors("validation/pr/spam")
    assert [dim.size for dim in event.tensor_proto.tensor_shape.dim] == [6, 127]
    assert "validation/pr/ham" not in found.Tags()["tensors"]


def test_other_lines_are_scalars_over_thousandths(told):
    evaluation, found = told["binary"]
    truth, scores = evaluation.truth[:-1], evaluation.scores[:-1]
    shares = dict(scalar(found, "validation_thresholds/share"))
    assert max(shares) <= 1000
    assert shares[min(shares)] == 1.0
    best = max(sklearn_metrics.f1_score(truth, scores >= at) for at in scores)
    assert max(f1 for _, f1 in scalar(found, "validation_thresholds/f1")) == pytest.approx(best)
    assert scalar(found, "validation_roc/spam")[-1] == (1000, 1.0)
    assert scalar(found, "validation_reliability/probabilities")


def test_tables_are_text_that_shows_what_rows_say_as_it_is(told):
    _, found = told["classes"]
    assert text(found, "validation/confusion_matrix").startswith("| true \\ predicted | ant | bee")
    errors = text(found, "validation/errors")
    assert "text &lt;b&gt;" in errors
    assert "<b>" not in errors


def test_errors_of_a_regression_are_a_histogram(told):
    evaluation, found = told["numbers"]
    (event,) = found.Histograms("validation/errors_histogram")
    assert event.histogram_value.num == len(evaluation.rows)
    assert event.histogram_value.max == pytest.approx(max(row["error"] for row in evaluation.rows))


def recipe(report_to=None, stages=()) -> Recipe:
    training = {} if report_to is None else {"report_to": report_to}
    return Recipe(name="topics", training=training, stages=dict(stages))


@pytest.mark.parametrize(
    ("report_to", "wandb", "found"),
    [
        (None, True, ("wandb",)),
        (None, False, ()),
        ("none", True, ()),
        ([], True, ()),
        ("tensorboard", True, ("tensorboard",)),
        (["wandb", "tensorboard"], True, ("wandb", "tensorboard")),
        (["wandb", "tensorboard"], False, ("tensorboard",)),
    ],
)
def test_trackers_are_those_of_the_recipe(report_to, wandb, found):
    assert trackers_of(recipe(report_to), wandb) == found


@pytest.mark.parametrize(
    ("report_to", "said"),
    [
        ("tensorbord", "no tracker 'tensorbord'; did you mean 'tensorboard'?"),
        (["wandb", "mlflow"], "mlflow is not installed: pip install mlflow, or leave it out"),
        ("comet_ml", "comet_ml is not installed: pip install comet-ml, or leave it out"),
    ],
)
def test_a_tracker_that_cannot_be_is_told_before_training(report_to, said):
    with pytest.raises(UserError) as error:
        trackers_of(recipe(report_to))
    assert str(error.value) == f"recipe topics: training.report_to: {said}"


def test_a_stage_cannot_have_trackers_of_its_own():
    stages = {"head": Stage(training={"report_to": "tensorboard"})}
    with pytest.raises(UserError, match="^recipe topics: stages.head.training.report_to: a run"):
        trackers_of(recipe(stages=stages))
