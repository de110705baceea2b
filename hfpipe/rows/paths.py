"""Input files: found, recognised by their names, opened."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from hfpipe.errors import RunError, UserError, nearest

KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}


def kind_of(path: Path) -> str | None:
    """What a file holds, by its name: a value of ``KINDS``, or None if it is none of them.

    >>> kind_of(Path("rows.jsonl.gz")), kind_of(Path("rows.CSV")), kind_of(Path("rows.parquet.gz"))
    ('jsonl', 'csv', None)
    """
    name = path.name.lower()
    zipped = name.endswith(".gz")
    kind = KINDS.get(Path(name.removesuffix(".gz")).suffix)
    return None if zipped and kind == "parquet" else kind


def find_inputs(inputs: Sequence[str | Path]) -> list[Path]:
    """Check that every input is a file of a known kind.

    Raises:
        UserError: None given, missing, a folder, a kind that is not known, or named twice.
    """
    if not inputs:
        raise UserError("no input: name at least one .jsonl, .csv, .tsv or .parquet file")
    paths = [Path(each).expanduser() for each in inputs]
    for path in paths:
        if path.is_dir():
            raise UserError(f"{path} is a folder: name its files, or use --input-dir {path}")
        if not path.exists():
            raise UserError(f"{path} does not exist{_near_files(path)}")
        if kind_of(path) is None:
            raise UserError(
                f"{path}: unknown kind of file; there is .jsonl, .ndjson, .csv, .tsv (each also "
                "with .gz) and .parquet"
            )
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UserError(f"{path} is named twice: name each input once")
        seen.add(path.resolve())
    return paths


def files_in(folder: Path) -> list[Path]:
    """Every file of a known kind directly in a folder, by name.

    Raises:
        UserError: There is no such folder, or nothing readable in it.
    """
    if not folder.is_dir():
        raise UserError(f"--input-dir {folder} is not a folder{_near_files(folder)}")
    found = sorted(path for path in folder.iterdir() if path.is_file() and kind_of(path))
    if not found:
        raise UserError(f"--input-dir {folder}: no .jsonl, .csv, .tsv or .parquet file in it")
    return found


def _near_files(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.absolute().parent.iterdir())
    except OSError:
        return f"; nor does the folder {path.parent}"
    return nearest(path.name, names) if names else f"; the folder {path.parent} is empty"


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, unzipped where its name ends with ``.gz``.

    Raises:
        UserError: It may not be read, is not gzip, or its gzip stream is damaged; also when that
            shows only while the block reads.
    """
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rb") as unzipped:
                yield cast(BinaryIO, unzipped)
        else:
            with path.open("rb") as file:
                yield file
    except PermissionError as error:
        raise UserError(f"{path} may not be read: check its permissions") from error
    except EOFError as error:
        raise UserError(f"{path}: the gzip stream ends early: fetch or zip it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"{path}: damaged or not gzip ({error}): zip it again, or rename it without .gz"
        ) from error
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}") from error


def writable_parent(path: Path) -> Path:
    """The nearest existing folder at or above ``path``.

    Raises:
        UserError: It may not be written to.
    """
    folder = path.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{path}: {folder} may not be written to: choose another folder")
    return folder
