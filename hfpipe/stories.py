"""What a run leaves behind of itself: its ``run.json``, its card, the files of its folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.hub.provenance import provenance
from hfpipe.recipe import as_yaml
from hfpipe.runs import Run

if TYPE_CHECKING:
    from hfpipe.evaluation.decisions import Decision
    from hfpipe.evaluation.judging import Judged
    from hfpipe.evaluation.profiles import ProfileChoice
    from hfpipe.evaluation.record import EvaluationRecord
    from hfpipe.training.engines import Learned
    from hfpipe.training.journal import Done


def story_of(
    run: Run,
    learned: Learned,
    record: EvaluationRecord,
    decision: Decision,
    choice: ProfileChoice | None,
) -> dict[str, Any]:
    """``hfpipe/run.json``: all that is needed to evaluate, explain or repeat this run.

    Args:
        run: What was planned.
        learned: What it came to.
        record: Of the validation rows.
        decision: Fitted on them.
        choice: Of a profile.
    """
    from hfpipe.models.families import family_of

    recipe, data = run.recipe, run.data
    origins = {name: asdict(each) for name, each in run.opened.origins.items()}
    return {
        "recipe": recipe.name,
        "config": asdict(recipe),
        "family": family_of(recipe.model.kind).card_of(recipe.model),
        "dataset": {"repo_id": data.source.repo_id, "revision": data.source.revision},
        "base_model": origins.get("base"),
        "origins": origins,
        "inputs": {name: each.state() for name, each in data.processor.inputs.items()},
        "label": data.processor.label,
        "labels": data.processor.labels,
        "loss": run.loss,
        **decision.to_dict(),
        "threshold": record.threshold,
        "threshold_for": record.threshold_for,
        "profile": choice.to_dict() if choice else None,
        "seed": recipe.training.get("seed", 42),
        "train_rows": len(data.train),
        "validation_rows": len(data.validation),
        "rows": data.counts,
        "stages": [_told(each) for each in learned.stages],
        "warnings": learned.warnings,
        "metrics": {"validation": record.metrics},
        "notes": [
            *run.opened.doubts(data.source.repo_id, data.source.revision),
            *([] if choice else _not_chosen(run, decision)),
        ],
        "provenance": provenance(),
    }


def _not_chosen(run: Run, decision: Decision) -> list[str]:
    """What to tell where a threshold was to be chosen, and validation gave no choice."""
    if decision.threshold is not None or run.task.default_threshold is None:
        return []
    return [
        f"the threshold is {run.task.default_threshold}, not chosen: no threshold serves "
        f"'{run.recipe.evaluation.threshold_for}' (evaluation.threshold_for) on the validation rows"
    ]


def card_of(target: str, story: dict[str, Any], record: EvaluationRecord) -> bytes:
    """The model card, with the numbers of a record."""
    from hfpipe.reports.cards import model_card

    return model_card(
        repo_id=target,
        run=story,
        metrics=record.to_dict(),
        dataset_id=story["dataset"]["repo_id"],
        base_model=(story["base_model"] or {}).get("repo_id"),
        labels=story["labels"],
    ).encode()


def keep(
    run: Run,
    learned: Learned,
    judged: Judged,
    report: Path,
    wandb_output: Path | None,
) -> None:
    """The run folder's files, and the report where the user wants it."""
    from hfpipe.evaluation.predictions import write_jsonl
    from hfpipe.files import write_text

    write_text(run.folder / "config.yaml", as_yaml(run.recipe))
    judged.record.write(run.folder / "metrics.json")
    write_jsonl(run.folder / "predictions.jsonl", judged.rows)
    write_text(run.folder / "curves.json", curves_of(learned))
    if wandb_output:
        page = report.read_text(encoding="utf-8")
        write_text(wandb_output / f"{run.recipe.name}.html", page)


def curves_of(learned: Learned) -> str:
    """``curves.json``, of the run folder and of the repo; an empty list without a Trainer.

    >>> from types import SimpleNamespace
    >>> print(curves_of(SimpleNamespace(history=[{"step": 1, "loss": float("nan")}])))
    [
      {
        "step": 1,
        "loss": null
      }
    ]
    """
    from hfpipe.evaluation.record import plain

    # NaN is no JSON, and others than Python read what is in a repo.
    return json.dumps(plain(learned.history), indent=2, allow_nan=False)


def _told(done: Done) -> dict[str, Any]:
    """A stage without its curves."""
    return {
        name: value for name, value in asdict(done).items() if name not in ("history", "warnings")
    }
