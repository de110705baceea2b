"""Text columns and lists of messages as vectors of a base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.blocks import read_block
from data_prep.text_model import TextModel
from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint

if TYPE_CHECKING:
    from rich.console import Console

#: Texts that are tokenised at a time: what bounds the memory that token ids take.
BLOCK = 8192

#: The column, positions to be dropped by reason, positions with numbers that are none.
_Made = tuple[pa.Array, dict[str, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class EncodeOptions:
    """What to encode, with what, and how.

    Attributes:
        column: A text column, or one of lists of texts or of objects that hold a text.
        model: Model repo, also ``NAMESPACE/NAME@REVISION``, or a folder.
        name: The new column.
        field: Key of the text in an object; ``text`` unless said.
        revision: Branch, tag or commit of the model repo.
        pooling: How a text's token vectors become one: their mean, or that of the first token.
        normalise: Whether to scale every vector to length 1.
        max_length: Tokens of a text that are read.
        batch_size: Texts a forward pass.
        max_steps: Messages of a list that are encoded, from the first; None for all.
    """

    column: str
    model: str
    name: str = "vectors"
    field: str | None = None
    revision: str | None = None
    pooling: Literal["mean", "cls"] = "mean"
    normalise: bool = False
    max_length: int = 128
    batch_size: int = 64
    max_steps: int | None = None


def encode_options(block: Mapping[str, Any]) -> EncodeOptions:
    """The options that a recipe's ``prepare.encode`` block says.

    Raises:
        UserError: A key or value that cannot be meant.

    >>> encode_options({"column": "messages", "model": "a/b", "max_length": "64"}).max_length
    64
    """
    options = read_block(EncodeOptions, block, "prepare.encode")
    for key in ("max_length", "batch_size", "max_steps"):
        value = getattr(options, key)
        if value is not None and value < 1:
            raise UserError(f"prepare.encode.{key}: {value}: give 1 or more")
    if options.name == options.column:
        raise UserError(
            f"prepare.encode.name: '{options.name}' is the column that is encoded: name the new "
            "one otherwise"
        )
    return options


def encode_flag(said: str) -> dict[str, str]:
    """What ``--encode COLUMN[=NAME]`` says, as the keys of the block.

    >>> encode_flag("messages=steps"), encode_flag("messages")
    ({'column': 'messages', 'name': 'steps'}, {'column': 'messages'})
    """
    column, given, name = said.partition("=")
    if not column.strip() or (given and not name.strip()):
        raise UserError(f"--encode {said}: write COLUMN or COLUMN=NEW_COLUMN")
    return {"column": column.strip(), **({"name": name.strip()} if given else {})}


class Encoder:
    """A base model that turns texts into vectors, in float32."""

    def __init__(
        self,
        options: EncodeOptions,
        endpoint: Endpoint | None = None,
        console: Console | None = None,
    ) -> None:
        """Load the model.

        Args:
            options: What to encode.
            endpoint: The Hub that has the model repo; not needed for a folder.
            console: Where to say that it is being loaded.

        Raises:
            UserError: There is no such model, or it is no text encoder.
        """
        self.options = options
        lively = console is not None and console.is_terminal
        with console.status(f"loading {options.model}") if console and lively else nullcontext():
            self._model = TextModel(options.model, options.revision, endpoint)
        if options.max_length > self._model.longest:
            raise UserError(
                f"prepare.encode.max_length: {options.max_length}: {options.model} reads at most "
                f"{self._model.longest} tokens"
            )

    @property
    def provenance(self) -> dict[str, Any]:
        """The model with its exact revision, and how it was used, for ``prepare.json``."""
        options = {key: value for key, value in asdict(self.options).items() if key != "batch_size"}
        return {**options, **self._model.provenance, "dim": self._model.dimension}

    def encode(
        self,
        table: pa.Table,
        row_ids: Sequence[str] | None = None,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> tuple[pa.Table, dict[str, np.ndarray]]:
        """Append the column of vectors.

        Args:
            table: Rows with the column to encode.
            row_ids: Their ids, to name a row by in complaints; else it is named by its place.
            advance: Told how many rows are done; adds up to all of them.

        Returns:
            The table with one more column, and, by reason, the positions (int64) of the rows to be
            dropped. A text becomes ``fixed_size_list<float32>[dim]``, null where there is no text.
            A list becomes ``list<fixed_size_list<float32>[dim]>``, a vector each message in their
            order, zeros for a message without text; one without any text is ``empty_sequence``.

        Raises:
            UserError: The column is not there, holds neither texts nor lists of them, or the model
                gives numbers that are none.
        """
        options = self.options
        if options.column not in table.column_names:
            near = nearest(options.column, table.column_names)
            raise UserError(f"no column '{options.column}' (prepare.encode.column){near}")
        if options.name in table.column_names:
            raise UserError(
                f"there is a column '{options.name}' already, which the vectors would replace: "
                "say prepare.encode.name=OTHER"
            )
        column = table.column(options.column).combine_chunks()
        make = self._sequences if _is_list(column.type) else self._single
        vectors, reasons, broken = make(column, advance)
        if len(broken):
            named = row_ids[broken[0]] if row_ids is not None else broken[0] + 1
            raise UserError(
                f"{options.model} gives NaN or infinity for '{options.column}' of row '{named}': "
                "use another base model"
            )
        return table.append_column(options.name, vectors), reasons

    def _single(self, column: pa.Array, advance: Callable[[int], None]) -> _Made:
        rows, said = self._vectors(_texts(column, self.options), len(column), advance)
        return _vector_array(rows, ~said), {}, np.flatnonzero(~np.isfinite(rows).all(axis=1))

    def _sequences(self, column: pa.Array, advance: Callable[[int], None]) -> _Made:
        if self.options.max_steps is not None:
            column = pc.list_slice(column, 0, self.options.max_steps)
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        rows, said = self._vectors(_texts(column.flatten(), self.options), len(column), advance)
        sequences = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), _vector_array(rows))
        owner = np.repeat(np.arange(len(column)), lengths)
        empty = np.flatnonzero(np.bincount(owner[said], minlength=len(column)) == 0)
        broken = owner[~np.isfinite(rows).all(axis=1)]
        return sequences, {"empty_sequence": empty}, broken

    def _vectors(
        self, texts: pa.Array, rows: int, advance: Callable[[int], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(texts, dim) float32 with zeros where there is no text, and (texts,) where there is."""
        encoded = texts.dictionary_encode()
        said = encoded.is_valid().to_numpy(zero_copy_only=False)
        distinct = np.zeros((len(encoded.dictionary) + 1, self._model.dimension), dtype=np.float32)
        # Blocks of like length; tokens of all texts at once would take much memory.
        lengths = pc.utf8_length(encoded.dictionary).to_numpy(zero_copy_only=False)
        order = np.argsort(lengths, kind="stable")
        done = 0
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            for places, vectors in self._run(encoded.dictionary.take(pa.array(block)).to_pylist()):
                distinct[block[places]] = vectors
                before, done = done, done + len(places)
                advance(rows * done // len(order) - rows * before // len(order))
        if not len(order):
            advance(rows)
        codes = encoded.indices.fill_null(len(encoded.dictionary))
        return distinct[codes.to_numpy(zero_copy_only=False)], said

    def _run(self, texts: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        options = self.options
        tokens = self._model.tokens(texts, options.max_length)
        for places, vectors in self._model.batches(tokens, options.batch_size, options.pooling):
            if options.normalise:
                vectors = vectors / np.maximum(
                    np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12
                )
            yield places, vectors


def _texts(column: pa.Array, options: EncodeOptions) -> pa.Array:
    """Texts of a column of texts, or of objects with a text; what is blank is missing."""
    kind = column.type
    if pa.types.is_struct(kind):
        key, known = options.field or "text", [field.name for field in kind]
        if key not in known:
            raise UserError(
                f"column '{options.column}' has objects without '{key}' (prepare.encode.field)"
                f"{nearest(key, known)}"
            )
        column = pc.struct_field(column, key)
        kind = column.type
    elif options.field is not None:
        raise UserError(
            f"prepare.encode.field: column '{options.column}' holds texts, not objects: leave "
            "field out"
        )
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise UserError(
            f"column '{options.column}' (prepare.encode.column) holds {kind}: texts, lists of "
            "texts or lists of objects with a text are needed"
        )
    texts = column.cast(pa.large_string())
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), None, texts)


def _vector_array(rows: np.ndarray, missing: np.ndarray | None = None) -> pa.FixedSizeListArray:
    flat = pa.array(rows.reshape(-1), pa.float32())
    mask = None if missing is None else pa.array(missing)
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1], mask=mask)


def _is_list(kind: pa.DataType) -> bool:
    tests = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    return any(is_list(kind) for is_list in tests)
