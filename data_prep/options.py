"""What ``prepare`` can be told: the recipe's ``prepare:`` block, and where the result goes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data_prep import conflicts
from data_prep.splitting import SPLITTERS
from hfpipe.errors import UserError, nearest
from hfpipe.recipe import Prepare
from hfpipe.rows.identity import ROW_ID

POLICIES = ("kept", "any")
FORMATS = ("parquet", "csv", "webdataset")
TASKS = ("classification", "regression")
ENGINES = ("local", "ray")
#: Ways of splitting that look at groups. In the others a group column would be without effect.
GROUPED = ("group", "stratified_group", "time", "given")


@dataclass
class PrepareOptions(Prepare):
    """A recipe's ``prepare:`` block plus what only a command line says.

    Attributes:
        out: Folder for the JSONL files; None to write none.
        base: Put before the file names: ``BASE_train.jsonl``.
        target: Dataset repo to push to; None to push nothing.
        public: Make a new repo public; by default it is private.
        incremental: Add the new rows to what the repo holds.
        engine: ``local``, ``ray`` or ``ray://ADDRESS``.
        dry_run: Show everything, write nothing.
        quiet: Show no tables and no progress.
    """

    out: Path | None = None
    base: str | None = None
    target: str | None = None
    public: bool = False
    incremental: bool = False
    engine: str = "local"
    dry_run: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, block: Prepare, **more: Any) -> PrepareOptions:
        """A recipe's block with more said; what is None in ``more`` is left as it is.

        >>> PrepareOptions.of(Prepare(text=["body"]), seed=7, threshold=None).threshold
        0.9
        """
        return cls(**{**asdict(block), **{key: v for key, v in more.items() if v is not None}})

    def recorded(self) -> dict[str, Any]:
        """The options that settle what the rows become, for ``prepare.json``."""
        return {each.name: getattr(self, each.name) for each in fields(Prepare)}


def check_options(options: PrepareOptions) -> None:
    """Refuse what cannot be meant, before any file is opened.

    Raises:
        UserError: The first option that is wrong, with what it may be.
    """
    if not options.label:
        raise UserError("which column holds the label? Say --label COLUMN")
    check_inputs(options)
    _one_of("--task", options.task, TASKS)
    _one_of("--policy", options.policy, POLICIES)
    _one_of("--conflicts", options.conflicts, conflicts.POLICIES)
    _one_of("--format", options.format, FORMATS)
    _one_of("--split", options.split, tuple(SPLITTERS))
    _one_of("--engine", options.engine.partition("://")[0], ENGINES)
    _splits(options)
    _columns(options)
    _units(options)
    _numbers(options)
    _places(options)


def check_inputs(options: PrepareOptions) -> None:
    """Refuse a column that is text and label at once, or that was refused or left out.

    To be called again when the rows have told whether ``a,b`` is one text column or two.

    Raises:
        UserError: There is such a column.
    """
    if options.label in options.text:
        raise UserError(f"column '{options.label}' is both --text and --label: name two columns")
    if ROW_ID in (options.label, *options.text):
        raise UserError(f"column '{ROW_ID}' holds the rows' ids: rename it to use it otherwise")
    used: dict[str, list[str | None]] = {
        "--label": [options.label],
        "--text": [*options.text],
        "--group-by": [options.group_by],
        "--encode": [options.encode.get("column")],
        "--vectors": [*(options.vectors.get("columns") or [])],
    }
    for flag, names in used.items():
        for name in filter(None, names):
            parts = flag != "--label"  # one of many labels of an object may be the label
            if any(_is(name, refused, parts) for refused in options.leakage_columns):
                raise UserError(
                    f"column '{name}' is refused by --leakage-columns, and {flag} wants it: a "
                    "column that gives the label away is no input"
                )
            if name in options.drop_columns:
                raise UserError(f"column '{name}' is both in {flag} and in --drop-columns")


def _is(name: str, column: str, or_part: bool) -> bool:
    """Whether a column is another, or, where that matters, a part of it."""
    return name == column or (or_part and name.startswith(f"{column}."))


def _one_of(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        listed = ", ".join(f"'{name}'" for name in known)
        near = nearest(value, known)
        hint = f"{near} ({flag} has {listed})" if "did you mean" in near else f"; there is {listed}"
        raise UserError(f"{flag} {value} does not exist{hint}")


def _splits(options: PrepareOptions) -> None:
    """What goes with which way of splitting."""
    way = options.split
    if way == "given" and not (options.split_column or options.splits_file):
        raise UserError(
            "--split given needs the column that names the split: --split-column COL, or a file "
            "that says it for each id: --splits-file splits.json"
        )
    if options.split_column and options.splits_file:
        raise UserError("--split-column and --splits-file both say the splits: give one of them")
    for flag, value in (
        ("--split-column", options.split_column),
        ("--splits-file", options.splits_file),
    ):
        if way != "given" and value:
            raise UserError(f"{flag} goes with --split given, not with '{way}'")
    if options.splits_file and not options.id_column:
        raise UserError("--splits-file names rows by their ids: say --id-column COL")
    if way in ("group", "stratified_group") and not options.group_by:
        raise UserError(f"--split {way} needs the column that names the group: --group-by COL")
    if options.group_by and way not in GROUPED:
        raise UserError(
            f"--group-by goes with --split group or stratified_group, not with '{way}', which "
            "puts one group into several splits"
        )
    if way == "time" and not options.time_column:
        raise UserError("--split time needs the column with the time: --time-column COL")
    if options.gap and way != "time":
        raise UserError(f"--gap goes with --split time, not with '{way}'")
    if options.task == "regression" and "stratified" in way:
        raise UserError(
            f"--split {way} needs classes, and --task regression has none: use --split random, "
            "group or time"
        )


def _columns(options: PrepareOptions) -> None:
    if options.join and not options.join_on:
        raise UserError(f"--join {options.join} needs the column that both have: --join-on COL")
    if options.join_on and not options.join:
        raise UserError("--join-on goes with --join FILE")
    if options.latest_by and not options.latest_key:
        raise UserError("--latest-by needs the columns that name one thing: --latest-key COL[,COL]")
    if options.latest_key and not options.latest_by:
        raise UserError("--latest-key goes with --latest-by COL, which says what is latest")


def gather_columns(options: PrepareOptions) -> list[str]:
    """The columns of ``--gather-by``, each once.

    >>> gather_columns(PrepareOptions(gather_by=["author, thread", "author"]))
    ['author', 'thread']
    """
    said = (part.strip() for name in options.gather_by for part in name.split(","))
    return list(dict.fromkeys(name for name in said if name))


def _units(options: PrepareOptions) -> None:
    """What goes with rows of another unit than the input's."""
    flag = "--explode" if options.explode else "--gather-by"
    keys = gather_columns(options)
    if not (options.explode or keys):
        return
    if options.engine != "local":
        raise UserError(
            f"{flag} is done on one machine: leave out --engine {options.engine}, or regroup the "
            "rows first and prepare the result"
        )
    if options.incremental:
        raise UserError(
            f"--incremental does not go with {flag}, which needs all rows of a dataset at once: "
            "prepare all rows anew"
        )
    used: dict[str, list[str | None]] = {
        "--text": [*options.text],
        "--label": [options.label],
        "--group-by": [options.group_by],
        "--encode": [options.encode.get("column")],
        "--gather-by": [*keys],
    }
    for wants, names in used.items() if options.explode else ():
        for name in filter(None, names):
            if _is(name, str(options.explode), or_part=True):
                field = name.partition(".")[2] or "FIELD"
                raise UserError(
                    f"{wants} {name}: --explode {options.explode} makes columns of its items' "
                    f"fields: say {wants} {field}"
                )


