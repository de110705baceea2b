"""``hfpipe compare``: results of several models side by side."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfpipe.cli.options import Debug, Hub, HubToken, Out, Quiet

if TYPE_CHECKING:
    from rich.table import Table

    from hfpipe.comparing import Compared

LONGEST = 40


def compare(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_OR_REPO…",
            help="Two or more: folders that 'evaluate' or 'finetune' wrote, and models on the Hub "
            "(NS/NAME[@REV]).",
            show_default=False,
        ),
    ],
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", metavar="NAME", help="Rank by this. Default: what decides for the task."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Which results of a repo. Default: the split of the folders, else test.",
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option("--resamples", metavar="N", min=1, help="Of the paired bootstrap.")
    ] = 1000,
    out: Out = None,
    hub: Hub = None,
    hf_access_token: HubToken = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare results on one test set: who is best, how sure that is, what differs in the recipes.

    A model on the Hub without pushed results is evaluated on the spot. Writes compare.csv,
    compare.json and compare.html.
    """
    from rich.console import Console

    from hfpipe.comparing import CompareOptions
    from hfpipe.comparing import compare as run
    from hfpipe.evaluating import evaluate
    from hfpipe.evaluation.subjects import needs_hub
    from hfpipe.hub.endpoint import connect

    options = CompareOptions(metric, split, resamples, out, quiet)
    console = Console(highlight=False, soft_wrap=True)
    wanted = needs_hub(results, hub)
    with connect(hub, hf_access_token) if wanted else nullcontext() as endpoint:
        done = run(
            results, endpoint, options, evaluate, lambda line: console.print(line, markup=False)
        )
    show_compared(done, quiet)


def show_compared(done: Compared, quiet: bool = False) -> None:
    """Print the leaderboard, what differs in the recipes, and what was written."""
    from rich.console import Console

    from hfpipe.reports.comparison import verdict

    console, board = Console(highlight=False, soft_wrap=True), done.board
    if not quiet:
        console.print(_leaderboard(board))
        console.print(_metrics(board))
        if board["recipes"]:
            console.print(_recipes(board))
    for sentence in verdict(board):
        console.print(_clean(sentence), markup=False)
    for each in board["models"]:
        why = each["reason"] or each["no_difference"]
        if why:
            console.print(_clean(f"{each['name']}: {why}"), markup=False)
    for note in board["notes"]:
        console.print(_clean(f"note: {note}"), markup=False)
    for path in (done.csv, done.json, done.html):
        console.print(f"wrote   {path}", markup=False)
    console.print(f"next:   open {done.html} in a browser", markup=False)


def _leaderboard(board: dict[str, Any]) -> Table:
    """Two lines a model, so that no number is cut where the terminal is narrow."""
    models = board["models"]
    tested = any(each["mcnemar"] for each in models)
    place = board["dataset"] or "unknown rows"
    place += f", split {board['split']}" if board["split"] else ""
    table = _table(
        f"{board['metric']}, {board['direction']} is better; {place}",
        ("", True),
        ("name\nmodel", False),
        *((name, True) for name in (f"{board['metric']}\n95 %", "from the best\n95 %")),
        *(("p\nMcNemar p" if tested else "p", True), ("rows", True)),
    )
    for each in models:
        apart, test = each["difference"] or {}, each["mcnemar"] or {}
        at = f"@{each['model_revision'][:12]}" if each["model_revision"] else ""
        cells = [
            "-" if each["rank"] is None else str(each["rank"]),
            _lines(each["name"], f"{each['model']}{at}"),
            _lines(_number(each["value"]), _ends(each, "{:.4f}")),
            _lines(_number(apart.get("value"), "{:+.4f}"), _ends(apart, "{:+.4f}")),
            _lines(_chance(apart.get("p")), _chance(test.get("p")) if test else ""),
            f"{each['n']:,}",
        ]
        table.add_row(*cells)
    return table


def _lines(*texts: str) -> Any:
    from rich.text import Text

    return Text("\n").join(_clean(each) for each in texts if each)


def _metrics(board: dict[str, Any]) -> Table:
    from hfpipe.reports.words import metric_order

    models = board["models"]
    table = _table("All metrics", ("metric", False), *((each["name"], False) for each in models))
    for name in metric_order({name: None for each in models for name in each["metrics"]}):
        values = [_number(each["metrics"].get(name)) for each in models]
        table.add_row(*map(_clean, [name, *values]))
    return table


def _recipes(board: dict[str, Any]) -> Table:
    from hfpipe.reports.comparison import written
    from hfpipe.reports.words import shortened

    names = [each["name"] for each in board["models"]]
    table = _table(
        "What differs in their recipes", ("setting", False), *((name, False) for name in names)
    )
    for key, values in board["recipes"].items():
        shown = [
            shortened(written(values[name]), LONGEST) if name in values else "-" for name in names
        ]
        table.add_row(*map(_clean, [key, *shown]))
    return table


def _table(title: str, *columns: tuple[str, bool]) -> Table:
    from rich.table import Table

    table = Table(title=_clean(title), title_justify="left")
    for name, number in columns:
        heading = _lines(*name.split("\n"))
        side: Any = "right" if number else "left"
        table.add_column(heading, justify=side, overflow="fold", no_wrap=number)
    return table


def _clean(text: str) -> Any:
    """Text that no repo, label or recipe can steer the terminal or the table with."""
    from rich.text import Text

    from hfpipe.reports.rendering import CONTROL

    return Text(CONTROL.sub("\ufffd", " ".join(text.split())))


def _number(value: float | None, form: str = "{:.4f}") -> str:
    return "-" if value is None else form.format(value)


def _ends(model: dict[str, Any], form: str) -> str:
    low, high = model.get("low"), model.get("high")
    return "" if low is None or high is None else f"[{form.format(low)}, {form.format(high)}]"


def _chance(value: float | None) -> str:
    return "-" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
