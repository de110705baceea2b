"""Model and dataset cards: the ``README.md`` of what is pushed.

A card says how to load the repo without hfpipe, what is in it, how good it is beside its
baselines, and how to make it again. Its YAML header is made by ``huggingface_hub``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import DatasetCardData, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from markupsafe import Markup

from hfpipe.reports import words
from hfpipe.reports.families import HUB_METRICS, code_of, opening, pipeline_tag, wording
from hfpipe.reports.kinds import kind_of
from hfpipe.reports.rendering import render
from hfpipe.reports.results import decision_of, results_of, validation_metrics

TASK = "text-classification"
LEARNT = ("vocabularies", "medians", "means", "stds")
"""Fields of inputs that no reader wants to see."""
INPUT_CHARACTERS = 500
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def model_card(
    *,
    repo_id: str,
    run: Mapping[str, Any],
    metrics: Mapping[str, Any] | None,
    dataset_id: str | None,
    base_model: str | None,
    labels: Sequence[str],
) -> str:
    """Write the card of a model.

    Args:
        repo_id: The repo that the card is for.
        run: Its ``hfpipe/run.json``. Of its keys ``family`` (of :mod:`hfpipe.reports.families`)
            decides how the model is loaded; ``origins`` (tower to ``repo_id`` and ``revision``),
            ``loss``, ``threshold``, ``threshold_for``, ``temperature``, ``calibration`` and
            ``notes`` are told where they are there.
        metrics: The evaluation record as a dict (``metrics.json``), once there is one. Until
            then the card shows the validation metrics of ``run``.
        dataset_id: Repo id of the dataset.
        base_model: Repo id of the base model.
        labels: The labels, in the model's order.

    Returns:
        The whole ``README.md``.
    """
    found = (metrics or {}).get("metrics") or validation_metrics(run)
    kind = kind_of(found).name
    header = ModelCardData(
        library_name=wording(run).library,
        pipeline_tag=pipeline_tag(run, found),
        base_model=_bases(base_model, run),
        datasets=[dataset_id] if dataset_id and _is_repo_id(dataset_id) else None,
        metrics=HUB_METRICS[kind],
        tags=["hfpipe"],
    )
    return render(
        "model_card.md.jinja",
        opening=opening(run, kind, labels),
        about=wording(run).about,
        kind=kind,
        decision=decision_of(run, metrics or {}),
        towers=_towers(run),
        loss=_flat(run.get("loss") or {}),
        notes=run.get("notes") or [],
        header=Markup(header.to_yaml()),  # noqa: S704  (YAML made by the library)
        repo_id=repo_id,
        code=code_of(repo_id, run, labels),
        labels=labels,
        results=results_of(run, metrics),
        per_class=(metrics or {}).get("per_class") or {},
        run=run,
        base_model=base_model,
        base_revision=(run.get("base_model") or {}).get("revision"),
        dataset_id=dataset_id,
        dataset_revision=(run.get("dataset") or {}).get("revision"),
        settings=_flat((run.get("config") or {}).get("training") or {}),
        inputs=_inputs(run),
        commands=_model_commands(repo_id, run, dataset_id),
        provenance=_flat(run.get("provenance") or {}),
    )


def dataset_card(
    *,
    repo_id: str,
    title: str,
    prepare: Mapping[str, Any],
    file_format: str,
    extra_sections: str = "",
) -> str:
    """Write the card of a prepared dataset.

    Args:
        repo_id: The repo that the card is for.
        title: Its first heading.
        prepare: Its ``hfpipe/prepare.json``.
        file_format: ``"parquet"`` or ``"webdataset"`` (files under ``data/``), or ``"csv"``
            (``train.csv`` …).
        extra_sections: Markdown put before the provenance, as it is.

    Returns:
        The whole ``README.md``.
    """
    counts = prepare.get("counts") or {}
    splits = {name: rows for name, rows in (counts.get("splits") or {}).items() if rows}
    files = [{"split": name, "path": _data_files(name, file_format)} for name in splits]
    header = DatasetCardData(
        pretty_name=title,
        task_categories=[_task(prepare)],
        size_categories=[_size(int(counts.get("kept") or sum(splits.values())))],
        tags=["hfpipe"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    return render(
        "dataset_card.md.jinja",
        header=Markup(header.to_yaml()),  # noqa: S704  (YAML made by the library)
        title=title,
        code=_dataset_code(repo_id, next(iter(splits), "train")),
        splits=splits,
        counts=counts,
        dropped=counts.get("dropped") or {},
        per_class=counts.get("per_class") or {},
        prepare=prepare,
        text=words.listed([str(name) for name in prepare.get("text") or []]),
        labels=prepare.get("labels") or [],
        targets=prepare.get("targets") or {},
        refused=prepare.get("leakage_columns") or [],
        conflicts=prepare.get("conflicts") or {},
        inputs=prepare.get("inputs") or [],
        options=_flat(prepare.get("options") or {}),
        extra=Markup(extra_sections),  # noqa: S704  (our own Markdown)
        command=_command(prepare.get("provenance") or {}),
        provenance=_flat(prepare.get("provenance") or {}),
    )


def _towers(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What the model is made of, where that is more than its base model."""
    origins = run.get("origins") or {}
    return {name: each for name, each in origins.items() if name != "base" and each}


