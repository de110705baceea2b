"""``hfpipe finetune``: a dataset repo and a recipe to a pushed model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfpipe.cli.options import Debug, Hub, HubToken, Out, Quiet, Seed
from hfpipe.errors import UserError


def finetune(
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME|PATH", help="See 'hfpipe recipes list'.")
    ] = "topics_minilm",
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Anything in the recipe, as training.learning_rate=3e-5.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "--input-hf-dataset",
            metavar="NS/NAME[@REV]",
            help="What 'hfpipe prepare' pushed.",
        ),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            "--base-model",
            "--model-for-training-finetune",
            metavar="ID[@REV]",
            help="Pretrained encoder, instead of the recipe's.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "--hf-model-name",
            metavar="NS/NAME",
            help="Model repo to push to. Default: the recipe's name in your namespace.",
        ),
    ] = None,
    out: Out = None,
    downsample: Annotated[
        int | None,
        typer.Option(
            "--downsample", metavar="N", min=1, help="Train on at most N rows, drawn with the seed."
        ),
    ] = None,
    eval_batch_size: Annotated[
        int | None,
        typer.Option("--eval-batch-size", min=1, help="Rows a batch when evaluating."),
    ] = None,
    seed: Seed = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where the run in --out, or the newest of this recipe, stopped.",
        ),
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Make a new model repo public. Default: private.")
    ] = False,
    wandb: Annotated[
        bool,
        typer.Option("--wandb/--no-wandb", help="Track with W&B: online with a key, else offline."),
    ] = True,
    wandb_output: Annotated[
        Path | None,
        typer.Option("--wandb-output", metavar="DIR", help="Where the run's HTML report goes."),
    ] = None,
    wandb_access_token: Annotated[
        str | None,
        typer.Option(
            "--wandb-access-token",
            metavar="KEY",
            help="W&B key. Better: WANDB_API_KEY or 'wandb login'.",
        ),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", hidden=True, help="The original script's switch.")
    ] = True,
    hub: Hub = None,
    hf_access_token: HubToken = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fine-tune a pretrained encoder on a dataset repo and push the model.

    The best epoch is chosen on the validation split; the test split is not looked at. A suite's
    recipe runs many, scores each pushed model on test and goes on where it was stopped.
    """
    from hfpipe.cli.console import show_finetuned
    from hfpipe.cli.suite import show_suite
    from hfpipe.finetuning import FinetuneOptions
    from hfpipe.finetuning import finetune as run
    from hfpipe.hub.endpoint import connect
    from hfpipe.processes import is_main
    from hfpipe.recipe import load_recipe
    from hfpipe.suites import SuiteOptions, run_suite

    composed = load_recipe(recipe, overrides or [])
    if composed.suite.recipes:
        chosen = _cell_overrides(overrides or [], base_model, seed, eval_batch_size)
        suite = SuiteOptions(
            target=target,
            out=out,
            dataset=dataset,
            overrides=chosen,
            rows=downsample,
            public=public,
            wandb=wandb,
            wandb_key=wandb_access_token,
        )
        with connect(hub, hf_access_token) as endpoint:
            say = (lambda line: None) if quiet else typer.echo
            show_suite(run_suite(composed, endpoint, suite, say), hub, quiet)
        return
    composed.data.dataset = dataset or composed.data.dataset
    if base_model:
        name, _, revision = base_model.partition("@")
        composed.model.base, composed.model.revision = name, revision or None
    if seed is not None:
        composed.training["seed"] = seed
    if eval_batch_size is not None:
        composed.training["per_device_eval_batch_size"] = eval_batch_size
        composed.evaluation.batch_size = eval_batch_size
    options = FinetuneOptions(
        target=target,
        out=out,
        rows=downsample,
        public=public,
        wandb=wandb,
        wandb_key=wandb_access_token,
        wandb_output=wandb_output,
        quiet=quiet,
        resume=resume,
    )
    with connect(hub, hf_access_token) as endpoint:
        done = run(composed, endpoint, options)
        if is_main():
            show_finetuned(done, hub, quiet)


def _cell_overrides(
    overrides: list[str], base_model: str | None, seed: int | None, eval_batch_size: int | None
) -> list[str]:
    """What the command line says of every cell of a suite, rather than of the suite."""
    if base_model:
        raise UserError("--base-model: a suite's recipes name their own; give model.base=ID")
    said = [each for each in overrides if not each.startswith("suite.")]
    if seed is not None:
        said.append(f"training.seed={seed}")
    if eval_batch_size is not None:
        said.append(f"evaluation.batch_size={eval_batch_size}")
    return said
