"""Exact and near duplicates among rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from data_prep.similarity import PairBlock, similar_pairs


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

    Returns:
        One mark a row.

    >>> from data_prep.terms import TermCounter, tfidf
    >>> counter = TermCounter()
    >>> counter.add(["a small red cat", "one blue dog", "a small red cat!"])
    >>> near_duplicates(tfidf(counter.counts())).tolist()
    [False, False, True]
    """
    marks = np.zeros(rows.shape[0], dtype=bool)
    for block in similar_pairs(rows, threshold):
        if policy == "any":
            marks[block.later] = True
        else:
            _mark_unless_marked(marks, block)
        advance(block.stop - block.start)
    return marks


def _mark_unless_marked(marks: np.ndarray, block: PairBlock) -> None:
    """Mark the later row of each pair whose earlier row is not marked."""
    settled = block.earlier < block.start
    alive = settled & ~marks[block.earlier]
    marks[block.later[alive]] = True
    # Within the block a row's own mark must be settled before it marks others: row by row.
    for later, earlier in zip(
        block.later[~settled].tolist(), block.earlier[~settled].tolist(), strict=True
    ):
        if not marks[earlier]:
            marks[later] = True


def near_clusters(rows: csr_matrix, threshold: float) -> np.ndarray:
    """Join rows into clusters: connected by pairs that are more similar than the threshold.

    Args:
        rows: L2-normalised rows without negative entries.
        threshold: Two rows above it share a cluster. A tie is not above.

    Returns:
        ``(rows,)``, int64: the position of the earliest row of each row's cluster.
    """
    count = rows.shape[0]
    pairs = [(block.later, block.earlier) for block in similar_pairs(rows, threshold)]
    if not pairs:
        return np.arange(count)
    later, earlier = (np.concatenate(part) for part in zip(*pairs, strict=True))
    graph = coo_matrix((np.ones(len(later), bool), (later, earlier)), shape=(count, count))
    _, parts = connected_components(graph, directed=False)
    _, first = np.unique(parts, return_index=True)
    return first[parts].astype(np.int64)


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
    found = np.full(len(queries), -1, dtype=np.int64)
    similarity = np.zeros(len(queries))
    pool = np.unique(others)
    step = 256
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        dense = (rows[part] @ rows[pool].T).toarray()
        dense[pool[None, :] == part[:, None]] = -1
        best = dense.max(axis=1, initial=-1)
        above = np.flatnonzero(best > threshold + 1e-9)
        first = (dense[above] >= best[above, None] - 1e-9).argmax(axis=1)
        found[start + above] = pool[first]
        similarity[start + above] = dense[above, first]
    return found, similarity
