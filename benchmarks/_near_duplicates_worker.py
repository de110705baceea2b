"""One contender of ``near_duplicates``, in a process of its own: texts in, similar pairs out.

Every contender gets distinct texts and gives the pairs that it holds to be above the threshold,
after a warm-up on a few texts that loads libraries and compiled code.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

#: Rows of pairs: (later, earlier).
Pairs = np.ndarray
PERMUTATIONS = 128
SHINGLE = 5
DIMENSIONS = 256
TOP_N = 500


def ours(texts: list[str], threshold: float) -> Pairs:
    """What ``prepare`` uses: exact."""
    from data_prep.similarity import similar_pairs
    from data_prep.terms import TermCounter, tfidf

    counter = TermCounter()
    counter.add(texts)
    blocks = similar_pairs(tfidf(counter.counts()), threshold)
    return np.concatenate([np.column_stack([block.later, block.earlier]) for block in blocks])


def sparse_dot_topn(texts: list[str], threshold: float) -> Pairs:
    """Scikit-learn's TF-IDF and the whole sparse product above the threshold: exact."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sparse_dot_topn import sp_matmul_topn

    rows = TfidfVectorizer().fit_transform(texts).tocsr()
    product = sp_matmul_topn(rows, rows.T.tocsr(), top_n=TOP_N, threshold=threshold, n_threads=2)
    counts = np.diff(product.indptr)
    assert counts.max(initial=0) < TOP_N, "a pair may be lost"
    later = np.repeat(np.arange(len(texts)), counts)
    return _ordered(np.column_stack([later, product.indices]))


def rensa(texts: list[str], threshold: float) -> Pairs:
    """MinHash and LSH over shingles of 5 characters, in Rust."""
    from rensa import RMinHash, RMinHashLSH

    hashes = RMinHash.from_token_sets(map(_shingles, texts), num_perm=PERMUTATIONS, seed=42)
    index = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=_bands(threshold))
    index.insert_many(hashes)
    found = index.query_all(hashes)
    digests = np.array([each.digest() for each in hashes], dtype=np.uint32)
    return _alike(_listed(found), digests, threshold)


def datasketch(texts: list[str], threshold: float) -> Pairs:
    """MinHash and LSH over shingles of 5 characters, in Python."""
    from datasketch import MinHash, MinHashLSH

    tokens = [[shingle.encode() for shingle in _shingles(text)] for text in texts]
    hashes = MinHash.bulk(tokens, num_perm=PERMUTATIONS)
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    with index.insertion_session() as session:
        for place, each in enumerate(hashes):
            session.insert(place, each)
    found = [index.query(each) for each in hashes]
    digests = np.array([each.hashvalues for each in hashes])
    return _alike(_listed(found), digests, threshold)


def semhash(texts: list[str], threshold: float) -> Pairs:
    """Sentence vectors and a nearest-neighbour index.

    No model can be fetched where benchmarks run, so its encoder is a ``StaticModel`` of random
    vectors, one a word, weighted by idf: a random projection of our own vectors. What it finds
    says how exact vectors of this length and the index are, not how good a trained model is.
    """
    from semhash import SemHash

    search = SemHash.from_records(texts, model=_random_model(texts))
    found = search.index.query_threshold(search.index.vectors, threshold=threshold)
    return _listed([indices for indices, _ in found])


def _random_model(texts: list[str]) -> Any:
    from model2vec import StaticModel
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    counts: dict[str, int] = {}
    for text in texts:
        for word in set(re.findall(r"\w\w+", text.lower())):
            counts[word] = counts.get(word, 0) + 1
    words = ["[UNK]", *counts]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\W+"), "removed")
    random = np.random.default_rng(0)
    vectors = random.normal(size=(len(words), DIMENSIONS)).astype(np.float32)
    idf = np.log((1 + len(texts)) / (1 + np.array([len(texts), *counts.values()]))) + 1
    vectors[0] = 0  # words of one letter
    return StaticModel(vectors * idf[:, None].astype(np.float32), tokenizer, normalize=True)


def _shingles(text: str) -> list[str]:
    return [text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))]


def _bands(threshold: float) -> int:
    """The most bands whose curve rises at the threshold or below: recall first."""
    fits = [b for b in (2, 4, 8, 16, 32, 64) if (1 / b) ** (b / PERMUTATIONS) >= threshold - 0.1]
    return max(fits, default=2)


def _listed(found: Iterable[Iterable[int]]) -> Pairs:
    lists = [np.asarray(list(each), dtype=np.int64) for each in found]
    query = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return _ordered(np.column_stack([query, np.concatenate(lists)]))


