"""The saved workspace and report of a project, built offline and read back by their library."""

from __future__ import annotations

import json

import pytest
from wandb_workspaces.reports.v2 import Report
from wandb_workspaces.reports.v2.internal import ReportViewspec
from wandb_workspaces.workspaces import Workspace
from wandb_workspaces.workspaces.internal import View

from hfpipe.errors import UserError
from hfpipe.metrics.tasks import TASKS, task_of
from hfpipe.tracking import log_evaluation, workspace
from hfpipe.tracking.workspace import main, project_report, project_workspace
from tests.tracking.support import binary, classes, marks, numbers, offline, read_back

MADE = {"classification": classes, "binary": binary, "multi_label": marks, "regression": numbers}


def keys_of(view) -> set[str]:
    """Whatever a saved view asks runs for, below ``validation/``."""
    found: set[str] = set()

    def look(value) -> None:
        if isinstance(value, dict):
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)
        elif isinstance(value, str) and "validation/" in value:
            found.add("validation/" + value.rpartition("validation/")[2])

    look(json.loads(view))
    return found


@pytest.mark.parametrize("task", list(TASKS))
def test_what_a_workspace_asks_for_is_what_a_run_has(task, tmp_path):
    evaluation = MADE[task]()
    record = evaluation.record.to_dict()
    record["intervals"] = {name: [0.0, 1.0] for name in record["metrics"]}
    record["slices"] = {"size": {"1": {"n": 4}}}
    (tmp_path / "report.html").write_text("<p>")
    with offline(tmp_path) as run:
        log_evaluation(run, record, evaluation.rows, report=tmp_path / "report.html")
    logged = read_back(tmp_path)
    there = set(logged.history) | set(logged.summary)
    for make in (project_workspace, project_report):
        asked = keys_of(make("ada", "hfpipe", task=task)._to_model().spec.model_dump_json())
        asked = {key for key in asked if " " not in key}
        assert len(asked) > 8
        # A regression without logarithms has no metric in their scale.
        lacking = {key for key in asked - there if "_log" not in key}
        assert lacking == set(), lacking
    names = task_of(task, ["a", "b"]).metric_names()
    assert {name for name in workspace.SCORES[task] if not name.endswith("_log")} <= set(names)


def test_a_workspace_is_read_back_as_it_was_written():
    made = project_workspace("ada", "topics", task="binary", split="test")
    view = made._to_model()
    again = Workspace._from_model(View.model_validate_json(view.model_dump_json(by_alias=True)))
    assert [each.name for each in again.sections] == [
        "Scores",
        "Learning",
        "Evaluation",
        "Rows",
        "What differs",
    ]
    assert (again.entity, again.project) == ("ada", "topics")
    assert again._to_model().spec == view.spec
    assert "summary:test/average_precision" in again.runset_settings.pinned_columns
    (order,) = again.runset_settings.order
    assert (order.item.name, order.ascending) == ("test/average_precision", False)
    (order,) = project_workspace("ada", "x", task="regression").runset_settings.order
    assert (order.item.name, order.ascending) == ("validation/rmse_log", True)


def test_curves_are_drawn_over_the_steps_of_the_whole_run_and_by_stage():
    made = project_workspace("ada", "topics")
    panels = {each.name: each.panels for each in made.sections}["Learning"]
    lines = {tuple(each.y): each.x for each in panels if hasattr(each, "y")}
    for name in ("train/loss", "eval/loss", "train/stage", "eval/accuracy"):
        assert str(lines[(name,)]) in ("train/global_step", "Metric('train/global_step')")
    asked = [each.query["summaryTable"]["tableKey"] for each in panels if hasattr(each, "query")]
    assert asked == ["stages/loss_table", "stages/eval_loss_table"]


def test_a_report_is_read_back_as_it_was_written():
    made = project_report("ada", "topics")
    model = made._to_model()
    text = model.model_dump_json(by_alias=True, exclude_none=True)
    again = Report._from_model(ReportViewspec.model_validate_json(text))
    assert (again.title, model.spec.width) == ("topics: runs side by side", "fluid")
    assert len(again.blocks) == len(made.blocks) == 11


def test_what_was_mistyped_is_told(capsys, monkeypatch, tmp_path):
    with pytest.raises(UserError, match="no task 'binery'; did you mean 'binary'"):
        project_workspace("ada", "topics", task="binery")
    assert main(["ada"]) == 2
    assert capsys.readouterr().err == "error: 'ada' is not ENTITY/PROJECT\n"
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    assert main(["ada/topics"]) == 2
    assert "set WANDB_API_KEY" in capsys.readouterr().err