def _numbers(options: PrepareOptions) -> None:
    sizes = options.sizes
    shown = ",".join(f"{size:g}" for size in sizes)
    if len(sizes) != 3 or not all(0 < size < 1 for size in sizes):
        raise UserError(
            f"--sizes {shown}: give three shares above 0 (train,validation,test), as 0.8,0.1,0.1"
        )
    if not math.isclose(sum(sizes), 1, abs_tol=1e-6):
        raise UserError(
            f"--sizes {shown} sum to {sum(sizes):.6g}: three shares that sum to 1, as 0.8,0.1,0.1"
        )
    if not 0 <= options.threshold <= 1:
        raise UserError(f"--threshold {options.threshold:g}: a cosine similarity from 0 to 1")
    if not 0 <= options.max_bad_rows <= 1:
        raise UserError(f"--max-bad-rows {options.max_bad_rows:g}: a share from 0 to 1")
    if options.min_count < 0:
        raise UserError(f"--min-count {options.min_count}: a number of rows, 0 or more")
    if options.cap is not None and options.cap < 1:
        raise UserError(f"--cap {options.cap}: a number of rows a class, 1 or more")
    if options.folds == 1 or options.folds < 0:
        raise UserError(f"--folds {options.folds}: 2 or more, or 0 for none")
    if options.audit_rows < 100:
        raise UserError(f"--audit-rows {options.audit_rows}: 100 or more, or --no-audit")
    ratio = options.reduce_majority_to
    if ratio is not None and not (1 <= ratio < math.inf):
        raise UserError(
            f"--reduce-majority-to {ratio:g}: a multiple of the rarest class, 1 or more"
        )


def _places(options: PrepareOptions) -> None:
    if not (options.out or options.target or options.dry_run):
        raise UserError("nowhere to write to: give --out DIR, --target NAMESPACE/NAME or --dry-run")
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise UserError(f"--out {options.out} is a file: give a folder")
    if options.incremental and not options.target:
        raise UserError("--incremental adds rows to a dataset: name it with --target")
