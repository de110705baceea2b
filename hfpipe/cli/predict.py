"""``hfpipe predict``: what a pushed model says of the rows of a file, as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hfpipe.cli.options import Debug, Hub, HubToken, Quiet, TextColumns

if TYPE_CHECKING:
    from hfpipe.predicting import Predicted


def predict(
    model: Annotated[str, typer.Argument(metavar="NS/NAME[@REV]", help="The pushed model.")],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            metavar="FILE",
            help="Rows: .jsonl, .csv, .tsv (also .gz, .zst), .parquet, .tar; a folder, a glob or "
            "an hf:// or s3:// address too. May be given again.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="FILE",
            help=".csv, .tsv, .jsonl (also .gz, .zst) or .parquet; replaced when all is done.",
        ),
    ],
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="A[,NEW=B]",
            help="What to write, in this order: id, prediction, score, score.LABEL, and any column "
            "of the input. Default: id and what the model said.",
        ),
    ] = None,
    text: TextColumns = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id-column",
            metavar="COL",
            help="What names a row. Default: row_id, else id, else the row's number, from 0.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", min=1, metavar="K", help="The K best labels, not a column for each label."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Rows a batch.")
    ] = None,
    hub: Hub = None,
    hf_access_token: HubToken = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Ask a PUSHED model about every row of a file: calibrated scores and decisions.

    Writes as many rows as it reads, in their order, in memory that does not grow with them.
    """
    from hfpipe.hub.endpoint import connect
    from hfpipe.predicting import PredictOptions
    from hfpipe.predicting import predict as run

    options = PredictOptions(
        columns=_listed(columns),
        text=_listed(text),
        id_column=id_column,
        batch_size=batch_size,
        top=top,
        quiet=quiet,
    )
    with connect(hub, hf_access_token) as endpoint:
        _show(run(model, inputs, output, endpoint, options), quiet)


def _listed(text: str | None) -> list[str]:
    r"""The names in a list with commas; one with a comma or a line's end in it stands in quotes.

    >>> _listed('id, "a,b",\n c\n"d\ne"')
    ['id', 'a,b', 'c', 'd\ne']
    """
    import csv
    import io

    lines = csv.reader(io.StringIO(text or "", newline=""), skipinitialspace=True)
    return [name.strip() for found in lines for name in found if name.strip()]


def _show(done: Predicted, quiet: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not quiet:
        console.print(f"model   {done.model} @ {done.revision[:12]}", markup=False)
        for line in _decided(done):
            console.print(line, markup=False)
    for note in done.notes:
        console.print(f"note: {note}", markup=False)
    first = [" ".join(name.splitlines()) for name in done.columns[:6]]
    names = ", ".join([*first, *(["…"] if len(done.columns) > 6 else [])])
    what = "rows" if done.rows == done.read else f"groups of {done.read:,} rows"
    console.print(f"wrote   {done.output} ({done.rows:,} {what}: {names})", markup=False)


def _decided(done: Predicted) -> list[str]:
    """How predictions were made of scores, where that was chosen on validation."""
    decision = done.decision
    lines = []
    if decision.calibrated and decision.calibration and decision.calibration.calibrator:
        lines.append(f"scores  calibrated on validation ({decision.calibration.calibrator.name})")
    if isinstance(decision.threshold, float):
        lines.append(
            f"yes     from a score of {decision.threshold:.4f} on, "
            + (f"chosen on validation for {decision.aim}" if decision.aim else "not chosen")
        )
    elif decision.threshold is not None:
        how = f"chosen for {decision.aim}" if decision.aim else "not chosen"
        lines.append(f"labels  each from its own threshold on, {how}")
    return lines
