"""Text columns and lists of messages as vectors of a base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_prep.blocks import read_block
from hfpipe.errors import UserError, nearest
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import sha256
from hfpipe.hub.repos import hub_errors, resolve, split_revision

if TYPE_CHECKING:
    from rich.console import Console

#: Texts that are tokenised at a time: what bounds the memory that token ids take.
BLOCK = 8192


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
        status = console.status(f"loading {options.model}") if console and lively else nullcontext()
        with status, _quiet_loading(options.model):
            self._source, self._provenance, token = _find_model(options, endpoint)
            revision = self._provenance["revision"]
            with hub_errors(endpoint, options.model) if endpoint else nullcontext():
                self._load(revision, token)
            self._check_length()
            self.dimension = self._forward(["a"]).shape[1]

    def _load(self, revision: str | None, token: str | bool) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        where = {"revision": revision or "main", "token": token}
        self._tokenizer = AutoTokenizer.from_pretrained(self._source, **where)
        model, loaded = AutoModel.from_pretrained(
            self._source, dtype="float32", output_loading_info=True, **where
        )
        absent = sorted(name for name in loaded["missing_keys"] if "pooler" not in name)
        if absent:
            raise ValueError(f"its weights lack {absent[0]}")
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.eval().to(self._device)

    def _check_length(self) -> None:
        longest = int(self._tokenizer.model_max_length)
        positions = getattr(self._model.config, "max_position_embeddings", None)
        longest = min(longest, positions or longest)
        if self.options.max_length > longest:
            raise UserError(
                f"prepare.encode.max_length: {self.options.max_length}: {self.options.model} "
                f"reads at most {longest} tokens"
            )

    @property
    def provenance(self) -> dict[str, Any]:
        """The model with its exact revision, and how it was used, for ``prepare.json``."""
        options = {key: value for key, value in asdict(self.options).items() if key != "batch_size"}
        return {**options, **self._provenance, "dim": self.dimension}

    def encode(
        self,
        table: pa.Table,
        row_ids: Any = None,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> tuple[pa.Table, dict[str, np.ndarray]]:
        """Append the column of vectors.

        Args:
            table: Rows with the column to encode.
            row_ids: Their ids, to name a row by; else it is named by its place.
            advance: Told how many rows are done; adds up to all of them.

        Returns:
            The table with one more column, and, by reason, the positions (int64) of the rows to be
            dropped. A text becomes ``fixed_size_list<float32>[dim]``, null where there is no text.
            A list becomes ``list<fixed_size_list<float32>[dim]>``, a vector each message in their
            order, zeros for a message without text; one without any text is ``empty_sequence``.

        Raises:
            UserError: The column is not there, or holds neither texts nor lists of them.
        """
        del row_ids  # no error names a row
        options = self.options
        if options.column not in table.column_names:
            near = nearest(options.column, table.column_names)
            raise UserError(f"no column '{options.column}' (prepare.encode.column){near}")
        if options.name in table.column_names:
            raise UserError(
                f"there is a column '{options.name}' already, which the vectors would replace: "
                "say prepare.encode.name=OTHER"
            )
        column = _array(table.column(options.column))
        if _is_list(column.type):
            vectors, reasons = self._sequences(column, advance)
        else:
            texts = _texts(column, options)
            rows, said = self._vectors(texts, len(column), advance)
            vectors, reasons = _vector_array(rows, ~said), {}
        return table.append_column(options.name, vectors), reasons

    def _sequences(
        self, column: pa.Array, advance: Callable[[int], None]
    ) -> tuple[pa.Array, dict[str, np.ndarray]]:
        if self.options.max_steps is not None:
            column = pc.list_slice(column, 0, self.options.max_steps)
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        rows, said = self._vectors(_texts(column.flatten(), self.options), len(column), advance)
        with_text = np.concatenate([[0], np.cumsum(said)])
        empty = np.flatnonzero(with_text[bounds[1:]] == with_text[bounds[:-1]])
        sequences = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), _vector_array(rows))
        return sequences, {"empty_sequence": empty}

    def _vectors(
        self, texts: pa.Array, rows: int, advance: Callable[[int], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(texts, dim) float32 with zeros where there is no text, and (texts,) where there is."""
        encoded = texts.dictionary_encode()
        said = encoded.is_valid().to_numpy(zero_copy_only=False)
        distinct = np.zeros((len(encoded.dictionary) + 1, self.dimension), dtype=np.float32)
        # Texts of like length together, so that little of a batch is padding.
        lengths = pc.utf8_length(encoded.dictionary).to_numpy(zero_copy_only=False)
        order = np.argsort(lengths, kind="stable")
        done = 0
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            for places, vectors in self._blockwise(encoded.dictionary.take(pa.array(block))):
                distinct[block[places]] = vectors
                before, done = done, done + len(places)
                advance(rows * done // len(order) - rows * before // len(order))
        if not len(order):
            advance(rows)
        codes = encoded.indices.fill_null(len(encoded.dictionary))
        return distinct[codes.to_numpy(zero_copy_only=False)], said

    def _blockwise(self, texts: pa.Array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of a block, by number of tokens: places in it, and their vectors."""
        tokens = self._tokenizer(
            texts.to_pylist(), truncation=True, max_length=self.options.max_length
        )["input_ids"]
        order = np.argsort([-len(ids) for ids in tokens], kind="stable")
        for start in range(0, len(order), self.options.batch_size):
            places = order[start : start + self.options.batch_size]
            yield places, self._pooled([tokens[place] for place in places])

    def _forward(self, texts: list[str]) -> np.ndarray:
        try:
            return self._pooled(self._tokenizer(texts)["input_ids"])
        except (TypeError, AttributeError, KeyError) as error:  # an image model, or half of one
            raise ValueError(f"it does not take text alone: {error}") from error

    def _pooled(self, tokens: list[list[int]]) -> np.ndarray:
        import torch

        padded = self._tokenizer.pad(
            {"input_ids": tokens}, return_tensors="pt", padding_side="right"
        ).to(self._device)
        mask = padded["attention_mask"]
        with torch.inference_mode():
            states = self._model(input_ids=padded["input_ids"], attention_mask=mask)[0]
            if self.options.pooling == "cls":
                pooled = states[:, 0]
            else:
                weights = mask.unsqueeze(-1).to(states.dtype)
                pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
            if self.options.normalise:
                pooled = torch.nn.functional.normalize(pooled, dim=-1)
        return np.asarray(pooled.cpu().numpy(), dtype=np.float32)


def _find_model(
    options: EncodeOptions, endpoint: Endpoint | None
) -> tuple[str, dict[str, Any], str | bool]:
    """Where to load from, the exact revision, and the token to load with."""
    folder = Path(options.model).expanduser()
    if folder.is_dir():
        if options.revision:
            raise UserError(f"prepare.encode.revision: {options.model} is a folder, which has none")
        files = sorted(path for path in folder.iterdir() if path.is_file())
        hashes = {path.name: sha256(path) for path in files}
        return str(folder), {"revision": None, "files": hashes}, False
    if endpoint is None:
        raise UserError(
            f"prepare.encode.model: {options.model} is no folder, and there is no Hub: give --hub"
        )
    name, at = split_revision(options.model)
    repo_id = endpoint.repo_id(name)
    sha = resolve(endpoint, repo_id, "model", options.revision or at)
    return repo_id, {"model": repo_id, "revision": sha}, endpoint.token or False


@contextmanager
def _quiet_loading(model: str) -> Iterator[None]:
    """Keep the loader's own report and bars away; say in one line what cannot be loaded."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (ValueError, OSError, KeyError, RuntimeError, ImportError) as error:
        if hasattr(error, "response"):
            raise
        cause = " ".join(str(error).split())[:200]
        raise UserError(
            f"prepare.encode.model: '{model}' holds no text encoder that transformers can load: "
            f"{cause}"
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


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


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _is_list(kind: pa.DataType) -> bool:
    tests = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    return any(is_list(kind) for is_list in tests)
