"""`--engine ray`, step by step: bytes and core-seconds a row at two sizes; the local engine's rows.

What `docs/scale.md` computes a billion rows from. The rows are glosses, repeated with random edits
(`_million`); `--rows FILE` names the glosses, `--threshold` what is measured. What a step costs a
row is taken from the difference of the two sizes: starting costs nothing at a billion rows.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks._million import write_rows
from data_prep import _join_loops as loops
from data_prep.corpus import Corpus
from data_prep.options import PrepareOptions
from data_prep.planning import row_plan
from data_prep.ray import weighing
from data_prep.ray.connecting import connected
from data_prep.ray.engine import LOTS_A_CORE, RayEngine
from data_prep.ray.joining import Lots
from data_prep.ray.lots import Plan, Room, make_lots
from data_prep.ray.settling import kept_earlier
from data_prep.ray.weighing import Selection, document_frequencies, postings
from data_prep.reading import LocalEngine, read_corpus
from data_prep.similarity import Join
from data_prep.spool import DiskBatches
from data_prep.terms import TermCounter, tfidf
from hfpipe.demonstrating import demo_rows
from hfpipe.rows.paths import find_inputs

SIZES, QUICK = (100_000, 400_000), (3_000, 6_000)
#: Files: each is read by one task.
FILES = 8
BILLION = 1_000_000_000
#: Seconds between two looks at the workers' memory.
PERIOD = 0.3


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure both sizes on a cluster of this machine, and tell what a row costs."""
    source = Path(getattr(args, "rows", None) or demo_rows())
    threshold = float(getattr(args, "threshold", None) or 0.9)
    sizes = QUICK if args.quick else SIZES
    with connected("ray"):
        _measured(source, 500, threshold)  # workers start, and compile
        small, large = (_measured(source, size, threshold) for size in sizes)
    figures: dict[str, Any] = {"threshold": threshold, "cores": os.cpu_count()}
    for size, found in zip(sizes, (small, large), strict=True):
        figures |= {f"{size:,} rows: {name}": value for name, value in found.items()}
    for name in small:
        if name.startswith("core-seconds"):
            slope = (large[name] - small[name]) / (sizes[1] - sizes[0])
            figures[f"us a row: {name.partition(': ')[2]}"] = slope * 1e6
    figures["ns a check, where lists are long"] = _check_nanoseconds(threshold)
    figures["vocabulary grows with rows to the power of"] = _power(sizes, small, large, "terms")
    figures["checks grow with rows to the power of"] = _power(sizes, small, large, "checks")
    return figures | {
        "passed": small["the local engine's rows"] and large["the local engine's rows"]
    }


def _check_nanoseconds(threshold: float) -> float:
    """What it costs to look at a row in a term's list, of rows with few and frequent terms."""
    draw = np.random.default_rng(0)
    rows = draw.integers(300, size=(40_000, 10))
    counter = TermCounter()
    counter.add([" ".join(f"w{word}" for word in row) for row in rows.tolist()])
    join = Join(tfidf(counter.counts()), threshold)
    search = join.search()
    (scratch,) = join.scratches(1)
    marks = np.zeros(join.count, dtype=bool)
    loops.mark_similar(search, 0, 100, scratch, marks)  # compiled by now
    start = time.thread_time()
    loops.mark_similar(search, 0, join.count, scratch, marks)
    return (time.thread_time() - start) / _checks(search.lists.stops - search.lists.starts) * 1e9


