"""``hfpipe prepare``: raw rows to splits and a dataset repo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfpipe.cli.options import Debug, Hub, HubToken, Out, Quiet, Seed

if TYPE_CHECKING:
    from data_prep.options import PrepareOptions
    from data_prep.preparing import Prepared


def prepare(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Files: .jsonl, .csv, .tsv (each also .gz), .parquet.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="NAME|PATH", help="Take its 'prepare:' block; flags win."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", metavar="COL[,COL]", help="Column(s) with the text."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", "--subject", "--subject-column", metavar="COL", help="Column with the label."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", "--target-hf-dataset", metavar="NS/NAME", help="Dataset repo to push to."
        ),
    ] = None,
    out: Out = None,
    output_filename: Annotated[
        str | None,
        typer.Option(
            "--output-filename", metavar="BASE", help="Write BASE_train.jsonl, … (in --out)."
        ),
    ] = None,
    clean: Annotated[
        bool | None,
        typer.Option("--clean/--no-clean", help="Drop duplicates. Default: yes."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Near-duplicate above this similarity. Default: 0.9."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="kept|any",
            help="Compare with earlier rows that were kept (default), or with any.",
        ),
    ] = None,
    drop_labels: Annotated[
        list[str] | None,
        typer.Option(
            "--drop-labels", "--labels-to-filter", metavar="A,B", help="Labels to leave out."
        ),
    ] = None,
    min_count: Annotated[
        int | None, typer.Option("--min-count", help="Leave out classes with fewer rows.")
    ] = None,
    reduce_majority_to: Annotated[
        float | None,
        typer.Option(
            "--reduce-majority-to", metavar="R", help="At most R x the rarest class's rows a class."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", metavar="stratified|random|given", help="How. Default: stratified."
        ),
    ] = None,
    split_column: Annotated[
        str | None,
        typer.Option(
            "--split-column", metavar="COL", help="Column that names the split, for --split given."
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option("--sizes", metavar="T,V,T", help="Shares. Default: 0.8,0.1,0.1."),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id-column", metavar="COL", help="Column with row ids. Default: made of the content."
        ),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option("--format", metavar="parquet|csv", help="Files of the repo."),
    ] = None,
    max_bad_rows: Annotated[
        float | None,
        typer.Option("--max-bad-rows", help="Share of malformed rows to drop. Default: 0.001."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repo public. Default: private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show everything, write nothing.")
    ] = False,
    input_dir: Annotated[
        Path | None,
        typer.Option("--input-dir", metavar="DIR", help="Folder of the inputs; alone: all in it."),
    ] = None,
    input_filename: Annotated[
        list[str] | None,
        typer.Option("--input-filename", metavar="FILE", help="An input, in --input-dir."),
    ] = None,
    seed: Seed = None,
    hub: Hub = None,
    hf_access_token: HubToken = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Clean, balance and split labelled rows; write them and push them as a dataset repo."""
    from contextlib import nullcontext

    from rich.console import Console

    from data_prep.options import PrepareOptions, check_options
    from data_prep.preparing import prepare as run
    from hfpipe.hub.endpoint import connect
    from hfpipe.recipe import Prepare, load_recipe

    out, base = _place(out, output_filename)
    options = PrepareOptions.of(
        load_recipe(recipe).prepare if recipe else Prepare(),
        text=text or None,
        label=label,
        id_column=id_column,
        clean=clean,
        threshold=threshold,
        policy=policy,
        drop_labels=drop_labels or None,
        min_count=min_count,
        reduce_majority_to=reduce_majority_to,
        split=split or ("given" if split_column else None),
        split_column=split_column,
        sizes=_shares(sizes),
        seed=seed,
        format=file_format,
        max_bad_rows=max_bad_rows,
        out=out,
        base=base,
        target=target,
        public=public,
        dry_run=dry_run,
        quiet=quiet,
    )
    check_options(options)  # before a Hub is started
    paths = _inputs(inputs, input_dir, input_filename)
    pushes = target is not None and not dry_run
    with connect(hub, hf_access_token) if pushes else nullcontext() as endpoint:
        done = run(paths, options, endpoint, Console(highlight=False, soft_wrap=True))
    _last_lines(done, options, recipe, hub)


def _inputs(inputs: list[Path] | None, folder: Path | None, names: list[str] | None) -> list[Path]:
    from hfpipe.rows.paths import files_in

    paths = list(inputs or [])
    if folder is not None and not names:
        paths += files_in(folder)
    return paths + [(folder or Path()) / name for name in names or []]


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


def _shares(sizes: str | None) -> list[float] | None:
    from hfpipe.errors import UserError

    if sizes is None:
        return None
    try:
        return [float(share) for share in sizes.split(",")]
    except ValueError as error:
        raise UserError(
            f"--sizes {sizes}: give three numbers (train,validation,test), as 0.8,0.1,0.1"
        ) from error


def _last_lines(
    done: Prepared, options: PrepareOptions, recipe: str | None, hub: str | None
) -> None:
    """Say what was written, and the command to run next."""
    import os

    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False)
    counts = done.record["counts"]
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
    chosen = recipe or "topics_minilm"
    console.print(f"next:   hfpipe finetune --recipe {chosen} --dataset {published.repo_id}{place}")
