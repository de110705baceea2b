"""Weights & Biases: online with a key, offline without one, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError

if TYPE_CHECKING:
    from wandb import Run

PROJECT = "hfpipe"


@contextmanager
def tracking(
    folder: Path,
    *,
    name: str,
    group: str,
    config: dict[str, Any],
    enabled: bool = True,
    key: str | None = None,
    run_id: str | None = None,
) -> Iterator[Run | None]:
    """One W&B run for the length of the block; the Trainer's own callback logs into it.

    With a key (``key``, ``WANDB_API_KEY`` or ``wandb login``) the run goes online; without one
    it is kept below ``folder`` and ``wandb sync`` sends it later.

    Args:
        folder: Where the run's files go.
        name: The run's name.
        group: Runs of one recipe stand together.
        config: The recipe as composed.
        enabled: False: no run at all.
        key: W&B API key. Never logged.
        run_id: Of the run; where W&B has one of this id, it goes on.

    Yields:
        The run; None if not ``enabled``.

    Raises:
        UserError: The key is refused or W&B cannot be reached.
    """
    if not enabled:
        yield None
        return
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    if key:
        # By environment: wandb.login(key=...) would write it to ~/.netrc.
        os.environ["WANDB_API_KEY"] = key
    known = wandb.login(prompt=False, verify=False)
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if known else "offline")
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            group=group,
            config=config,
            # Absolute: a W&B service that a parent process started has another working folder.
            dir=str(folder.resolve()),
            mode=mode,
            id=run_id,
            resume="allow" if run_id else None,
            settings=wandb.Settings(silent=True, console="off"),
        )
    except wandb.Error as error:
        raise UserError(
            f"W&B: {' '.join(str(error).split())[:200]}; check WANDB_API_KEY, or use --no-wandb"
        ) from error
    failed = True
    try:
        yield run
        failed = False
    finally:
        run.finish(exit_code=int(failed))


def log_evaluation(
    run: Run | None,
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    metrics: Mapping[str, float | None],
    report: Path,
) -> None:
    """Log the HTML report of the validation split, final metrics, and a plot that suits the task.

    Args:
        run: The W&B run; None logs nothing.
        rows: Of ``predictions.jsonl``.
        labels: The classes; none for a regression.
        metrics: Of the evaluation record.
        report: The page.
    """
    if run is None:
        return
    import wandb

    logged: dict[str, Any] = {
        "validation/report": wandb.Html(report.read_text(encoding="utf-8"), inject=False)
    }
    known = [row for row in rows if row["truth"] is not None]
    if labels and all(isinstance(row["truth"], str) for row in known):
        index = {label: position for position, label in enumerate(labels)}
        logged["validation/confusion_matrix"] = wandb.plot.confusion_matrix(
            y_true=[index[row["truth"]] for row in known],
            preds=[index[row["prediction"]] for row in known],
            class_names=list(labels),
            title="Confusion matrix (validation)",
        )
    elif not labels:
        logged["validation/predicted"] = wandb.plot.scatter(
            wandb.Table(
                columns=["truth", "prediction"],
                data=[[_learned(row, "truth"), _learned(row, "prediction")] for row in known],
            ),
            "truth",
            "prediction",
            title="Predicted against true (validation)",
        )
    run.log(logged)
    run.summary.update({f"validation/{name}": value for name, value in metrics.items()})


def _learned(row: Mapping[str, Any], name: str) -> float:
    """The number as it is learned: its logarithm, where that is."""
    return float(row.get(f"{name}_log", row[name]))
