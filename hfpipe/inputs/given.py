"""Rows that somebody else's file holds, as a fitted processor takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from hfpipe.errors import HfpipeError, UserError
from hfpipe.inputs.kinds.categorical import CategoricalInput
from hfpipe.inputs.processor import Processor
from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.streaming import Survey, blocks
from hfpipe.rows.values import flat_text, text_of

_NESTED = ("vector", "vector_sequence")


def flat_columns(processor: Processor) -> list[str]:
    """The columns that hold one value a row: a text, a number or a category.

    >>> flat_columns(Processor({"groups": CategoricalInput(["a"], [["x"]])}, None))
    ['a']
    """
    others = (*_NESTED, "image")
    kept = [each for each in processor.inputs.values() if each.schema()["kind"] not in others]
    return list(dict.fromkeys(column for each in kept for column in each.columns))


def with_known_categories(table: pa.Table, processor: Processor) -> pa.Table:
    """Categories of CSV as train knew them: ``3.0`` is the ``3`` of a column of numbers.

    CSV does not tell a number from a text, and writers add a point where a column has gaps.

    >>> processor = Processor({"groups": CategoricalInput(["a"], [["3", "true"]])}, None)
    >>> table = pa.table({"a": ["3.0", "True", "x", None]})
    >>> with_known_categories(table, processor).column("a").to_pylist()
    ['3', 'true', 'x', None]
    """
    for each in processor.inputs.values():
        if isinstance(each, CategoricalInput):
            for column, known in zip(each.columns, each.vocabularies, strict=True):
                values = _known(table.column(column), set(known))
                table = table.set_column(table.column_names.index(column), column, values)
    return table


def _known(values: pa.ChunkedArray, known: set[str]) -> pa.Array:
    encoded = values.cast(pa.string()).combine_chunks().dictionary_encode()
    texts = [_as_known(text, known) for text in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _as_known(text: str, known: set[str]) -> str:
    if text in known:
        return text
    with suppress(ValueError):
        spelt = text_of(float(text))
        return spelt if spelt in known else text
    return text.lower() if text.lower() in known & {"true", "false"} else text


def refuse_words(found: Survey, processor: Processor, id_column: str | None) -> None:
    """Name the row that holds a word where the model reads a vector.

    One such row makes text of the whole column, so what reads vectors could not tell which it is.

    Args:
        found: The rows.
        processor: What reads them.
        id_column: What names them; None for their numbers.

    Raises:
        UserError: There is one.
    """
    read = [each for each in processor.inputs.values() if each.schema()["kind"] in _NESTED]
    lists = dict.fromkeys(column for each in read for column in each.columns)
    spoilt = [column for column in lists if pa.types.is_string(found.schema.field(column).type)]
    needed = dict.fromkeys([*spoilt, *([id_column] if id_column else [])])
    for block in blocks(found, list(needed)) if spoilt else ():
        names = row_names(block.table, id_column, block.start)
        check_lists(block.table.select(spoilt), names, block.source.name)


def check_lists(table: pa.Table, names: Sequence[str], place: str) -> None:
    """Make sure that columns of JSON texts hold lists only.

    Args:
        table: Only these columns.
        names: What to call each row.
        place: What to call the file.

    Raises:
        UserError: One is no list.

    >>> check_lists(pa.table({"video": ["[1, 2]", "none"]}), ["r0", "r1"], "a.jsonl")
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: a.jsonl: row 'r1': 'video' is 'none', and must be a list
    """
    for column in table.column_names:
        for name, text in zip(names, table.column(column).to_pylist(), strict=True):
            if text is not None and not text.startswith("["):
                raise UserError(
                    f"{place}: row '{name}': '{column}' is '{text[:60]}', and must be a list"
                )


def row_names(table: pa.Table, id_column: str | None, start: int) -> list[str]:
    """What messages call rows: their ids, else their numbers.

    Args:
        table: The rows.
        id_column: The column of the ids, if there is one.
        start: The number of the first row.

    >>> rows = pa.table({"key": ["a", None]})
    >>> row_names(rows, None, 7), row_names(rows, "key", 7)
    (['7', '8'], ['a', '8'])
    """
    counted = [str(start + number) for number in range(table.num_rows)]
    if id_column is None:
        return counted
    texts = map(flat_text, table.column(id_column).to_pylist())
    return [text or number for text, number in zip(texts, counted, strict=True)]


def with_names(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table with its rows' names as their ``row_id``."""
    kept = [name for name in table.column_names if name != ROW_ID]
    return table.select(kept).append_column(ROW_ID, pa.array(names, pa.string()))


@contextmanager
def errors_of(file: str) -> Iterator[None]:
    """Put the file's name where a message about some rows only calls them "rows".

    >>> with errors_of("a.csv"):
    ...     raise UserError("rows: row '3': nothing in 'text'")
    Traceback (most recent call last):
    ...
    hfpipe.errors.UserError: a.csv: row '3': nothing in 'text'
    """
    try:
        yield
    except HfpipeError as error:
        said = str(error)
        if not said.startswith(("rows: ", "rows ", "row '")):
            raise
        said = said.removeprefix("rows").removeprefix(":").strip()
        raise type(error)(f"{file}: {said}") from error


@contextmanager
def no_leftovers() -> Iterator[None]:
    """Delete what ``encode_rows`` wrote in the block: it would stay until the process ends."""
    from datasets.fingerprint import get_temporary_cache_files_directory

    folder = Path(get_temporary_cache_files_directory())
    before = set(folder.iterdir())
    try:
        yield
    finally:
        for path in set(folder.iterdir()) - before:
            with suppress(OSError):
                path.unlink()
