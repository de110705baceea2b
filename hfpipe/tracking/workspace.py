"""The runs of a W&B project side by side: a saved workspace, and a report.

``python -m hfpipe.tracking.workspace ENTITY/PROJECT`` saves both; it needs a W&B key, and
``pip install 'hfpipe[wandb-workspaces]'``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hfpipe.errors import HfpipeError, RunError, UserError, nearest
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.tracking import plots

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import Report
    from wandb_workspaces.workspaces.interface import Workspace

SCORES = {
    "classification": ("accuracy", "macro_f1", "log_loss", "ece"),
    "binary": ("average_precision", "roc_auc", "f1", "log_loss", "ece"),
    "multi_label": ("macro_f1", "micro_f1", "macro_average_precision"),
    "regression": ("rmse_log", "rmse_raw", "mae_raw", "r2_raw", "spearman"),
}
"""Task → the metrics that runs are compared by, first the one that they are sorted by."""

PLOTS = {
    "classification": ("pr", "roc", "thresholds", "reliability"),
    "binary": ("pr", "roc", "thresholds", "reliability"),
    "multi_label": ("pr", "roc", "thresholds"),
    "regression": (),
}
AXES = {
    "pr": plots.PR,
    "roc": plots.ROC,
    "thresholds": plots.THRESHOLDS,
    "reliability": plots.RELIABILITY,
}


def project_workspace(
    entity: str, project: str, *, task: str = "classification", split: str = "validation"
) -> Workspace:
    """A workspace that puts the runs of a project side by side; built without a network.

    Its sections are the scores of every run, the curves of training by step and by stage, the
    plots of the evaluation, and its rows: the errors and the reports. ``.save()`` sends it to W&B,
    which needs a key.

    Args:
        entity: The user or team that has the project.
        project: Its name; runs go to ``hfpipe`` unless ``WANDB_PROJECT`` says otherwise.
        task: What its runs do, as in :data:`hfpipe.metrics.tasks.TASKS`.
        split: What the names of the evaluation begin with.

    Raises:
        UserError: There is no such task, or ``wandb-workspaces`` is not installed.
    """
    ws, wr = _library()
    scores = _scores(task, split)
    sections = [
        ws.Section(name=name, panels=panels(wr), is_open=True)
        for name, panels in _sections(task, split).items()
    ]
    best = scores[0]
    return ws.Workspace(
        entity=entity,
        project=project,
        name="hfpipe: runs side by side",
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis="train/global_step"),
        runset_settings=ws.RunsetSettings(
            order=[_ordering(best)],
            pinned_columns=["run:displayName", *(f"summary:{name}" for name in scores)],
        ),
    )


def project_report(
    entity: str, project: str, *, task: str = "classification", split: str = "validation"
) -> Report:
    """A report, to be read and shared, of what :func:`project_workspace` shows.

    Args:
        entity: The user or team that has the project.
        project: Its name.
        task: What its runs do.
        split: What the names of the evaluation begin with.

    Raises:
        UserError: There is no such task, or ``wandb-workspaces`` is not installed.
    """
    _, wr = _library()
    _scores(task, split)
    blocks: list[Any] = [wr.TableOfContents()]
    for name, panels in _sections(task, split).items():
        # Without a name of its own it is the report's project, which W&B need not be asked for.
        runs = wr.Runset(name="Runs")
        blocks += [wr.H1(name), wr.PanelGrid(runsets=[runs], panels=_laid_out(wr, panels(wr)))]
    return wr.Report(
        entity=entity,
        project=project,
        title=f"{project}: runs side by side",
        description=f"Scores, curves and errors of every run, on {split}.",
        blocks=blocks,
        width="fluid",
    )


def _sections(task: str, split: str) -> dict[str, Callable[[Any], list[Any]]]:
    """Name → what makes its panels."""
    return {
        "Scores": lambda wr: _score_panels(wr, task, split),
        "Learning": lambda wr: _curve_panels(wr, task),
        "Evaluation": lambda wr: _plot_panels(wr, task, split),
        "Rows": lambda wr: _row_panels(wr, split),
        "What differs": lambda wr: [wr.RunComparer(diff_only="split")],
    }


def _score_panels(wr: Any, task: str, split: str) -> list[Any]:
    """Of every metric the value and the ends of its interval, a bar each."""
    return [
        wr.BarPlot(
            title=f"{name} ({DIRECTIONS[name]} is better)",
            metrics=[wr.SummaryMetric(f"{split}/{name}{end}") for end in ("", "_low", "_high")],
        )
        for name in SCORES[task]
    ]


def _curve_panels(wr: Any, task: str) -> list[Any]:
    def over_steps(title: str, *names: str) -> Any:
        return wr.LinePlot(title=title, x="train/global_step", y=list(names))

    return [
        over_steps("Loss", "train/loss"),
        over_steps("Loss (validation)", "eval/loss"),
        over_steps(f"{SCORES[task][0]} (validation)", f"eval/{SCORES[task][0]}"),
        over_steps("Learning rate", "train/learning_rate"),
        over_steps("Stage", "train/stage"),
        _chart(wr, "stages/loss", plots.STAGES, "Loss, by stage"),
        _chart(wr, "stages/eval_loss", plots.STAGES, "Loss (validation), by stage"),
    ]


def _plot_panels(wr: Any, task: str, split: str) -> list[Any]:
    found = [_chart(wr, f"{split}/{name}", AXES[name], f"{name} ({split})") for name in PLOTS[task]]
    if task in ("classification", "binary"):
        found.append(wr.WeavePanelSummaryTable(table_name=f"{split}/confusion_matrix_table"))
    return [*found, wr.WeavePanelSummaryTable(table_name=f"{split}/slices")]


def _row_panels(wr: Any, split: str) -> list[Any]:
    return [
        wr.WeavePanelSummaryTable(table_name=f"{split}/errors"),
        wr.WeavePanelSummaryTable(table_name=f"{split}/metrics"),
        wr.MediaBrowser(title="Reports", media_keys=[f"{split}/report"], num_columns=1),
    ]


def _chart(wr: Any, key: str, axes: Sequence[str], title: str) -> Any:
    """A plot that ``log_evaluation`` logged, of all runs at once."""
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": f"{key}_table"}},
        chart_name="wandb/line/v0",
        chart_fields=dict(zip(("x", "y", "stroke"), axes, strict=True)),
        chart_strings={"title": title},
    )


def _laid_out(wr: Any, panels: Sequence[Any]) -> list[Any]:
    """Three in a row: a report has 24 columns."""
    for at, panel in enumerate(panels):
        panel.layout = wr.Layout(x=at % 3 * 8, y=at // 3 * 8, w=8, h=8)
    return list(panels)


def _ordering(name: str) -> Any:
    from wandb_workspaces import expr

    ascending = DIRECTIONS[name.rpartition("/")[2]] == "lower"
    return expr.Ordering(expr.Summary(name), ascending=ascending)


def _scores(task: str, split: str) -> list[str]:
    if task not in SCORES:
        raise UserError(f"no task '{task}'{nearest(task, SCORES)}")
    return [f"{split}/{name}" for name in SCORES[task]]


def _library() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError:
        raise UserError(
            "wandb-workspaces is not installed: pip install 'hfpipe[wandb-workspaces]'"
        ) from None
    return ws, wr


def _save(entity: str, project: str, task: str, split: str) -> list[str]:
    """Save workspace and report; gives their addresses."""
    import wandb

    views = [
        make(entity, project, task=task, split=split)
        for make in (project_workspace, project_report)
    ]
    if not wandb.login(prompt=False, verify=False):
        raise UserError("W&B knows no key here: set WANDB_API_KEY, or run 'wandb login'")
    try:
        return [view.save().url for view in views]
    except Exception as error:  # the library lets through whatever its client raises
        said = " ".join(str(error).split())[:200]
        raise RunError(f"W&B: {entity}/{project}: {type(error).__name__}: {said}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Save workspace and report of a project; gives the exit code."""
    parser = argparse.ArgumentParser("python -m hfpipe.tracking.workspace", description=__doc__)
    parser.add_argument("place", metavar="ENTITY/PROJECT")
    parser.add_argument("--task", default="classification", help=", ".join(SCORES))
    parser.add_argument("--split", default="validation", help="what was evaluated")
    given = parser.parse_args(arguments)
    entity, _, project = given.place.partition("/")
    try:
        if not entity or not project or "/" in project:
            raise UserError(f"'{given.place}' is not ENTITY/PROJECT")
        sys.stdout.write("\n".join(_save(entity, project, given.task, given.split)) + "\n")
    except HfpipeError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
