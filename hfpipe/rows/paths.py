"""Inputs found: files, folders, globs, brace ranges, and what lies elsewhere."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hfpipe.errors import UserError, nearest
from hfpipe.rows.hubs import HubLike, find_in_hub
from hfpipe.rows.records import one_line_errors
from hfpipe.rows.remote import find_remote, shown_url
from hfpipe.rows.sources import Source, kind_of

KNOWN = "there is .jsonl, .ndjson, .csv, .tsv, .tar (each also with .gz or .zst) and .parquet"
_GLOB = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_BRACED = 100_000


def find_inputs(inputs: Sequence[str | Path], endpoint: HubLike | None = None) -> list[Source]:
    """Find the files that the user names.

    Args:
        inputs: Each a file; a folder (all files of a known kind in it and below it, by name); a
            glob (``data/*.jsonl``, ``**``); any of these with braces
            (``shard-{000000..000003}.tar``, ``{train,test}.csv``);
            ``hf://datasets/NAMESPACE/NAME[@REVISION][/PATH]``; or ``s3://BUCKET/KEY`` and any other
            address that fsspec knows, also as a folder or glob.
        endpoint: The Hub for ``hf://``; the public one if None.

    Returns:
        The files, in the order of the inputs.

    Raises:
        UserError: None given, missing, a kind that is not known, or named twice.
        RunError: Where they lie cannot be reached.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("b.csv", "a.jsonl", "notes.md"):
    ...     _ = (folder / name).write_text("")
    >>> [Path(source.name).name for source in find_inputs([folder])]
    ['a.jsonl', 'b.csv']
    """
    if not inputs:
        raise UserError(f"no input: name at least one file or folder; {KNOWN}")
    with one_line_errors():
        found = [source for each in inputs for source in _find(str(each), endpoint)]
        seen: set[str] = set()
        for source in found:
            if source.identity in seen:
                raise UserError(f"{source.name} is named twice: name each input once")
            seen.add(source.identity)
        return found


def files_in(folder: Path) -> list[Path]:
    """Every file of a known kind directly in a folder, by name.

    Raises:
        UserError: There is no such folder, or nothing readable in it.
    """
    if not folder.is_dir():
        raise UserError(f"--input-dir {folder} is not a folder{_near_files(folder)}")
    found = sorted(path for path in folder.iterdir() if path.is_file() and kind_of(path))
    if not found:
        raise UserError(f"--input-dir {folder}: no file of a known kind in it; {KNOWN}")
    return found


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


def expand_braces(text: str) -> list[str]:
    """Every name that braces stand for.

    >>> expand_braces("a-{08..10}.tar"), expand_braces("{a,b}{1..2}"), expand_braces("a{b}")
    (['a-08.tar', 'a-09.tar', 'a-10.tar'], ['a1', 'a2', 'b1', 'b2'], ['a{b}'])

    Raises:
        UserError: They stand for more than 100,000.
    """
    parts: list[list[str]] = []
    end = 0
    for match in _BRACES.finditer(text):
        parts += [[text[end : match.start()]], _options(match)]
        end = match.end()
    total = 1
    for part in parts:
        total *= len(part)
    if total > _MOST_BRACED:
        raise UserError(f"{shown_url(text)}: stands for {total:,} names: use a glob")
    return ["".join(chosen) for chosen in itertools.product(*parts, [text[end:]])]


def _options(match: re.Match[str]) -> list[str]:
    said = match.group(1)
    bounds = _RANGE.fullmatch(said)
    if bounds:
        first, last = bounds.groups()
        span = range(int(first), int(last) + 1) if len(last) < 19 else range(0)
        if len(span) > _MOST_BRACED:
            raise UserError(f"{match.group()}: stands for {len(span):,} names: use a glob")
        return [str(number).zfill(len(first)) for number in span]
    return said.split(",") if "," in said else [match.group()]


def _find(text: str, endpoint: HubLike | None) -> list[Source]:
    text = text.removeprefix("file://")
    as_it_stands = "://" not in text and os.path.lexists(os.path.expanduser(text))
    names = [text] if as_it_stands else expand_braces(text)
    if not names:
        raise UserError(f"{text}: the range in braces is empty")
    return [source for name in names for source in _known(name, _found(name, endpoint))]


def _found(name: str, endpoint: HubLike | None) -> Iterator[Source]:
    if name.startswith("hf://"):
        return iter(find_in_hub(name, endpoint))
    return find_remote(name) if "://" in name else _local(name)


def _local(text: str) -> Iterator[Source]:
    path = os.path.expanduser(text)
    if os.path.isdir(path):
        names = _below(path)
    elif os.path.exists(path):
        yield _local_source(path, kind_of(path) or "")
        return
    elif _GLOB.search(path):
        names = sorted(name for name in glob.glob(path, recursive=True) if os.path.isfile(name))
        if not names:
            raise UserError(f"{text}: no file is called like that{_near_files(Path(path))}")
    else:
        raise UserError(f"{path} does not exist{_near_files(Path(path))}")
    kinds = {name: kind_of(name) for name in names}
    yield from (_local_source(name, kind) for name, kind in kinds.items() if kind)


def _below(folder: str) -> list[str]:
    """All files in a folder and below it, but for hidden ones."""
    names = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [os.path.join(place, name) for name in files if not name.startswith(".")]
    return sorted(names)


def _local_source(path: str, kind: str) -> Source:
    try:
        return Source(path, kind, path, os.path.getsize(path))
    except OSError as error:
        raise UserError(f"{path} may not be read ({error.strerror})") from error


def _known(text: str, found: Iterator[Source]) -> list[Source]:
    """The sources of a known kind.

    Raises:
        UserError: There is none.
    """
    sources = list(found)
    for source in sources:
        if not source.kind:
            raise UserError(f"{source.name}: unknown kind of file; {KNOWN}")
    if not sources:
        raise UserError(f"{shown_url(text)}: no file of a known kind there; {KNOWN}")
    return sources


def _near_files(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.absolute().parent.iterdir())
    except OSError:
        return f"; nor does the folder {path.parent}"
    return nearest(path.name, names) if names else f"; the folder {path.parent} is empty"
