"""The verbs of the command line as functions, for notebooks and scripts."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint, connect

if TYPE_CHECKING:
    from data_prep.preparing import Prepared
    from hfpipe.comparing import Compared
    from hfpipe.evaluating import Evaluated
    from hfpipe.finetuning import Finetuned
    from hfpipe.loading import LoadedModel
    from hfpipe.predicting import Predicted
    from hfpipe.suites import SuiteDone

_open: dict[str | None, Endpoint] = {}
_until_exit = ExitStack()
atexit.register(_until_exit.close)


def prepare(
    inputs: str | Path | Sequence[str | Path],
    recipe: str | None = None,
    *,
    hub: str | None = None,
    **options: Any,
) -> Prepared:
    """Clean, balance, split and audit rows; push them where ``target`` is given.

    Args:
        inputs: Files, folders or ``hf://`` and other addresses.
        recipe: Its ``prepare:`` block counts where ``options`` say nothing.
        hub: As ``--hub``; the same for all calls of one process.
        **options: The flags of ``hfpipe prepare``, as ``text=["title"]``, ``label="topic"``,
            ``target="topics"``, ``out="data"``.

    Returns:
        What was written and pushed, with all counts.

    Raises:
        UserError: What was given cannot be meant.
    """
    from rich.console import Console

    from data_prep.options import PrepareOptions, check_options
    from data_prep.preparing import prepare as run
    from hfpipe.recipe import Prepare, load_recipe

    _check_names(options, [each.name for each in fields(PrepareOptions)], "prepare")
    if options.get("out") is not None:
        options["out"] = Path(options["out"])
    if isinstance(options.get("text"), str):
        options["text"] = [options["text"]]
    block = load_recipe(recipe).prepare if recipe else Prepare()
    chosen = PrepareOptions.of(block, **options)
    check_options(chosen)
    named = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    return run(named, chosen, _endpoint(hub), Console(highlight=False, soft_wrap=True))


def finetune(
    recipe: str,
    *,
    dataset: str | None = None,
    target: str | None = None,
    out: str | Path | None = None,
    hub: str | None = None,
    downsample: int | None = None,
    public: bool = False,
    wandb: bool = False,
    quiet: bool = False,
    resume: bool = False,
    **overrides: Any,
) -> Finetuned | SuiteDone:
    """Fine-tune as a recipe says and push the model; of a suite's recipe, all its models.

    Args:
        recipe: A recipe's name, or the path of a YAML file.
        dataset: The dataset repo.
        target: The model repo; by default the recipe's name. Of a suite: what all begin with.
        out: The run folder.
        hub: As ``--hub``; the same for all calls of one process.
        downsample: Train on at most so many rows.
        public: Whether a new model repo is public.
        wandb: Whether to track the run.
        quiet: No progress bars.
        resume: Go on with the run in ``out``, or with the newest of this recipe. A suite always
            goes on.
        **overrides: Anything in the recipe: ``training__learning_rate=3e-5``, or
            ``**{"training.learning_rate": 3e-5}``. Of a suite, they count for every cell.

    Returns:
        What was trained and pushed; of a suite, every cell's outcome and the leaderboard.

    Raises:
        UserError: What was given cannot work.
        RunError: A cell of a suite failed; what the others gave is in its folder.
    """
    from hfpipe.finetuning import FinetuneOptions
    from hfpipe.finetuning import finetune as run
    from hfpipe.recipe import load_recipe

    values = {key.replace("__", "."): value for key, value in overrides.items()}
    if plain := [key for key in values if "." not in key]:
        own = [name for name in signature(finetune).parameters if name != "overrides"]
        raise UserError(
            f"finetune: no argument '{plain[0]}'{nearest(plain[0], own)}; what is in the recipe is "
            "said as training__seed=7"
        )
    composed = load_recipe(recipe, values)
    place = None if out is None else Path(out)
    if composed.suite.recipes:
        from hfpipe.suites import SuiteOptions, run_suite

        cells = {key: value for key, value in values.items() if not key.startswith("suite.")}
        suite = SuiteOptions(target, place, dataset, cells, downsample, public, wandb)
        every = run_suite(composed, _endpoint(hub), suite, _unsaid if quiet else print)
        every.raise_failed()
        return every
    composed.data.dataset = dataset or composed.data.dataset
    options = FinetuneOptions(
        target=target,
        out=place,
        rows=downsample,
        public=public,
        wandb=wandb,
        quiet=quiet,
        resume=resume,
    )
    return run(composed, _endpoint(hub), options)


def evaluate(model: str, *, hub: str | None = None, **options: Any) -> Evaluated:
    """Evaluate a pushed model.

    Args:
        model: ``NAMESPACE/NAME[@REVISION]``.
        hub: As ``--hub``; the same for all calls of one process.
        **options: The fields of ``hfpipe.evaluating.EvaluateOptions``: ``dataset``, ``split``,
            ``file``, ``slices``, ``out``, ….

    Raises:
        UserError: No such model or data.
    """
    from hfpipe.evaluating import EvaluateOptions
    from hfpipe.evaluating import evaluate as run

    _check_names(options, [each.name for each in fields(EvaluateOptions)], "evaluate")
    for name in ("file", "out", "predictions"):
        if options.get(name) is not None:
            options[name] = Path(options[name])
    return run(model, _endpoint(hub), EvaluateOptions(**options))


def predict(
    model: str,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    hub: str | None = None,
    **options: Any,
) -> Predicted:
    """Ask a pushed model about every row of some files, and write what it says to one.

    Args:
        model: ``NAMESPACE/NAME[@REVISION]``.
        inputs: Files, folders or ``hf://`` and other addresses.
        output: A ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file.
        hub: As ``--hub``; the same for all calls of one process.
        **options: The fields of ``hfpipe.predicting.PredictOptions``: ``columns``, ``id_column``,
            ``text``, ``top``, ``batch_size``, ….

    Raises:
        UserError: No such model, file or column, or a row that the model cannot take.
    """
    from hfpipe.predicting import PredictOptions
    from hfpipe.predicting import predict as run

    _check_names(options, [each.name for each in fields(PredictOptions)], "predict")
    for name in ("columns", "text"):
        if isinstance(options.get(name), str):
            options[name] = [options[name]]
    return run(model, inputs, output, _endpoint(hub), PredictOptions(**options))


def compare(
    *results: str | Path,
    metric: str | None = None,
    split: str | None = None,
    resamples: int = 1000,
    out: str | Path | None = None,
    hub: str | None = None,
    quiet: bool = False,
) -> Compared:
    """Compare results on one test set; its ``board`` is what ``compare.json`` holds.

    Args:
        *results: Two or more: folders that ``evaluate`` or ``finetune`` wrote, and pushed models.
        metric: What to rank by; by default what decides for the task.
        split: Whose results of a repo count; by default the split of the folders, else ``test``.
        resamples: Of the paired bootstrap.
        out: Where the files go.
        hub: As ``--hub``; the same for all calls of one process. Folders need none.
        quiet: No progress bars.

    Raises:
        UserError: No such folder, repo or metric, or results of another test set.
    """
    from hfpipe.comparing import CompareOptions
    from hfpipe.comparing import compare as run
    from hfpipe.evaluating import evaluate as score
    from hfpipe.evaluation.subjects import needs_hub

    names = [str(each) for each in results]
    endpoint = _endpoint(hub) if needs_hub(names, hub) else None
    options = CompareOptions(metric, split, resamples, None if out is None else Path(out), quiet)
    return run(names, endpoint, options, score)


def load(model: str, *, hub: str | None = None) -> LoadedModel:
    """Load a pushed model; its ``predict`` takes rows as the dataset had them.

    Args:
        model: ``NAMESPACE/NAME[@REVISION]``.
        hub: As ``--hub``; the same for all calls of one process.

    Raises:
        UserError: No such model.
    """
    from hfpipe.loading import load_pushed

    return load_pushed(_endpoint(hub), model)


def _endpoint(hub: str | None) -> Endpoint:
    """The Hub; one that was started here goes on until the process ends."""
    if hub not in _open:
        _open[hub] = _until_exit.enter_context(connect(hub))
    return _open[hub]


def _check_names(given: Mapping[str, Any], known: Sequence[str], verb: str) -> None:
    for name in given:
        if name not in known:
            raise UserError(f"{verb}: no option '{name}'{nearest(name, known)}")


def _unsaid(line: str) -> None:
    """Where nobody wants to know."""
