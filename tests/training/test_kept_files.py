"""What is kept of frozen encoders on disk: found again, bounded, checked, shared."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from hfpipe.errors import UserError
from hfpipe.training.cache_keys import distinct
from hfpipe.training.feature_cache import cached
from tests.training.heads import (
    classifier,
    counted,
    encoded,
    logits,
    text_collator,
    texts,
)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _scribble(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY\x01\x00v\x00{(((" + path.read_bytes()[12:])


@pytest.mark.parametrize("harm", [_cut, _flip, _empty, _scribble])
def test_a_damaged_file_is_made_anew(cache, tokenizer, harm):
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(10))
    own = logits(model, collator, rows)
    with cached(model, collator, [rows], quiet=True):
        (path,) = cache.iterdir()
        good = path.read_bytes()
    harm(path)
    with counted(model) as seen, cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        assert sum(seen) == 10 + 1
        torch.testing.assert_close(logits(model, fed, kept), own, atol=1e-5, rtol=1e-5)
    assert path.read_bytes() == good


def test_what_was_not_used_for_longest_goes_first(cache, tokenizer, monkeypatch):
    collator, model = text_collator(tokenizer), classifier()
    splits = [encoded(collator, texts(100, seed)) for seed in range(4)]
    used: list[Path] = []
    for split in splits[:3]:
        with cached(model, collator, [split], quiet=True):
            used += [path for path in cache.iterdir() if path not in used]
    size = used[0].stat().st_size
    now = time.time()
    for age, path in zip((300, 200, 100), used, strict=True):
        os.utime(path, (now - age, now - age))
    with cached(model, collator, [splits[0]], quiet=True):  # used again
        pass
    (cache / "left-behind.tmp").write_bytes(b"x")
    os.utime(cache / "left-behind.tmp", (0, 0))
    monkeypatch.setenv("HFPIPE_CACHE_GB", str(3.5 * size / 1e9))
    with cached(model, collator, [splits[3]], quiet=True):
        left = set(cache.iterdir())
    assert used[1] not in left
    assert {used[0], used[2]} < left
    assert len(left) == 3


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HFPIPE_CACHE", "/dev/null/here", "Not a directory"),
        ("HFPIPE_CACHE_GB", "1e-7", "HFPIPE_CACHE_GB allows 1e-07"),
        ("HFPIPE_CACHE_GB", "0", None),
    ],
)
def test_where_nothing_can_be_kept_training_goes_on_without(
    cache, tokenizer, monkeypatch, caplog, variable, value, told
):
    monkeypatch.setenv(variable, value)
    collator, rows = text_collator(tokenizer), None
    rows = encoded(collator, texts(10))
    for _ in range(2):
        with cached(classifier(), collator, [rows], quiet=True) as (fed, splits):
            assert fed is collator
            assert splits == [rows]
    said = [each.getMessage() for each in caplog.records if "cache" in each.name]
    assert len(said) == (1 if told else 0)
    assert all(told in line and "\n" not in line for line in said)
    assert not list(cache.glob("*"))


def test_a_limit_that_is_no_number_is_a_user_s_mistake(cache, tokenizer, monkeypatch):
    monkeypatch.setenv("HFPIPE_CACHE_GB", "lots")
    collator = text_collator(tokenizer)
    with (
        pytest.raises(UserError, match="HFPIPE_CACHE_GB='lots' is no number of gigabytes"),
        cached(classifier(), collator, [encoded(collator, texts(2))], quiet=True),
    ):
        pass


def test_rows_are_told_apart_quickly_and_however_they_lie_in_memory():
    import pyarrow as pa

    random = np.random.default_rng(0)
    ids = [
        random.integers(0, 30000, int(n)).astype(np.int32) for n in random.integers(5, 200, 9000)
    ]
    plain = pa.array([*ids, *ids[:1000]], pa.list_(pa.int32()))
    chunks = pa.chunked_array([plain[:3], plain[3:7000], plain[7000:]])
    large = plain.cast(pa.large_list(pa.int32()))
    start = time.perf_counter()
    found = [distinct(Dataset(pa.table({"t.ids": each})), ["t.ids"]) for each in (chunks, large)]
    assert time.perf_counter() - start < 3  # 0.1 s when nothing else runs
    shuffled = Dataset(pa.table({"t.ids": plain})).shuffle(seed=1)
    found.append(distinct(shuffled, ["t.ids"]))
    assert len({each.name for each in found}) == 1
    assert len(found[0].digests) == 9000
    assert found[0].owner[9000:].tolist() == found[0].owner[:1000].tolist()
    assert found[0].sizes[found[0].owner[:9000]].tolist() == [len(each) for each in ids]
    other = plain.to_pylist()
    other[5][0] += 1
    changed = Dataset(pa.table({"t.ids": pa.array(other, pa.list_(pa.int32()))}))
    assert distinct(changed, ["t.ids"]).name != found[0].name


def _rank(rank: int, port: int, tokenizer: Any) -> None:
    """One of two processes."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {**place, "RANK": str(rank), "LOCAL_RANK": str(rank)}
    torch.distributed.init_process_group("gloo")
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(10))
    own = logits(model, collator, rows)
    with counted(model) as seen, cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        assert sum(seen) == (0 if rank else 11), seen
        torch.testing.assert_close(logits(model, fed, kept), own, atol=1e-5, rtol=1e-5)
    torch.distributed.destroy_process_group()


def test_of_two_processes_one_encodes_and_both_read(cache, tokenizer):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")  # torch is imported by now
    started = [context.Process(target=_rank, args=(rank, port, tokenizer)) for rank in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    assert len(list(cache.iterdir())) == 1