def _bases(base_model: str | None, run: Mapping[str, Any]) -> str | list[str] | None:
    """What the header names as the base: the base model, or the repos of all towers."""
    if base_model is not None:
        return base_model if _is_repo_id(base_model) else None
    repos = [str(each.get("repo_id")) for each in _towers(run).values()]
    return [repo for repo in dict.fromkeys(repos) if _is_repo_id(repo)] or None


def _inputs(run: Mapping[str, Any]) -> dict[str, str]:
    """Each input in a line; what was learnt for it is for machines, and left out."""
    found = {}
    for name, state in (run.get("inputs") or {}).items():
        told = {key: value for key, value in state.items() if key not in LEARNT}
        lists = {key: value for key, value in told.items() if isinstance(value, (list, tuple))}
        joined = {key: ", ".join(map(str, value)) for key, value in lists.items() if value}
        parts = [
            f"{key}: {joined.get(key, value)}"
            for key, value in told.items()
            if key in joined or key not in lists
        ]
        found[name] = words.shortened("; ".join(parts), INPUT_CHARACTERS)
    return found


def _dataset_code(repo_id: str, split: str) -> str:
    return (
        "from datasets import load_dataset\n\n"
        f"rows = load_dataset({json.dumps(repo_id)})\n"
        f"rows[{json.dumps(split)}][0]"
    )


def _model_commands(repo_id: str, run: Mapping[str, Any], dataset_id: str | None) -> str:
    lines = [_command(run.get("provenance") or {})]
    if not lines[0]:
        revision = (run.get("dataset") or {}).get("revision")
        dataset = f"{dataset_id}@{revision}" if dataset_id and revision else dataset_id
        parts = ["hfpipe", "finetune", "--recipe", str(run.get("recipe") or "RECIPE")]
        parts += ["--dataset", dataset] if dataset else []
        lines = [shlex.join([*parts, "--target", repo_id])]
    return "\n".join([*lines, shlex.join(["hfpipe", "evaluate", repo_id])])


def _command(provenance: Mapping[str, Any]) -> str:
    """The command that made it, if it is one that a reader can run again."""
    command = " ".join(str(provenance.get("command") or "").split())
    program, _, rest = command.partition(" ")
    name = program.rpartition("/")[2]
    return f"hfpipe {rest}" if name in ("hfpipe", "__main__.py") and rest else ""


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as ``a.b`` to text, without those that are empty."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            if value:
                found[f"{prefix}{name}"] = ", ".join(str(item) for item in value)
        elif value is not None and value != "":
            found[f"{prefix}{name}"] = str(value)
    return found


def _is_repo_id(name: str | None) -> bool:
    """Whether the Hub would take ``name`` in a header; a folder's path it would not."""
    try:
        validate_repo_id(str(name))
    except HFValidationError:
        return False
    return name is not None


def _data_files(split: str, file_format: str) -> str:
    patterns = {"csv": f"{split}.csv", "webdataset": f"data/{split}-*.tar"}
    return patterns.get(file_format, f"data/{split}*.parquet")


def _task(prepare: Mapping[str, Any]) -> str:
    if prepare.get("task") == "regression":
        return "tabular-regression"
    return TASK if prepare.get("text") else "tabular-classification"


def _size(rows: int) -> str:
    return next((name for limit, name in SIZES if rows < limit), "10M<n<100M")
