"""``.eval_results/*.yaml`` as the Hub's own client reads it."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from hfpipe.reports.eval_results import eval_results_files
from tests.reports.support import complete

DATE = "2026-11-21"


def entries_of(record):
    ((path, content),) = eval_results_files(record, date=DATE).items()
    return path, parse_eval_result_entries(yaml.safe_load(content))


def test_the_first_entry_is_the_metric_that_decides(topics):
    record = topics.record.to_dict()
    path, entries = entries_of(record)
    assert path == ".eval_results/local--topics-test.yaml"
    first = entries[0]
    assert first.value == record["metrics"]["accuracy"]
    assert (first.dataset_id, first.task_id, first.date) == ("local/topics", "test", DATE)
    assert first.dataset_revision == "2e" * 20
    assert first.notes == "Accuracy on 1,500 rows"
    names = ("accuracy", "top_2_accuracy", "top_3_accuracy", "macro_f1")
    assert [each.value for each in entries] == [record["metrics"][name] for name in names]
    assert len({each.notes for each in entries}) == 4


def test_notes_hold_what_is_needed_to_read_the_value(evaluations):
    record = complete(evaluations["binary"].record.to_dict())
    record |= {"threshold": 0.25, "threshold_for": "f1"}
    record["intervals"]["roc_auc"] = [0.81, 0.83]
    _, entries = entries_of(record)
    assert entries[0].notes == (
        "ROC AUC (95 % interval 0.810 to 0.830) on 300 rows; threshold 0.250, chosen for the best "
        "F1 on the validation rows; calibrated by temperature scaling (temperature 1.500)"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"split": None, "dataset": "data/new.jsonl", "dataset_revision": "sha256:" + "a" * 64},
        {"split": "test", "dataset": "/home/ada/rows"},
        {"dataset": None},
        {"n": 0},
    ],
)
def test_what_the_hub_does_not_know_has_no_entry(topics, change):
    assert eval_results_files(topics.record.to_dict() | change, date=DATE) == {}


def test_a_metric_that_is_not_defined_has_no_entry(topics):
    record = topics.record.to_dict()
    record["metrics"] = {**record["metrics"], "accuracy": None}
    _, entries = entries_of(record)
    assert [each.notes.split(" on ")[0] for each in entries] == [
        "Top-2 accuracy",
        "Top-3 accuracy",
        "Macro F1",
    ]


def test_a_branch_is_no_revision(topics):
    _, entries = entries_of(topics.record.to_dict() | {"dataset_revision": "main"})
    assert entries[0].dataset_revision is None


def test_names_of_files_are_safe(topics):
    record = topics.record.to_dict() | {"split": "../../evil name"}
    (path,) = eval_results_files(record, date=DATE)
    assert path == ".eval_results/local--topics-..--..--evil-name.yaml"
    assert yaml.safe_load(eval_results_files(record, date=DATE)[path])
