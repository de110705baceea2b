"""The leak slice: which scored rows have a near-duplicate in train."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from hfpipe.blocks import CLEAN, LEAKED
from hfpipe.evaluation.features import numbers_of, texts_of
from hfpipe.inputs.kinds import Kind
from hfpipe.inputs.kinds._numbers import numbers
from hfpipe.inputs.kinds._pictures import read_bytes
from hfpipe.inputs.kinds.categorical import CategoricalInput
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.kinds.numeric import NumericInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.kinds.vector import VectorInput
from hfpipe.inputs.kinds.vector_sequence import VectorSequenceInput
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.reading import Rows, batches
from hfpipe.inputs.splits import row_ids
from hfpipe.rows.values import text_of

if TYPE_CHECKING:
    from datasets import Dataset

IN_ONE = "all in the same train row"
THRESHOLD = 0.9
VECTOR_THRESHOLD = 0.999
IMAGE_THRESHOLD = 0.99
"""Of 1,500 Openclipart pictures, one at half its size, as JPEG of quality 60, is 0.997 like itself;
3 % are more than 0.95 like another one, nearly none more than 0.99."""
BLOCK = 2**22
"""So many pairs are compared at a time, 16 MB of similarities an input, but for these bounds."""
FEWEST_ROWS, MOST_ROWS = 16, 256
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Leaks:
    """What was found of each scored row.

    Attributes:
        column: ``leaked`` or ``clean``.
        similarity: ``(rows,)`` to the nearest train row, 0 to 1: the least of its inputs. NaN where
            there is nothing to compare.
        nearest: The row id of that train row; None where none has anything in common.
        how: What was compared, in words.
    """

    column: list[str]
    similarity: npt.NDArray[np.float64]
    nearest: list[str | None]
    how: str


def near_duplicates_in_train(
    processor: Processor,
    train: Dataset,
    rows: Dataset,
    threshold: float = THRESHOLD,
    *,
    train_processor: Processor | None = None,
) -> Leaks:
    """Find the scored rows that a model could know from train.

    A row is leaked iff there is one train row that resembles it in every content input that the row
    has: every text, vector, sequence of vectors and image. Texts resemble each other above a TF-IDF
    cosine (scikit-learn's ``TfidfVectorizer``, words of train and of these rows) of ``threshold``,
    or where they are the same; vectors above a cosine of 0.999; images above one of 0.99
    of their 16 x 16 pixels less their mean, or where their files are the same; sequences of vectors
    where all numbers are the same. Numbers and categories beside
    content do not count, since different rows share them; of a model that sees nothing else, a row
    is leaked iff all of them are the same in a train row. A row without any of these is clean.

    All pairs are compared, a block of rows at a time: time grows with the rows of both, memory with
    either.

    Args:
        processor: Names the inputs.
        train: What the model was trained on.
        rows: The scored rows.
        threshold: Of texts.
        train_processor: The processor with the names that the columns have in ``train``, where
            ``rows`` has others.

    Raises:
        UserError: A row does not hold what train held; it is named.
    """
    similarity = np.full(len(rows), np.nan)
    near = np.zeros(len(rows), bool)
    place = np.full(len(rows), -1)
    found: list[Comparison] = []
    if len(train) and len(rows):
        found = _comparisons(train_processor or processor, processor, train, rows, threshold)
        for part in _blocks(len(rows), len(train)) if found else ():
            similarity[part], near[part], place[part] = _nearest(found, part)
    ids = row_ids(train)
    return Leaks(
        [LEAKED if each else CLEAN for each in near],
        similarity,
        [ids[at] if at >= 0 else None for at in place],
        "; ".join([*(each.how for each in found), *([IN_ONE] if len(found) > 1 else [])]),
    )


@dataclass(frozen=True)
class Comparison(ABC):
    """One input of train rows and of scored rows.

    Attributes:
        how: What is compared, in words.
        threshold: Rows resemble each other above it.
        present: ``(rows,)``: which scored rows have the input.
    """

    how: str
    threshold: float
    present: npt.NDArray[np.bool_]

    @abstractmethod
    def similarities(self, part: slice) -> Floats:
        """``(train rows, scored rows of the part)``, 0 to 1; 0 where a train row has nothing."""


@dataclass(frozen=True)
class Same(Comparison):
    """All values: 1 where they are the same, else 0."""

    train: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    def similarities(self, part: slice) -> Floats:
        """See :class:`Comparison`."""
        return (self.train[:, None] == self.rows[None, part]).astype(np.float32)


@dataclass(frozen=True)
class Cosine(Comparison):
    """Dense or sparse rows of unit length; texts may also be the same without having a word."""

    train: Any
    rows: Any
    same: Same | None = None

    def similarities(self, part: slice) -> Floats:
        """See :class:`Comparison`."""
        block = self.rows[part]
        # Sparse times dense: each word of train is one pass over the block's rows, side by side.
        block = block.toarray() if sparse.issparse(block) else block
        found: Floats = np.asarray(self.train @ np.ascontiguousarray(block.T), np.float32)
        if self.same is not None:
            found[self.same.train[:, None] == self.same.rows[None, part]] = 1
        return np.clip(found, 0, 1, out=found)


def _comparisons(
    first: Processor, second: Processor, train: Dataset, rows: Dataset, threshold: float
) -> list[Comparison]:
    """The content inputs; all others as one where there are none."""
    pairs = {name: (kind, second.inputs[name]) for name, kind in first.inputs.items()}
    found: list[Comparison] = []
    for name, (kind, other) in pairs.items():
        if isinstance(kind, TextInput) and isinstance(other, TextInput):
            found.append(_text(name, texts_of(kind, train), texts_of(other, rows), threshold))
        elif isinstance(kind, VectorInput):
            found.append(_vector(name, numbers_of(kind, train), numbers_of(other, rows)))
        elif isinstance(kind, ImageInput):
            same = _same("", _keys([kind], train), _keys([other], rows))
            found.append(_image(name, numbers_of(kind, train), numbers_of(other, rows), same))
        elif isinstance(kind, VectorSequenceInput):
            how = f"{name}: the same steps"
            found.append(_same(how, _keys([kind], train), _keys([other], rows)))
    if not found and pairs:
        kinds, others = zip(*pairs.values(), strict=True)
        found.append(_same("the same values", _keys(kinds, train), _keys(others, rows)))
    return found


def _text(name: str, train: list[str], rows: list[str], threshold: float) -> Cosine:
    vectorizer = TfidfVectorizer(dtype=np.float32)
    try:
        made = vectorizer.fit_transform([*train, *rows])
    except ValueError:  # scikit-learn's word for an empty vocabulary
        made = sparse.csr_matrix((len(train) + len(rows), 1), dtype=np.float32)
    learned, seen = made[: len(train)], made[len(train) :]
    # Words that no scored row has do not matter.
    used = np.unique(seen.indices)
    same = _same("", [_key(text) for text in train], [_key(text) for text in rows])
    how = f"{name}: TF-IDF cosine above {threshold:g}"
    return Cosine(how, threshold, same.present, learned[:, used], seen[:, used], same)


def _key(text: str) -> bytes | None:
    return " ".join(text.split()).encode() or None


def _vector(name: str, train: Any, rows: Any) -> Cosine:
    """Takes the numbers of a row and, in the last column, whether it has any."""
    learned, seen = (_unit(each[:, :-1]) for each in (train, rows))
    how = f"{name}: cosine above {VECTOR_THRESHOLD:g}"
    return Cosine(how, VECTOR_THRESHOLD, rows[:, -1] > 0, learned, seen)


def _image(name: str, train: Any, rows: Any, same: Same) -> Cosine:
    """Takes the pixels of a row, NaN without an image: in another size it is the same image."""
    learned, seen = (
        _unit(np.nan_to_num(each - each.mean(axis=1, keepdims=True))) for each in (train, rows)
    )
    how = f"{name}: cosine of small pixels above {IMAGE_THRESHOLD:g}"
    return Cosine(how, IMAGE_THRESHOLD, same.present, learned, seen, same)


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32, copy=False)


def _same(how: str, train: Sequence[bytes | None], rows: Sequence[bytes | None]) -> Same:
    """Keys as numbers; nothing is never the same as nothing."""
    places: dict[bytes | None, int] = {}
    learned = [places.setdefault(key, len(places)) if key is not None else -1 for key in train]
    seen = [places.get(key, -2) if key is not None else -2 for key in rows]
    present = np.array([key is not None for key in rows], bool)
    return Same(how, 0.5, present, np.array(learned, np.int64), np.array(seen, np.int64))


def _keys(kinds: Sequence[Kind], dataset: Dataset) -> list[bytes | None]:
    """A digest of what some inputs hold in each row; None where there is nothing in any."""
    columns = zip(*(_contents(kind, dataset) for kind in kinds), strict=True)
    return [
        _digest(b"".join(each or b"-" for each in row)) if any(row) else None for row in columns
    ]


def _contents(kind: Kind, dataset: Dataset) -> list[bytes | None]:
    """A digest of what one input holds in each row; None where there is nothing."""
    take = _CONTENTS[type(kind)]
    found: list[bytes | None] = []
    for rows in batches(dataset, kind.columns, "data", kind.batch_rows):
        found += [_digest(each) if each else None for each in take(kind, rows)]
    return found


def _numbers(kind: Any, rows: Rows) -> Iterator[bytes | None]:
    # Adding 0 makes -0 the same as 0.
    values = np.column_stack([numbers(rows, column) for column in kind.columns]) + 0.0
    return (None if np.isnan(row).all() else row.tobytes() for row in values)


def _categories(kind: Any, rows: Rows) -> Iterator[bytes | None]:
    columns = [map(text_of, rows.column(column).to_pylist()) for column in kind.columns]
    for row in zip(*columns, strict=True):
        yield repr(row).encode() if any(each and each.strip() for each in row) else None


def _steps(kind: Any, rows: Rows) -> list[bytes | None]:
    return list(kind.encode(rows).columns["values"].to_pylist())


def _files(kind: Any, rows: Rows) -> Iterator[bytes | None]:
    return (read_bytes(value.as_py()) for value in rows.column(kind.columns[0]))


_CONTENTS: Mapping[type[Kind], Callable[[Any, Rows], Iterable[bytes | None]]] = MappingProxyType(
    {
        NumericInput: _numbers,
        CategoricalInput: _categories,
        VectorSequenceInput: _steps,
        ImageInput: _files,
    }
)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _blocks(rows: int, train: int) -> Iterator[slice]:
    size = min(max(BLOCK // train, FEWEST_ROWS), MOST_ROWS)
    return (slice(start, start + size) for start in range(0, rows, size))


def _nearest(found: Sequence[Comparison], part: slice) -> tuple[Any, Any, Any]:
    """Of some rows: similarity to the nearest train row, whether it is near, and its place."""
    there = np.stack([each.present[part] for each in found])
    joint: Any = np.float32(1)
    near: Any = True
    for each, present in zip(found, there, strict=True):
        similarity = each.similarities(part)
        similarity[:, ~present] = 1  # what a row has not is not compared
        near = near & (similarity > each.threshold)
        joint = np.minimum(joint, similarity)
    # A train row that is near in every input comes before any that is not.
    place = (joint + np.float32(2) * near).argmax(axis=0)
    column = np.arange(len(place))
    similarity, close = joint[place, column], near[place, column]
    compared = there.any(axis=0)
    return (
        np.where(compared, similarity, np.nan),
        close & compared,
        np.where(compared & (similarity > 0), place, -1),
    )
