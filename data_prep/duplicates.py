"""Exact and near duplicates among rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

import numpy as np
from scipy.sparse import csr_matrix

from data_prep import _join_arrays as arrays
from data_prep import _join_loops as loops
from data_prep._jit import in_order, spans
from data_prep.similarity import BLOCK_ROWS, TIE, Join


def text_keys(texts: Sequence[str]) -> np.ndarray:
    """Give each text a key of 128 bits (BLAKE2b) that stands for it when texts are compared.

    Args:
        texts: Texts.

    Returns:
        ``(texts, 2)``, uint64. Equal texts have equal keys, different texts different ones.

    >>> keys = text_keys(["a cat", "a dog", "a cat"])
    >>> (keys == keys[0]).all(axis=1).tolist()
    [True, False, True]
    """
    digests = [
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts
    ]
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)


def exact_duplicates(keys: np.ndarray) -> np.ndarray:
    """Mark every row whose key an earlier row has too.

    Args:
        keys: ``(rows, 2)`` from :func:`text_keys`.

    Returns:
        One mark a row.

    >>> exact_duplicates(text_keys(["a cat", "a dog", "a cat"])).tolist()
    [False, False, True]
    """
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: equal keys stay in the rows' order
    marks = np.zeros(len(keys), dtype=bool)
    marks[order[1:]] = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    return marks


def near_duplicates(
    rows: csr_matrix,
    threshold: float = 0.9,
    policy: str = "kept",
    advance: Callable[[int], None] = lambda rows: None,
    pinned: np.ndarray | None = None,
) -> np.ndarray:
    """Mark every row that is nearly the same as an earlier one.

    Similarity is the cosine, compared over the whole corpus.

    Args:
        rows: L2-normalised rows without negative entries (:func:`data_prep.terms.tfidf`), in the
            order that says which one is earlier.
        threshold: Marked above this similarity. A tie is not above.
        policy: ``"kept"``: compared with the earlier rows that are not marked themselves;
            ``"any"``: with all earlier rows.
        advance: Told how many more rows have been compared.
        pinned: ``(rows,)`` bool: rows that are never marked, whatever they are similar to.

    Returns:
        One mark a row.

    >>> from data_prep.terms import TermCounter, tfidf
    >>> counter = TermCounter()
    >>> counter.add(["a small red cat", "one blue dog", "a small red cat!"])
    >>> near_duplicates(tfidf(counter.counts())).tolist()
    [False, False, True]
    """
    join = Join(rows, threshold)
    marks = np.zeros(join.count, dtype=bool)
    search = join.search()

    def work(start: int, stop: int, scratch: arrays.Scratch) -> int:
        return loops.mark_similar(search, start, stop, scratch, marks)

    for start, stop, marked in in_order(work, join.blocks(), join.scratches()):
        advance(stop - start if policy == "any" else stop - start - marked)
    if policy == "any":
        return marks if pinned is None else marks & ~pinned
    if pinned is not None:
        advance(int((marks & pinned).sum()))
        marks[pinned] = False
    # What no earlier row is similar to stays. The others, in their order: is one that stays?
    search.lists.stops[:] = search.lists.starts
    (scratch,) = join.scratches(1)
    for start, stop in join.blocks():
        advance(loops.settle_marks(search, start, stop, scratch, marks))
    return marks


def near_clusters(rows: csr_matrix, threshold: float) -> np.ndarray:
    """Join rows into clusters: connected by pairs that are more similar than the threshold.

    Args:
        rows: L2-normalised rows without negative entries.
        threshold: Two rows above it share a cluster. A tie is not above.

    Returns:
        ``(rows,)``, int64: the position of the earliest row of each row's cluster.
    """
    join = Join(rows, threshold)
    search = join.search()
    spaces = [(scratch, np.arange(join.count)) for scratch in join.scratches()]

    def work(start: int, stop: int, space: tuple[arrays.Scratch, np.ndarray]) -> None:
        loops.join_clusters(search, start, stop, *space)

    for _ in in_order(work, join.blocks(), spaces):
        pass
    clusters = spaces[0][1]
    for _, forest in spaces:
        loops.unite_all(clusters, forest)
    return clusters


def nearest_above(
    rows: csr_matrix, queries: np.ndarray, others: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find for each of some rows the most similar one among others.

    Args:
        rows: L2-normalised rows without negative entries.
        queries: ``(q,)`` positions of the rows to find a nearest one for.
        others: Positions of the rows to find it among; a row is never its own nearest one.
        threshold: What is not more similar than this is not found.

    Returns:
        ``(q,)`` positions (-1: none; the earliest of equally similar ones) and ``(q,)``
        similarities (0 where there is none).
    """
    join = Join(rows, threshold)
    chosen = np.zeros(join.count, dtype=bool)
    chosen[np.asarray(others, dtype=np.int64)] = True
    search = join.search(chosen)
    positions = np.asarray(queries, dtype=np.int64)
    nearest = np.full(len(positions), -1, dtype=np.int64)
    best = np.zeros(len(positions))

    def work(start: int, stop: int, scratch: arrays.Scratch) -> None:
        loops.find_nearest(search, positions, start, stop, TIE, scratch, nearest, best)

    for _ in in_order(work, spans(0, len(positions), BLOCK_ROWS), join.scratches()):
        pass
    return nearest, best
