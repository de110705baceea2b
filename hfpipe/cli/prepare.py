"""``hfpipe prepare``: raw rows to splits and a dataset repo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hfpipe.cli import prepare_options as said
from hfpipe.cli.options import Debug, Hub, HubToken, Out, Quiet, Seed
from hfpipe.cli.prepare_values import implied, names, pairs, shares

if TYPE_CHECKING:
    from data_prep.options import PrepareOptions
    from data_prep.preparing import Prepared
    from hfpipe.recipe import Prepare


def prepare(
    inputs: said.Inputs = None,
    recipe: said.Recipe = None,
    text: said.Text = None,
    label: said.Label = None,
    target: said.Target = None,
    out: Out = None,
    output_filename: said.OutputFilename = None,
    task: said.Task = None,
    map_labels: said.MapLabels = None,
    clean: said.Clean = None,
    step: said.Step = None,
    conflicts: said.Conflicts = None,
    threshold: said.Threshold = None,
    policy: said.Policy = None,
    drop_labels: said.DropLabels = None,
    min_count: said.MinCount = None,
    reduce_majority_to: said.ReduceMajorityTo = None,
    cap: said.Cap = None,
    split: said.Split = None,
    split_column: said.SplitColumn = None,
    splits_file: said.SplitsFile = None,
    group_by: said.GroupBy = None,
    time_column: said.TimeColumn = None,
    gap: said.Gap = None,
    clusters: said.Clusters = None,
    folds: said.Folds = None,
    sizes: said.Sizes = None,
    audit: said.Audit = None,
    audit_rows: said.AuditRows = None,
    explode: said.Explode = None,
    gather_by: said.GatherBy = None,
    id_column: said.IdColumn = None,
    join: said.Join = None,
    join_on: said.JoinOn = None,
    where: said.Where = None,
    latest_by: said.LatestBy = None,
    latest_key: said.LatestKey = None,
    drop_columns: said.DropColumns = None,
    leakage_columns: said.LeakageColumns = None,
    encode: said.Encode = None,
    encode_model: said.EncodeModel = None,
    vectors: said.Vectors = None,
    fusion: said.Fusion = None,
    file_format: said.Format = None,
    max_bad_rows: said.MaxBadRows = None,
    public: said.Public = False,
    incremental: said.Incremental = False,
    dry_run: said.DryRun = False,
    engine: said.Engine = "local",
    list_steps: said.ListSteps = False,
    input_dir: said.InputDir = None,
    input_filename: said.InputFilename = None,
    seed: Seed = None,
    hub: Hub = None,
    hf_access_token: HubToken = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Clean, balance, split and audit labelled rows; push them as a dataset repo."""
    if list_steps:
        _print_steps()
        return
    from contextlib import nullcontext

    from rich.console import Console

    from data_prep.options import PrepareOptions, check_options
    from data_prep.preparing import prepare as run
    from hfpipe.hub.endpoint import connect
    from hfpipe.recipe import Prepare, load_recipe

    block = load_recipe(recipe).prepare if recipe else Prepare()
    out, base = _place(out, output_filename)
    options = PrepareOptions.of(
        block,
        text=text or None,
        label=label,
        task=task,
        map_labels=pairs(map_labels),
        explode=explode,
        gather_by=names(gather_by),
        id_column=id_column,
        join=join,
        join_on=join_on,
        where=where or None,
        latest_by=latest_by,
        latest_key=names(latest_key),
        drop_columns=names(drop_columns),
        leakage_columns=names(leakage_columns),
        clean=clean,
        steps=step or None,
        conflicts=conflicts,
        threshold=threshold,
        policy=policy,
        drop_labels=drop_labels or None,
        min_count=min_count,
        reduce_majority_to=reduce_majority_to,
        cap=cap,
        split=split or implied(block, split_column or splits_file, group_by, time_column, task),
        split_column=split_column,
        splits_file=splits_file,
        group_by=group_by,
        time_column=time_column,
        gap=gap,
        clusters=clusters,
        folds=folds,
        sizes=shares(sizes),
        audit=audit,
        audit_rows=audit_rows,
        seed=seed,
        encode=_encode(block, encode, encode_model),
        vectors=_vectors(block, vectors, fusion),
        format=file_format,
        max_bad_rows=max_bad_rows,
        out=out,
        base=base,
        target=target,
        public=public,
        incremental=incremental,
        engine=engine,
        dry_run=dry_run,
        quiet=quiet,
    )
    check_options(options)  # before a Hub is started
    named = _inputs(inputs, input_dir, input_filename)
    needs_hub = _needs_hub(options, named)
    with connect(hub, hf_access_token) if needs_hub else nullcontext() as endpoint:
        done = run(named, options, endpoint, Console(highlight=False, soft_wrap=True))
    _last_lines(done, options, recipe, hub)


