"""What ``prepare`` can be told: the recipe's ``prepare:`` block, and where the result goes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data_prep.splitting import SPLITTERS
from hfpipe.errors import UserError, nearest
from hfpipe.recipe import Prepare
from hfpipe.rows.identity import ROW_ID

POLICIES = ("kept", "any")
FORMATS = ("parquet", "csv")


@dataclass
class PrepareOptions(Prepare):
    """A recipe's ``prepare:`` block plus what only a command line says.

    Attributes:
        out: Folder for the JSONL files; None to write none.
        base: Put before the file names: ``BASE_train.jsonl``.
        target: Dataset repo to push to; None to push nothing.
        public: Make a new repo public; by default it is private.
        dry_run: Show everything, write nothing.
        quiet: Show no tables and no progress.
    """

    out: Path | None = None
    base: str | None = None
    target: str | None = None
    public: bool = False
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
    if not options.text:
        raise UserError("which column holds the text? Say --text COLUMN")
    if not options.label:
        raise UserError("which column holds the label? Say --label COLUMN")
    if options.label in options.text:
        raise UserError(f"column '{options.label}' is both --text and --label: name two columns")
    if ROW_ID in (options.label, *options.text):
        raise UserError(f"column '{ROW_ID}' holds the rows' ids: rename it to use it otherwise")
    _one_of("--policy", options.policy, POLICIES)
    _one_of("--format", options.format, FORMATS)
    _one_of("--split", options.split, tuple(SPLITTERS))
    if options.split == "given" and not options.split_column:
        raise UserError("--split given needs the column that names the split: --split-column COL")
    if options.split != "given" and options.split_column:
        raise UserError(f"--split-column goes with --split given, not with '{options.split}'")
    _numbers(options)
    if not (options.out or options.target or options.dry_run):
        raise UserError("nowhere to write to: give --out DIR, --target NAMESPACE/NAME or --dry-run")
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise UserError(f"--out {options.out} is a file: give a folder")


def _one_of(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        listed = ", ".join(f"'{name}'" for name in known)
        near = nearest(value, known)
        hint = f"{near} ({flag} has {listed})" if "did you mean" in near else f"; there is {listed}"
        raise UserError(f"{flag} {value} does not exist{hint}")


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
    ratio = options.reduce_majority_to
    if ratio is not None and not (1 <= ratio < math.inf):
        raise UserError(
            f"--reduce-majority-to {ratio:g}: a multiple of the rarest class, 1 or more"
        )
