"""``splits.json``: which id is in which split."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.splitting.request import SPLITS
from data_prep.splitting.ways.given import split_code
from hfpipe.errors import UserError, nearest


def read_splits_file(path: str | Path) -> dict[str, str]:
    """Read a file of splits: ``{"id": "train", …}`` or ``{"train": ["id", …], …}``.

    Args:
        path: A JSON file.

    Returns:
        Each id's split, under its name in ``SPLITS``.

    Raises:
        UserError: The file cannot be read, an id has no split, an unknown one, or two.
    """
    said = _content(Path(path))
    lists = sum(isinstance(value, list) for value in said.values())
    pairs: Iterable[tuple[str, Any]] = said.items()
    if lists == len(said):
        pairs = ((_id(path, each), name) for name, ids in said.items() for each in ids)
    elif lists:
        raise UserError(
            f"{path}: ids and splits are mixed: write either an id and its split, or a split and "
            "the list of its ids"
        )
    splits: dict[str, str] = {}
    for row_id, name in pairs:
        if row_id in splits:
            raise UserError(f"{path}: id '{row_id}' stands there twice: keep one of them")
        splits[row_id] = _split_name(path, row_id, name)
    return splits


def given_names(splits: Mapping[str, str], row_ids: Iterable[str], path: str | Path) -> np.ndarray:
    """Look up the split of every row.

    Args:
        splits: What ``read_splits_file`` gave.
        row_ids: One a row.
        path: The file, for messages.

    Returns:
        The names of the splits, (rows,) objects.

    Raises:
        UserError: Rows are not in the file.

    >>> given_names({"a": "train", "b": "test"}, ["b", "a"], "splits.json").tolist()
    ['test', 'train']
    """
    ids = list(row_ids)
    names = [splits.get(each) for each in ids]
    lost = [each for each, name in zip(ids, names, strict=True) if name is None]
    if lost:
        raise UserError(
            f"{path}: no split for {len(lost)} of {len(ids)} rows, '{min(lost)}' among them: name "
            "theirs too, and check that --id-column is the column with the file's ids"
        )
    return np.array(names, dtype=object)


def _content(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes(), object_pairs_hook=lambda pairs: _once(path, pairs))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(said, dict) or not said:
        raise UserError(
            f'{path}: give {{"id": "train", …}} or {{"train": ["id", …], …}}, not '
            f"{'an empty object' if said == {} else f'a {type(said).__name__}'}"
        )
    return said


def _once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose keys stands there twice; plain JSON readers keep the last one."""
    said = dict(pairs)
    if len(said) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for at, key in enumerate(keys) if key in keys[:at])
        raise UserError(f"{path}: '{twice}' stands there twice: keep one of them")
    return said


def _id(path: str | Path, value: Any) -> str:
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise UserError(f"{path}: {json.dumps(value)[:40]} is no id: ids are texts or whole numbers")


def _split_name(path: str | Path, row_id: str, name: Any) -> str:
    code = split_code(name)
    if code >= 0:
        return SPLITS[code]
    if name is None or name == "":
        raise UserError(f"{path}: id '{row_id}' has no split: name train, validation or test")
    said = name if isinstance(name, str) else json.dumps(name)[:40]
    raise UserError(f"{path}: id '{row_id}' is in '{said}'{nearest(said, SPLITS)}")