def _needs_hub(options: PrepareOptions, inputs: Sequence[str | Path]) -> bool:
    pushes = options.target is not None and (options.incremental or not options.dry_run)
    named = [*map(str, inputs), options.join or ""]
    return pushes or bool(options.encode) or any(each.startswith("hf://") for each in named)


def _encode(block: Prepare, column: str | None, model: str | None) -> dict[str, Any] | None:
    from hfpipe.errors import UserError

    if column is None and model is None:
        return None
    from data_prep.encode import encode_flag

    settled = {**block.encode, **(encode_flag(column) if column else {})}
    if model:
        settled["model"] = model
    if "column" not in settled:
        raise UserError(f"--encode-model {model}: which column? Say --encode COLUMN")
    if "model" not in settled:
        raise UserError(f"--encode {column}: with which model? Say --encode-model ID")
    return settled


def _vectors(block: Prepare, columns: str | None, fusion: str | None) -> dict[str, Any] | None:
    from hfpipe.errors import UserError

    if columns is None and fusion is None:
        return None
    settled = dict(block.vectors)
    if columns:
        settled["columns"] = names([columns])
    if fusion:
        settled["fusion"] = fusion
    if "columns" not in settled:
        raise UserError(f"--fusion {fusion}: of which vectors? Say --vectors COL[,COL]")
    return settled


def _print_steps() -> None:
    from data_prep.steps import describe

    for step in describe():
        typer.echo(f"{step.name:<20} {step.help}")
        for option in step.options:
            typer.echo(f"  {option.name:<20} {option.help} Default: {option.shown or 'none'}.")


def _inputs(
    inputs: list[str] | None, folder: Path | None, files: list[str] | None
) -> list[str | Path]:
    from hfpipe.rows.paths import files_in

    paths: list[str | Path] = list(inputs or [])
    if folder is not None and not files:
        paths += files_in(folder)
    return paths + [(folder or Path()) / name for name in files or []]


def _place(out: Path | None, output_filename: str | None) -> tuple[Path | None, str | None]:
    """Split ``--output-filename`` into a folder (if it says one) and the base of the names.

    >>> _place(None, "data/topics.jsonl")
    (PosixPath('data'), 'topics')
    """
    if not output_filename:
        return out, None
    path = Path(output_filename)
    base = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return (out / path.parent if out else path.parent), base


def _last_lines(
    done: Prepared, options: PrepareOptions, recipe: str | None, hub: str | None
) -> None:
    """Say what was written, and the command to run next."""
    import os

    from rich.console import Console

    from hfpipe.recipe import load_recipe

    console = Console(highlight=False, soft_wrap=True, markup=False)
    counts = done.record["counts"]
    if not options.quiet:
        steps = ", ".join(
            f"{name} {took:.1f}" for name, took in done.seconds.items() if took >= 0.1
        )
        console.print(
            f"took    {sum(done.seconds.values()):.1f} s" + (f": {steps}" if steps else "")
        )
    if options.dry_run:
        console.print(f"dry run: {counts['kept']:,} of {counts['in']:,} rows kept; wrote nothing")
    if done.files:
        console.print(f"wrote   {', '.join(str(path) for path in done.files)}")
    if done.published is None:
        console.print(
            "next:   run it again "
            + (
                "without --dry-run"
                if options.dry_run
                else "with --target NAMESPACE/NAME to push the splits"
            )
        )
        return
    published = done.published
    same = "" if published.changed else " (unchanged: no new commit)"
    console.print(f"pushed  {published.url} @ {published.revision[:12]}{same}")
    place = f" --hub {hub}" if hub and hub != os.environ.get("HFPIPE_HUB") else ""
    chosen = recipe
    if not chosen and options.text and options.task == "classification":
        chosen = "topics_minilm"
    # A suite names its datasets itself.
    dataset = "" if recipe and load_recipe(recipe).suite.recipes else published.repo_id
    named = f" --dataset {dataset}" if dataset else ""
    command = f"finetune --recipe {chosen}{named}{place}"
    console.print(f"next:   hfpipe {command if chosen else 'recipes list'}")