def _checks(listed: np.ndarray) -> int:
    """Each row of a term's list is looked at for each later one."""
    return int((listed * (listed - 1) // 2).sum())


def _power(sizes: tuple[int, int], small: dict, large: dict, name: str) -> float:
    grown = max(1, large[name]) / max(1, small[name])
    return float(np.log(grown) / np.log(sizes[1] / sizes[0]))


def _measured(source: Path, rows: int, threshold: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, _Watch() as watch:
        whole = Path(folder) / "rows.jsonl"
        write_rows(source, rows, whole)
        _cut(whole, FILES)
        steps = _Steps(folder, rows, threshold, watch)
        found = steps.run()
    return found | {"memory of a worker, its own (MB)": watch.megabytes}


def _cut(whole: Path, parts: int) -> None:
    lines = whole.read_bytes().splitlines(keepends=True)
    for place in range(parts):
        part = lines[place * len(lines) // parts : (place + 1) * len(lines) // parts]
        whole.with_name(f"part{place}.jsonl").write_bytes(b"".join(part))
    whole.unlink()


class _Steps:
    """The steps of the Ray engine, one by one."""

    def __init__(self, folder: str, rows: int, threshold: float, watch: _Watch) -> None:
        self.folder, self.rows, self.threshold, self.watch = folder, rows, threshold, watch
        self.options = PrepareOptions(text=["text"], label="label", threshold=threshold)
        self.engine = RayEngine()
        self.found: dict[str, Any] = {}

    def timed(self, name: str, work: Callable[[], Any]) -> Any:
        start, before = time.perf_counter(), self.watch.core_seconds()
        result = work()
        self.found[f"seconds: {name}"] = time.perf_counter() - start
        self.found[f"core-seconds: {name}"] = self.watch.core_seconds() - before
        return result

    def corpus(self, engine: Any) -> Corpus:
        sources = find_inputs([self.folder])
        return read_corpus(sources, self.options, row_plan(self.options, None), engine)[0]

    def run(self) -> dict[str, Any]:
        """Read, find near-duplicates in the steps of ``RayEngine``, compare with this process."""
        import ray

        corpus = self.timed("read and work the rows", lambda: self.corpus(self.engine))
        batches = self.engine.batches
        self.sizes_of_rows(corpus)
        kept = np.arange(self.rows)
        selection = ray.put(Selection.of(kept, batches))
        vocabulary = self.timed(
            "document frequencies", lambda: document_frequencies(batches, selection, self.rows)
        )
        given = {
            "selection": selection,
            "vocabulary": ray.put(vocabulary),
            "threshold": self.threshold,
        }
        listed, held = self.timed("prefixes", lambda: postings(batches, vocabulary, given))
        cores = int(ray.cluster_resources()["CPU"])
        plan = Plan.of(listed, held, Room(), LOTS_A_CORE * cores)
        dataset = self.timed("send to lots", lambda: make_lots(batches, plan, given))
        lots = Lots(dataset, self.threshold)
        always = np.zeros(self.rows, dtype=bool)
        marks = self.timed(
            "compare and settle", lambda: kept_earlier(lots, self.rows, always, lambda rows: None)
        )
        self.sizes_of_join(vocabulary, listed, plan, dataset, selection, given)
        with tempfile.TemporaryDirectory() as folder:
            here = LocalEngine(DiskBatches(Path(folder)))
            mine = self.corpus(here)
            expected = here.near_duplicates(mine, kept, self.options, lambda rows: None)
        self.found["dropped"] = int(marks.sum())
        self.found["the local engine's rows"] = bool((marks == expected).all())
        return self.found

    def sizes_of_rows(self, corpus: Corpus) -> None:
        """Bytes a row: in the object store, and in this process."""
        import ray

        cells: dict[str, int] = {}
        for block in ray.get(self.engine.batches.blocks):
            for name in block.column_names:
                part = name.partition("_")[0]
                cells[part] = cells.get(part, 0) + block.column(name).nbytes
        for part, name in (("rows", "columns"), ("facts", "facts"), ("term", "counted terms")):
            self.found[f"bytes a row: {name}"] = cells[part] / self.rows
        arrays = (corpus.keys, corpus.lengths, corpus.labels, corpus.reasons)
        ids = corpus.row_ids.nbytes
        self.found["bytes a row: driver, without ids"] = sum(a.nbytes for a in arrays) / self.rows
        self.found["bytes a row: driver, ids"] = ids / self.rows

    def sizes_of_join(
        self, vocabulary: Any, listed: Any, plan: Plan, dataset: Any, selection: Any, given: Any
    ) -> None:
        """Bytes a row: what is shuffled. What the comparison will cost."""
        import ray

        blocks = self.engine.batches.blocks
        counted = posted = 0
        for ref in blocks:
            block = ray.get(ref)
            counted += weighing._rows_of_terms(block, selection, 3).nbytes
            posted += weighing._postings_of(block, bits=3, **given).nbytes
        lots = list(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
        copies = sum(len(cell.as_buffer()) // 8 for batch in lots for cell in batch.column("rows"))
        self.found |= {
            "bytes a row: shuffled for frequencies": counted / self.rows,
            "bytes a row: shuffled for prefixes": posted / self.rows,
            "bytes a row: shuffled to lots": dataset.size_bytes() / self.rows,
            "copies a row": copies / self.rows,
            "lots": plan.lots,
            "terms cut into segments": int((plan.segments > 1).sum()),
            "terms": len(vocabulary.rows),
            "checks": _checks(listed),
        }


class _Watch:
    """Watches this process and all of Ray on this machine: the cores' time, the workers' memory.

    The time that processes have used tells what work costs, however busy others are meanwhile.
    """

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._used: dict[tuple[int, float], float] = {}
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def core_seconds(self) -> float:
        """Time used so far, that of processes that have ended included."""
        self._look()
        return sum(self._used.values())

    def _watch(self) -> None:
        while not self._done.wait(PERIOD):
            self._look()

    def _look(self) -> None:
        own = psutil.Process()
        with self._lock:
            for process in (own, *own.children(recursive=True)):
                try:
                    times = process.cpu_times()
                    key = process.pid, process.create_time()
                    self._used[key] = times.user + times.system
                    if process.name().startswith("ray::"):
                        held = process.memory_full_info().uss / 1e6
                        self.megabytes = max(self.megabytes, held)
                except psutil.Error:
                    continue
