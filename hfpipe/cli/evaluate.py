"""``hfpipe evaluate``: score a pushed model on a test split or a local file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfpipe.cli.options import Debug, Hub, HubToken, Out, Quiet, TextColumns
from hfpipe.errors import UserError


def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(metavar="NS/NAME[@REV]", help="The pushed model.", show_default=False),
    ] = None,
    model_name: Annotated[
        str | None,
        typer.Option("--hf-model-name", metavar="NS/NAME[@REV]", help="The same, as an option."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "--input-hf-dataset",
            metavar="NS/NAME[@REV]",
            help="Default: the dataset that the model was trained on, at that commit.",
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Split of the dataset.")] = "test",
    file: Annotated[
        Path | None,
        typer.Option("--file", "--filename", metavar="FILE", help="A local file instead."),
    ] = None,
    text: TextColumns = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            "--subject",
            "--subject-column",
            metavar="COL",
            help="Label column, where not that of training. Without one rows are classified only.",
        ),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option("--examples", metavar="N|all", help="Only the first N rows."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "--eval-batch-size", min=1, help="Rows a batch.")
    ] = None,
    baselines: Annotated[
        bool | None,
        typer.Option(
            "--baselines/--no-baselines",
            help="Score simple models beside it. Default: as the model's recipe says.",
        ),
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(
            "--slices",
            metavar="COL[,COL]",
            help="Score the rows of each value of these columns apart. Default: the recipe's.",
        ),
    ] = None,
    threshold_for: Annotated[
        str | None,
        typer.Option(
            "--threshold-for",
            metavar="AIM",
            help="Choose the decision threshold anew, on the validation split: f1, f2, youden, "
            "precision_at_recall=0.9, recall_at_precision=0.9, cost=1:5 (false alarm : miss), ... "
            "Default: the threshold pushed with the model.",
        ),
    ] = None,
    resamples: Annotated[
        int | None,
        typer.Option("--resamples", min=0, help="Of the bootstrap for 95 % intervals; 0 for none."),
    ] = None,
    push: Annotated[
        bool,
        typer.Option(
            "--push", help="Put the results into the model's repo: card, .eval_results, record."
        ),
    ] = False,
    wandb: Annotated[
        bool, typer.Option("--wandb/--no-wandb", help="Log the evaluation to W&B.")
    ] = False,
    out: Out = None,
    output_classify_file: Annotated[
        Path | None,
        typer.Option(
            "--output-classify-file",
            metavar="FILE",
            help="Where the predictions go. Default: OUT/predictions.jsonl.",
        ),
    ] = None,
    hub: Hub = None,
    hf_access_token: HubToken = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Evaluate a PUSHED model: metrics with intervals, beside baselines, by slices, in a report.

    Writes metrics.json, predictions.jsonl (dataset order, with row ids) and report.html.
    Thresholds and calibration are those fitted on validation; the scored rows have no say.
    """
    from hfpipe.cli.console import show_evaluated
    from hfpipe.evaluating import EvaluateOptions
    from hfpipe.evaluating import evaluate as run
    from hfpipe.hub.endpoint import connect

    name = model or model_name
    if not name:
        raise UserError("which model? give its repo id: hfpipe evaluate NS/NAME")
    if file is not None and dataset is not None:
        raise UserError("--file and --dataset exclude each other: give one of them")
    if file is not None and not file.is_file():
        raise UserError(f"--file {file}: {'is no file' if file.exists() else 'does not exist'}")
    if output_classify_file is not None and output_classify_file.is_dir():
        raise UserError(f"--output-classify-file {output_classify_file}: a folder: name a file")
    options = EvaluateOptions(
        dataset=dataset,
        split=split,
        file=file,
        text=[column.strip() for column in text.split(",")] if text else [],
        label=label,
        rows=_rows(examples),
        batch_size=batch_size,
        out=out,
        predictions=output_classify_file,
        baselines=baselines,
        slices=[column.strip() for column in slices.split(",")] if slices else None,
        threshold_for=threshold_for,
        resamples=resamples,
        push=push,
        wandb=wandb,
        quiet=quiet,
    )
    with connect(hub, hf_access_token) as endpoint:
        show_evaluated(run(name, endpoint, options), quiet)


def _rows(examples: str | None) -> int | None:
    if examples in (None, "all"):
        return None
    if not str(examples).isdigit() or int(str(examples)) < 1:
        raise UserError(f"--examples {examples}: give a number of rows, or 'all'")
    return int(str(examples))
