"""What a simple model sees of rows: every input of a processor as columns of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from hfpipe.errors import UserError
from hfpipe.inputs.kinds import Kind
from hfpipe.inputs.kinds._numbers import unpacked
from hfpipe.inputs.kinds._pictures import decoded, read_bytes
from hfpipe.inputs.kinds.categorical import CategoricalInput
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.kinds.numeric import NumericInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.kinds.vector import VectorInput
from hfpipe.inputs.kinds.vector_sequence import VectorSequenceInput
from hfpipe.inputs.processor import Processor
from hfpipe.inputs.reading import Rows, batches

Matrix = Any
"""Dense (rows, numbers) or a SciPy CSR matrix."""
MAX_FEATURES = 200_000
"""The most frequent terms kept: 26 classes then need 42 MB, a thousand 1.6 GB."""
CHARACTERS = 500_000
"""Texts longer than this together are seen as words alone: runs of characters take long, and help
most where there are few words."""
WIDE = 200
"""More categories than this are kept sparse."""
SIDE = 16
"""Images are seen at 16 x 16 pixels, (768,) numbers a row."""
Floats = npt.NDArray[np.float32]


def words_vectorizer() -> TfidfVectorizer:
    """Words and word pairs, weighted by TF-IDF."""
    return TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), max_features=MAX_FEATURES, dtype=np.float32
    )


def characters_vectorizer() -> TfidfVectorizer:
    """Runs of two to five characters within words, weighted by TF-IDF."""
    return TfidfVectorizer(
        sublinear_tf=True,
        analyzer="char_wb",
        ngram_range=(2, 5),
        min_df=2,
        max_features=MAX_FEATURES,
        dtype=np.float32,
    )


@dataclass(frozen=True)
class TextFeatures:
    """TF-IDF as it was fitted on the train split; without any word there are no columns."""

    vectorizers: list[TfidfVectorizer]

    @classmethod
    def fit(cls, texts: Sequence[str]) -> TextFeatures:
        """Learn words, and where there is not too much text runs of characters."""
        wanted = [words_vectorizer()]
        if sum(map(len, texts)) <= CHARACTERS:
            wanted.append(characters_vectorizer())
        found = []
        for each in wanted:
            try:
                found.append(each.fit(texts))
            except ValueError:  # scikit-learn's word for an empty vocabulary
                continue
        return cls(found)

    def of(self, texts: Sequence[str]) -> Matrix:
        """(rows, terms), sparse."""
        blocks = [each.transform(texts) for each in self.vectorizers]
        return sparse.hstack(blocks, "csr") if blocks else sparse.csr_matrix((len(texts), 0))


def texts_of(text: TextInput, dataset: Dataset) -> list[str]:
    """The text of every row."""
    return text.texts(dataset.select_columns(text.columns)[:]) if len(dataset) else []


def numbers_of(kind: Kind, dataset: Dataset, place: str = "data") -> Matrix:
    """An input other than text as (rows, numbers); many categories as a sparse matrix.

    Numeric: standardised values, then 1 where one is missing. Categorical: 1 for each row's
    category, all 0 for one that train did not have. Vector: itself and 1 where there is one.
    Sequence of vectors: their mean. Image: its pixels at 16 x 16, NaN where there is none.

    Raises:
        UserError: A row does not hold what train held; it is named.
    """
    make = _MAKERS[type(kind)]
    size = min(kind.batch_rows, 1000)
    blocks = [make(kind, rows) for rows in batches(dataset, kind.columns, place, size)]
    if not blocks:
        return np.zeros((0, 0), np.float32)
    return sparse.vstack(blocks, "csr") if sparse.issparse(blocks[0]) else np.concatenate(blocks)


def _numeric(kind: Kind, rows: Rows) -> Floats:
    made = kind.encode(rows).columns
    return np.hstack([_bytes(made["values"]), _bytes(made["missing"])])


def _categorical(kind: CategoricalInput, rows: Rows) -> Matrix:
    codes = kind.codes(rows)
    sizes = [len(vocabulary) for vocabulary in kind.vocabularies]
    starts = np.cumsum([0, *sizes[:-1]])
    at, column = np.nonzero(codes)
    places = starts[column] + codes[at, column] - 1
    ones = np.ones(len(at), np.float32)
    found = sparse.csr_matrix((ones, (at, places)), shape=(len(rows), sum(sizes)))
    return found if sum(sizes) > WIDE else found.toarray()


def _vector(kind: Kind, rows: Rows) -> Floats:
    made = kind.encode(rows)
    return np.hstack([_bytes(made.columns["values"]), made.present[:, None].astype(np.float32)])


def _sequence(kind: VectorSequenceInput, rows: Rows) -> Floats:
    values = kind.encode(rows).columns["values"].to_pylist()
    steps = [np.frombuffer(each, np.float32).reshape(-1, kind.dim) for each in values]
    return np.stack([each.mean(axis=0) for each in steps])


def _image(kind: ImageInput, rows: Rows) -> Floats:
    pixels = np.full((len(rows), 3 * SIDE * SIDE), np.nan, np.float32)
    for at, value in enumerate(rows.column(kind.columns[0])):
        content = read_bytes(value.as_py())
        if content is None:
            continue
        try:
            image = decoded(content)
        except ValueError as error:
            raise rows.error(at, f"'{kind.columns[0]}' is {error}") from error
        pixels[at] = np.asarray(image.resize((SIDE, SIDE)), np.float32).reshape(-1)
    return pixels


_MAKERS: dict[type[Kind], Any] = {
    NumericInput: _numeric,
    CategoricalInput: _categorical,
    VectorInput: _vector,
    VectorSequenceInput: _sequence,
    ImageInput: _image,
}


def _bytes(column: Any) -> Floats:
    return np.asarray(unpacked(column.to_pylist(), np.float32))


@dataclass(frozen=True)
class Design:
    """The inputs of several lots of rows, each as one block of columns.

    Attributes:
        processor: Names the inputs.
        blocks: Input name to one matrix a lot; of texts only once they are asked for.
        texts: Input name to the texts of each lot.
    """

    processor: Processor
    blocks: dict[str, list[Matrix]]
    texts: dict[str, list[list[str]]]

    @classmethod
    def of(cls, processors: Sequence[Processor], lots: Sequence[Dataset]) -> Design:
        """Fit what is to be fitted on the first lot, which is the train split.

        Args:
            processors: One a lot: they differ in the names of the columns alone.
            lots: Rows.
        """
        blocks: dict[str, list[Matrix]] = {}
        texts: dict[str, list[list[str]]] = {}
        for name, first in processors[0].inputs.items():
            kinds = [each.inputs[name] for each in processors]
            pairs = list(zip(kinds, lots, strict=True))
            if isinstance(first, TextInput):
                texts[name] = [texts_of(kind, lot) for kind, lot in pairs]  # type: ignore[arg-type]
            elif type(first) in _MAKERS:
                blocks[name] = [numbers_of(kind, lot) for kind, lot in pairs]
            else:
                raise UserError(
                    f"input '{name}': no baseline for inputs of this kind; leave it out"
                )
        return cls(processors[0], blocks, texts)

    def named(self, *kinds: type[Kind]) -> list[str]:
        """The inputs of some kinds."""
        return [name for name, each in self.processor.inputs.items() if isinstance(each, kinds)]

    def matrices(self, names: Sequence[str]) -> list[Matrix]:
        """The blocks of some inputs side by side, one matrix a lot; sparse with text among them."""
        lots = zip(*map(self._block, names), strict=True)
        return [_beside(list(parts)) for parts in lots]

    def _block(self, name: str) -> list[Matrix]:
        if name not in self.blocks:
            fitted = TextFeatures.fit(self.texts[name][0])
            self.blocks[name] = [fitted.of(each) for each in self.texts[name]]
        return self.blocks[name]


def _beside(parts: list[Matrix]) -> Matrix:
    if any(sparse.issparse(part) for part in parts):
        return sparse.hstack([sparse.csr_matrix(part) for part in parts], "csr")
    return np.hstack(parts)
