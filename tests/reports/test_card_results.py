"""The model card carries the report's numbers: intervals, decision, calibration, leaks."""

from __future__ import annotations

import re

import pytest
from huggingface_hub import ModelCard

from hfpipe.reports.results import decision_of, results_of
from tests.reports.support import complete
from tests.reports.test_cards import card_of

METRIC = re.compile(r"^\| (.*?) \|(.*)\|$", re.MULTILINE)


class With:
    """An evaluation whose record is a dict that says more."""

    def __init__(self, found, **more):
        self.labels, told = found.labels, complete(found.record.to_dict()) | more
        self.record = self
        self.to_dict = lambda: told


def cells(body: str) -> dict[str, list[str]]:
    """Name to the cells of a line, of all tables."""
    lines = METRIC.findall(ModelCard(body).text)
    return {name: [each.strip() for each in rest.split("|")] for name, rest in lines}


def test_results_have_intervals_and_the_difference_to_the_strongest_baseline(evaluations):
    found = With(evaluations["binary"])
    record, body = found.to_dict(), card_of(found)
    assert (
        "| | This model | 95 % interval | Difference to Logistic regression | Logistic regression |"
        in body
    )
    value = record["metrics"]["roc_auc"]
    simple = record["baselines"]["logistic_regression"]["roc_auc"]
    gap = value - simple
    row = cells(body)["ROC AUC"]
    assert row[0] == f"{value:.3f}"
    assert row[1] == f"{value - 0.0123:.3f} to {value + 0.0134:.3f}"
    assert row[2] == f"{gap:+.3f} ({gap - 0.0021:+.3f} to {gap + 0.0022:+.3f})"
    assert row[3] == f"{simple:.3f}"
    assert cells(body)["Matthews correlation (MCC)"][:3] == ["n/a", "", ""]
    assert "Matthews correlation (MCC): n/a, it fits best." in body
    assert "from 2,000 bootstrap resamples of whole groups of “lang”" in body


def test_it_opens_with_what_the_report_says_first(evaluations):
    body = card_of(With(evaluations["binary"]))
    assert "A positive row scores above a negative one" in body
    assert "It is better than Logistic regression" in body
    assert body.index("It is better than") < body.index("Measured on 300 rows of the test split")
    assert "40 of 300 rows (13.3 %) have a near-duplicate among the rows" in body


def test_the_decision_says_what_it_is_best_for(evaluations):
    more = {"threshold": 0.25, "threshold_for": "cost=1:5"}
    body = card_of(With(evaluations["binary"], **more))
    rows = cells(body)
    assert rows["Threshold"] == ["0.250"]
    assert rows["Chosen for"] == [
        "the lowest cost, a false positive costing 1 and a false negative 5, on the validation rows"
    ]
    assert rows["Calibration"] == ["temperature scaling (temperature 1.500)"]
    assert rows["Calibration error (ECE)"] == ["0.099", "0.123"]
    assert "fitted on 1,600 validation rows" in body
    assert "Why: it fits best." in body


def test_before_an_evaluation_the_decision_is_the_runs(evaluations):
    run = {"threshold": 0.3, "threshold_for": "f2", "calibration": None, "temperature": None}
    rows = decision_of(run, {})["rows"]
    assert rows.pop("Threshold") == "0.300"
    assert rows == {
        "Chosen for": "the best F2, which weighs recall more than precision, on the validation rows"
    }
    again = {"threshold": 0.4, "threshold_for": "mcc"}
    assert decision_of(run, again)["rows"]["Threshold"] == "0.400"
    assert "Matthews" in decision_of(run, again)["rows"]["Chosen for"]
    old = {"threshold": 0.3, "temperature": 1.5}
    assert decision_of(old, {})["rows"] == {
        "Threshold": "0.300",
        "Chosen for": "the best F1 on the validation rows",
        "Calibration": "temperature scaling (temperature 1.500)",
    }
    assert decision_of({}, {})["rows"] == {}
    none = {"calibration": {"method": None, "reason": "nothing helps"}}
    assert decision_of(none, {})["notes"][1] == "Why: nothing helps."
    assert decision_of(none, {"metrics": {"rmse_raw": 1.0}})["notes"] == []


def test_each_label_has_its_threshold(evaluations):
    thresholds = {"cat": 0.123, "dog": 0.456, "bird": 0.789}
    body = card_of(With(evaluations["multi_label"], threshold=thresholds, threshold_for="f1"))
    assert "| Label | Precision | Recall | F1 | Threshold | Rows |" in body
    assert cells(body)["dog"][3] == "0.456"
    assert cells(body)["Threshold"] == ["one for each label, below"]


def test_an_old_record_has_neither_intervals_nor_a_difference():
    record = {"n": 10, "split": "test", "metrics": {"accuracy": 0.5}, "baselines": {}}
    found = results_of({}, record)
    assert found["columns"] == ["This model"]
    assert found["rows"] == [("Accuracy", ["0.500"])]
    assert (found["headline"], found["notes"]) == ([], [])


@pytest.mark.parametrize("name", ["binary", "multi_label", "regression"])
def test_no_reason_breaks_the_card(evaluations, attack, name):
    evil = attack.labels
    record = complete(evaluations[name].record.to_dict(), evil[3], evil[4], evil[0])
    found = With(evaluations[name], **record)
    body = card_of(found)
    assert not re.search(r"<(script|img|svg|/title)", body)
    assert "7 \\* 7" in body
    assert "https://evil" not in body
    for block in re.split(r"\n\n+", ModelCard(body).text):
        if block.startswith("|"):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(widths) == 1, block
