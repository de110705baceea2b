"""A suite from its recipe to its leaderboard; what has run does not run again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hfpipe.errors import HfpipeError, RunError, UserError
from hfpipe.files import write_text
from hfpipe.hub.endpoint import Endpoint
from hfpipe.recipe import Recipe
from hfpipe.rows.paths import writable_parent
from hfpipe.suites.cells import RUNNING, CellRunner, Outcome
from hfpipe.suites.checking import Ground, check_cells
from hfpipe.suites.comparing import (
    as_csv,
    by_horizon,
    chosen,
    comparison,
    leaderboard,
    runs,
    slices,
)
from hfpipe.suites.mirror import Mirror
from hfpipe.suites.planning import Cell, plan
from hfpipe.suites.stacked import stack_cells


@dataclass(frozen=True)
class SuiteOptions:
    """What a suite needs beside its recipe.

    Attributes:
        target: What the names of the pushed repos begin with; by default the suite's name.
        out: Its folder; by default ``runs/<suite>``: the same again, so that it goes on there.
        dataset: For a suite that does not vary ``data.dataset``.
        overrides: For every cell, as ``load_recipe`` takes them.
        rows: Train on at most so many rows.
        public: Whether new model repos are public.
        wandb: Whether to track every cell with W&B.
        wandb_key: W&B API key, where it is not in the environment.
    """

    target: str | None = None
    out: Path | None = None
    dataset: str | None = None
    overrides: Sequence[str] | Mapping[str, Any] = ()
    rows: int | None = None
    public: bool = False
    wandb: bool = True
    wandb_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SuiteDone:
    """What a suite left.

    Attributes:
        folder: Where all of it is.
        board: ``leaderboard.json``.
        stacking: Horizon to ``stacking/<horizon>/metrics.json``.
        outcomes: Of every cell.
        problems: What failed besides cells.
    """

    folder: Path
    board: Mapping[str, Any]
    stacking: Mapping[str, Any]
    outcomes: Sequence[Outcome]
    problems: Sequence[str] = ()

    @property
    def failed(self) -> list[str]:
        """One line a failure."""
        cells = [f"{each.cell.name}: {each.error}" for each in self.outcomes if each.error]
        return [*cells, *self.problems]

    def raise_failed(self) -> None:
        """Say so where something failed.

        Raises:
            RunError: With the first failure.
        """
        if self.failed:
            raise RunError(
                f"{len(self.failed)} of {len(self.outcomes)} cells or steps failed, first "
                f"{self.failed[0]} (all in {self.folder / 'leaderboard.json'}); the same command "
                "runs only what is missing"
            )


def run_suite(
    suite: Recipe,
    endpoint: Endpoint,
    options: SuiteOptions,
    say: Callable[[str], None] = lambda line: None,
) -> SuiteDone:
    """Run every cell that has not run, compare all of them, stack their families.

    Args:
        suite: A recipe with a ``suite:`` block.
        endpoint: The Hub with the datasets; it gets the models.
        options: Where things go.
        say: Told a line a step.

    Returns:
        What came of it; failed cells are in it.

    Raises:
        UserError: What was given cannot work; found before any cell runs.
    """
    from hfpipe.hub.publish import check_writable

    _silence()
    cells = plan(suite, options.dataset, options.overrides)
    out = options.out or Path("runs") / suite.name
    writable_parent(out)
    mirror = Mirror(suite.suite.mirror, out) if suite.suite.mirror else None
    target = check_writable(endpoint, options.target or suite.name.replace("_", "-"), "model")
    if mirror:
        mirror.check()
    grounds = check_cells(cells, endpoint)
    _check_stacking(suite, grounds)
    shutil.rmtree(out / RUNNING, ignore_errors=True)
    further = {
        "rows": options.rows,
        "public": options.public,
        "group": suite.name,
        "wandb": options.wandb,
        "wandb_key": options.wandb_key,
    }
    runner = CellRunner(endpoint, out, target, further)
    problems: list[str] = []
    outcomes = _run_cells(cells, runner, grounds, mirror, say)
    stacking = _stack(suite, outcomes, grounds, runner, say, problems)
    board = leaderboard(suite.name, outcomes, grounds)
    board["failed"] += [{"cell": None, "error": each} for each in problems]
    _write(out, board, outcomes, grounds, stacking)
    _copy(mirror, say, problems)
    return SuiteDone(out, board, stacking, outcomes, problems)


def _run_cells(
    cells: Sequence[Cell],
    runner: CellRunner,
    grounds: Mapping[str, Ground],
    mirror: Mirror | None,
    say: Callable[[str], None],
) -> list[Outcome]:
    outcomes = []
    for number, cell in enumerate(cells, 1):
        ground = grounds[cell.horizon]
        found = runner.run(cell, ground)
        outcomes.append(found)
        say(f"{number} of {len(cells)}  {cell.name}: {_told(found, ground)}")
        if not found.kept:
            _copy(mirror, say, [])
    return outcomes


def _told(found: Outcome, ground: Ground) -> str:
    if found.error:
        return f"failed: {found.error}"
    metric = ground.task.primary
    scores = [found.score(split, metric) for split in ("test", "validation")]
    test, validation = ("-" if each is None else f"{each:.4f}" for each in scores)
    took = "kept" if found.kept else f"{found.seconds:.0f} s"
    return f"{metric} {test} on test, {validation} on validation ({took})"


def _check_stacking(suite: Recipe, grounds: Mapping[str, Ground]) -> None:
    others = [each.task.name for each in grounds.values() if each.task.name != "regression"]
    if suite.suite.folds and others:
        raise UserError(
            f"recipe {suite.name}: stacking is for regression, not for {others[0]}: set "
            "suite.folds=0"
        )


def _stack(
    suite: Recipe,
    outcomes: Sequence[Outcome],
    grounds: Mapping[str, Ground],
    runner: CellRunner,
    say: Callable[[str], None],
    problems: list[str],
) -> dict[str, Any]:
    found = {}
    rows = runner.finetuning.get("rows")
    for horizon, done in by_horizon(outcomes).items() if suite.suite.folds else ():
        bases = chosen(done, grounds[horizon].task.primary)
        try:
            found[horizon] = stack_cells(
                bases, runner.endpoint, suite.suite, runner.out, horizon, say, rows
            )
        except HfpipeError as error:
            problems.append(f"stacking {horizon}: {error}")
            say(problems[-1])
    return found


def _write(
    out: Path,
    board: Mapping[str, Any],
    outcomes: Sequence[Outcome],
    grounds: Mapping[str, Ground],
    stacking: Mapping[str, Any],
) -> None:
    from hfpipe.reports.leaderboard import write_leaderboard

    compared, found, times = comparison(outcomes, grounds), slices(outcomes), runs(outcomes)
    for name, content in (
        ("leaderboard", board),
        ("comparison", compared),
        ("slices", found),
        ("runs", times),
    ):
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        write_text(out / f"{name}.json", text + "\n")
    write_text(out / "leaderboard.csv", as_csv(board))
    write_leaderboard(out / "leaderboard.html", board, compared, found, times, stacking)


def _copy(mirror: Mirror | None, say: Callable[[str], None], problems: list[str]) -> None:
    """Copy; that a copy fails stops no cell, but counts in the end."""
    if mirror is None:
        return
    try:
        mirror.copy()
    except RunError as error:
        problems.append(str(error))
        say(str(error))


def _silence() -> None:
    """One line a cell: the libraries' own bars would bury it."""
    import datasets
    from huggingface_hub.utils import disable_progress_bars
    from transformers.utils import logging

    datasets.disable_progress_bars()
    disable_progress_bars()
    logging.disable_progress_bar()
