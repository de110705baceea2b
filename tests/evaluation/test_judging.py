"""Rows that were scored to a record and rows of predictions."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hfpipe.blocks import Evaluation
from hfpipe.errors import UserError
from hfpipe.evaluation.choosing import fit_choices
from hfpipe.evaluation.decisions import Decision
from hfpipe.evaluation.gathering import scored_rows, values_of
from hfpipe.evaluation.judging import hub_task, judge
from hfpipe.evaluation.profiles import Scored
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.kinds.vector import VectorInput
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.tasks import task_of

NAN = float("nan")
TEXT = TextInput(["text"], 32)
PROCESSOR = Processor({"text": TEXT, "v": VectorInput(["v"], 2)}, "y", ["no", "yes"], "binary")
YES_OR_NO = task_of("binary", ["no", "yes"])


def dataset() -> Dataset:
    return Dataset.from_dict(
        {
            "row_id": ["r1", "r2", "r3", "r4"],
            "text": ["a", "b", None, "d"],
            "v": [[0.0, 1.0]] * 4,
            "lang": ["en", "de", "en", None],
            "author": ["ada", "bob", "ada", "bob"],
        }
    )


def scored(wanted: Evaluation, **extras: np.ndarray) -> Scored:
    truth, scores = np.array([1, 0, 1, NAN]), np.array([0.9, 0.2, 0.4, 0.6])
    return scored_rows(PROCESSOR, dataset(), truth, scores, extras, wanted, "rows")


def test_a_row_shows_what_a_reader_can_read():
    found = scored(Evaluation(automatic_slices=False))
    assert found.row_ids == ["r1", "r2", "r3", "r4"]
    assert found.inputs == [{"text": "a"}, {"text": "b"}, {"text": None}, {"text": "d"}]
    assert (found.slices, found.groups) == ({}, [])
    assert "length of text" in scored(Evaluation()).slices


def test_slices_hold_metrics_and_extras_of_the_rows_that_have_a_label():
    found = scored(
        Evaluation(slices=["lang"], automatic_slices=False),
        **{"gate_weight.v": np.array([0.1, 0.2, 0.5, 9.0])},
    )
    judged = judge(YES_OR_NO, found, decision=Decision(0.3), model="ada/m", split="test")
    assert (judged.record.n, judged.record.threshold) == (3, 0.3)
    assert {name: each["n"] for name, each in judged.record.slices["lang"].items()} == {
        "en": 2,
        "de": 1,
    }
    assert judged.record.slices["lang"]["en"]["gate_weight.v"] == pytest.approx(0.3)
    (everything,) = judged.record.slices["all"].values()
    assert everything["gate_weight.v"] == pytest.approx(0.8 / 3)
    assert [row["prediction"] for row in judged.rows] == ["yes", "no", "yes", "yes"]
    assert [row["truth"] for row in judged.rows] == ["yes", "no", "yes", None]


def test_the_best_threshold_looks_at_labelled_rows_alone():
    decision, choice = fit_choices(YES_OR_NO, scored(Evaluation()))
    assert choice is None
    assert decision.aim == "f1"
    assert 0.2 < decision.threshold <= 0.4  # between the highest no and the lowest yes


def test_a_profile_chooses_for_groups_and_votes_by_rows():
    wanted = Evaluation(group_by="author")
    found = scored(wanted)
    decision, choice = fit_choices(YES_OR_NO, found, wanted, "median")
    assert choice is not None
    told = (choice.group_by, choice.aggregation, choice.vote)
    assert told == ("author", "median", decision.threshold)
    assert decision.calibration is None  # its sequences vote by what the model itself says
    judged = judge(YES_OR_NO, found, decision=decision, choice=choice, model="ada/m")
    # Bob's rows are scored 0.2 and 0.6, and one of them has a label: he has that.
    assert [row["row_id"] for row in judged.rows] == ["ada", "bob"]
    assert [row["truth"] for row in judged.rows] == ["yes", "no"]
    assert [row["score"] for row in judged.rows] == [0.65, 0.4]
    assert judged.record.n == 2
    assert judged.record.slices["aggregation"]["median"]["n"] == 2
    _, given = fit_choices(YES_OR_NO, found, wanted, "median", 0.7)
    assert given is not None
    assert given.vote == 0.7


def test_without_a_labelled_group_there_are_predictions_and_no_scores():
    wanted = Evaluation(group_by="author")
    found = scored(wanted)
    _, choice = fit_choices(YES_OR_NO, found, wanted, "mean")
    blank = Scored(found.row_ids, found.inputs, np.full(4, NAN), found.scores, groups=found.groups)
    judged = judge(YES_OR_NO, blank, decision=Decision(0.5), choice=choice, model="ada/m")
    assert judged.record.n == 0
    assert judged.record.slices == {}
    assert [row["truth"] for row in judged.rows] == [None, None]


def test_a_class_label_is_told_by_its_name():
    features = Features({"lang": ClassLabel(names=["en", "de"]), "n": Value("int64")})
    rows = Dataset.from_dict({"lang": [1, 0, None], "n": [7, 8, 9]}, features=features)
    assert values_of(rows, "lang") == ["de", "en", None]
    assert values_of(rows, "n") == [7, 8, 9]


@pytest.mark.parametrize("wanted", [Evaluation(slices=["lnag"]), Evaluation(group_by="lnag")])
def test_a_column_that_is_not_there_is_named(wanted):
    with pytest.raises(UserError, match="rows has no column 'lnag'.*did you mean 'lang'"):
        scored(wanted)


@pytest.mark.parametrize(
    ("inputs", "task", "name"),
    [
        ({"text": TEXT}, "multi_label", "text-classification"),
        ({"p": ImageInput(["p"], False, [])}, "binary", "image-classification"),
        ({"v": VectorInput(["v"], 2)}, "classification", "tabular-classification"),
        ({"p": ImageInput(["p"], False, []), "text": TEXT}, "binary", "text-classification"),
        ({"text": TEXT}, "regression", None),
    ],
)
def test_the_hub_s_name_of_the_task_is_told_by_the_inputs(inputs, task, name):
    assert hub_task(Processor(inputs, "y", ["a", "b"], task)) == name