def _ordered(pairs: Pairs) -> Pairs:
    """Each pair once, the later row first, no row with itself."""
    pairs = np.sort(pairs, axis=1)[:, ::-1]
    return np.unique(pairs[pairs[:, 0] > pairs[:, 1]], axis=0)


def _alike(pairs: Pairs, digests: np.ndarray, threshold: float) -> Pairs:
    """The candidates whose estimated Jaccard similarity is above the threshold."""
    same = [
        (digests[part[:, 0]] == digests[part[:, 1]]).mean(axis=1)
        for part in np.array_split(pairs, len(pairs) // 100_000 + 1)
    ]
    return pairs[np.concatenate(same) > threshold]


#: What is called with which threshold where 0.9 is wanted. Jaccard similarity of shingles is lower
#: than the cosine, so the MinHash ones get a second try.
CONTENDERS: dict[str, tuple[Callable[[list[str], float], Pairs], float]] = {
    "ours": (ours, 0.9),
    "sparse_dot_topn": (sparse_dot_topn, 0.9),
    "semhash": (semhash, 0.9),
    "rensa, Jaccard 0.9": (rensa, 0.9),
    "rensa, Jaccard 0.7": (rensa, 0.7),
    "datasketch, Jaccard 0.9": (datasketch, 0.9),
    "datasketch, Jaccard 0.7": (datasketch, 0.7),
}


def memory(field: str) -> float:
    """A line of this process's status, in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(rf"{field}:\s+(\d+)", status)[0]) / 1024


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Do some work; its result, its seconds, the peak of memory and how much of it was added."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
    before = memory("VmRSS")
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    peak = memory("VmHWM")
    return result, {"seconds": seconds, "peak MB": peak, "added MB": peak - before}


def compare(name: str, source: Path, target: Path) -> dict[str, Any]:
    """Let a contender find pairs, and write them."""
    texts = json.loads(source.read_text(encoding="utf-8"))
    contender, threshold = CONTENDERS[name]
    contender(texts[:300], threshold)
    pairs, figures = measured(lambda: contender(texts, threshold))
    np.save(target, pairs)
    return figures


def million(source: Path) -> dict[str, Any]:
    """Each step of ours on JSONL rows with a ``text``."""
    from data_prep.duplicates import (
        exact_duplicates,
        near_clusters,
        near_duplicates,
        nearest_above,
        text_keys,
    )
    from data_prep.terms import TermCounter, tfidf

    counter, keys = TermCounter(), []
    figures: dict[str, Any] = {"count": {"seconds": 0.0}}
    with source.open(encoding="utf-8") as file:
        while portion := [json.loads(line)["text"] for line in islice(file, 50_000)]:
            keys.append(text_keys(portion))
            _, spent = measured(partial(counter.add, portion))
            spent["seconds"] += figures["count"]["seconds"]
            figures["count"] = spent
    marks = exact_duplicates(np.concatenate(keys))
    counts = counter.counts()
    rows, figures["tfidf"] = measured(lambda: tfidf(counts, np.flatnonzero(~marks)))
    test = np.arange(0, rows.shape[0], 5)
    train = np.setdiff1d(np.arange(rows.shape[0]), test)
    near_duplicates(rows[:100], 0.9), near_clusters(rows[:100], 0.9)  # loads compiled code
    marks, figures["near_duplicates 0.9"] = measured(lambda: near_duplicates(rows, 0.9))
    figures["rows compared"], figures["near-duplicates"] = rows.shape[0], int(marks.sum())
    _, figures["near_clusters 0.9"] = measured(lambda: near_clusters(rows, 0.9))
    _, figures["near_clusters 0.8"] = measured(lambda: near_clusters(rows, 0.8))
    _, figures["nearest_above 0.8"] = measured(lambda: nearest_above(rows, test, train, 0.8))
    return figures


def first_use() -> dict[str, Any]:
    """The first call of everything in a process."""
    from data_prep.duplicates import near_clusters, near_duplicates, nearest_above
    from data_prep.terms import TermCounter, tfidf

    def everything() -> None:
        counter = TermCounter()
        counter.add(["a small red cat", "a small red cat!", "one blue dog"])
        rows = tfidf(counter.counts())
        near_duplicates(rows, 0.9, "kept")
        near_clusters(rows, 0.9)
        nearest_above(rows, np.arange(3), np.arange(3), 0.9)

    return measured(everything)[1]


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "compare": compare,
    "million": million,
    "first_use": first_use,
}


def main(job: str, *words: str) -> None:
    """Do one job and print its figures as JSON."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    paths = [Path(word) if "/" in word else word for word in words]
    print(json.dumps(JOBS[job](*paths)))


if __name__ == "__main__":
    main(*sys.argv[1:])
