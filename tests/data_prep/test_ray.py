"""``--engine ray``: real clusters of this machine, also one of two nodes, one of which dies."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep import preparing
from data_prep.options import PrepareOptions
from data_prep.planning import row_plan
from data_prep.ray.connecting import connected
from data_prep.ray.engine import RayEngine
from data_prep.ray.lots import Room
from data_prep.ray.nodes import check_files
from data_prep.reading import LocalEngine, read_corpus
from data_prep.spool import DiskBatches
from data_prep.terms import TermCounter
from hfpipe.demo import __file__ as demo_module
from hfpipe.errors import UserError
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.sources import Source
from tests.data_prep.support import run_prepare, sample_rows, write_rows

DEMO = Path(demo_module).parent / "topics.jsonl.gz"
FILES = 4
STORE = 80 * 2**20
#: That a node is dead is found out within a second, not in half a minute; and small blocks, too,
#: lie on the node that made them, and die with it.
SHARP = {
    "max_direct_call_object_size": 10_000,
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
#: Small enough for hundreds of rows to need many lots, and frequent terms to be cut.
TIGHT = Room(rows=40, entries=300, parts=12)
OPTIONS: dict[str, Any] = {
    "text": "definition",
    "label": "subject",
    "threshold": 0.5,
    "min_count": 5,
    "audit": True,
}


def planted_rows() -> list[dict[str, Any]]:
    """A ninth of the demo's rows, with copies in which words are changed, added or shuffled."""
    with gzip.open(DEMO, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][::9]
    rng = random.Random(7)
    planted = []
    for row in rng.sample(rows, 100):
        words = row["definition"].split()
        way = rng.randrange(4)
        if way == 0:
            words[rng.randrange(len(words))] = rng.choice(["some", "other", "quaint"])
        elif way == 1:
            words += rng.sample(["indeed", "or", "such"], 2)
        elif way == 2:
            rng.shuffle(words)
        planted.append({**row, "definition": " ".join(words)})
    everything = [*rows, *planted]
    rng.shuffle(everything)
    return everything


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    rows = planted_rows()
    for place in range(FILES):
        part = [{k: row[k] for k in ("definition", "subject")} for row in rows[place::FILES]]
        write_rows(folder / f"part{place}.jsonl", part)
    return folder


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster with a head of one core, bound to loopback; nodes can be added."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "disabled",  # no token is written to the home folder
    }
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    cluster = Cluster()
    cluster.add_node(
        num_cpus=1,
        object_store_memory=STORE,
        include_dashboard=False,
        temp_dir=folder,
        _system_config=SHARP,
    )
    yield cluster
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def second_node(ray: Any) -> Any:
    return ray.add_node(num_cpus=1, object_store_memory=STORE)


@pytest.fixture(scope="module")
def joined(ray: Any, second_node: Any) -> Iterator[str]:
    """The cluster's address. To join it once and to keep the workers saves seconds a test."""
    address = f"ray://{ray.address}"
    with connected(address):
        yield address


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def prepared_here(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("local") / "out"
    record = run_prepare(demo_folder, out=out, **OPTIONS).record
    assert record["counts"]["dropped"]["exact_duplicate"] > 15
    assert record["counts"]["dropped"]["near_duplicate"] > 50
    return written(out)


def corpus_of(engine: Any, folder: Path) -> Any:
    options = PrepareOptions(text=["definition"], label="subject")
    return read_corpus(find_inputs([folder]), options, row_plan(options, None), engine)[0]


@pytest.fixture(scope="module")
def local_corpus(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return corpus_of(LocalEngine(DiskBatches(tmp_path_factory.mktemp("rows"))), demo_folder)


@pytest.mark.long
def test_two_nodes_find_what_one_process_finds(joined, demo_folder, local_corpus):
    here = LocalEngine(local_corpus.spool.batches)
    kept = np.flatnonzero(np.arange(len(local_corpus.row_ids)) % 7 > 0)
    engine = RayEngine(room=TIGHT)
    corpus = corpus_of(engine, demo_folder)
    assert corpus.row_ids.to_pylist() == local_corpus.row_ids.to_pylist()
    assert (corpus.keys == local_corpus.keys).all()
    assert corpus.inputs == local_corpus.inputs
    counts, expected = corpus.counter.counts(), local_corpus.counter.counts()
    assert counts.shape == expected.shape
    assert (counts != expected).nnz == 0
    found = {}
    for threshold, policy in [(0.9, "kept"), (0.3, "any")]:
        options = PrepareOptions(threshold=threshold, policy=policy)
        done: list[int] = []
        marks = engine.near_duplicates(corpus, kept, options, done.append)
        there = here.near_duplicates(local_corpus, kept, options, lambda rows: None)
        assert marks.tolist() == there.tolist()
        assert sum(done) == len(kept)
        found[threshold] = int(marks.sum())
    assert found[0.3] > found[0.9] > 30
    clusters = engine.near_clusters(corpus, kept, 0.8)
    assert clusters.tolist() == here.near_clusters(local_corpus, kept, 0.8).tolist()
    table = corpus.take(kept[::-50])
    assert table.equals(local_corpus.take(kept[::-50]))


@pytest.mark.long
def test_what_a_task_finds_wrong_is_said_as_the_local_engine_says_it(joined, tmp_path):
    good = write_rows(tmp_path / "a.jsonl", sample_rows())
    damaged = tmp_path / "b.jsonl.gz"
    damaged.write_bytes(gzip.compress(good.read_bytes())[:-200])
    with pytest.raises(UserError) as here:
        run_prepare(good, damaged)
    with pytest.raises(UserError) as there:
        run_prepare(good, damaged, engine=joined)
    assert str(there.value) == str(here.value)
    assert "b.jsonl.gz" in str(here.value)


@pytest.mark.long
@pytest.mark.usefixtures("joined")
def test_an_input_that_a_node_does_not_see_is_refused(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    here = Source("a.jsonl", "jsonl", str(path), path.stat().st_size)
    gone = Source("b.jsonl", "jsonl", str(tmp_path / "b.jsonl"), 5)
    check_files([here])
    with pytest.raises(UserError, match=r"b\.jsonl is not on Ray node .*s3:// or hf://"):
        check_files([here, gone])


class DeadlyEngine(RayEngine):
    """An engine that kills a node when so much work of a step has been done."""

    victims: dict[str, Any]
    deaths: dict[str, int]

    def worked(self, sources: Any, plans: Any, advance: Callable[[int], None]) -> Iterator[Any]:
        """Kill when the facts of the first file have come."""
        for chunk in super().worked(sources, plans, advance):
            yield chunk
            self.kill("read")

    def near_duplicates(
        self, corpus: Any, kept: np.ndarray, options: Any, advance: Callable[[int], None]
    ) -> np.ndarray:
        """Kill when the first lots have answered."""

        def told(rows: int) -> None:
            self.kill("duplicates")
            advance(rows)

        return super().near_duplicates(corpus, kept, options, told)

    def kill(self, step: str) -> None:
        from ray.experimental import get_object_locations

        if step in self.deaths:
            return
        node = self.victims[step]
        places = get_object_locations(self.batches.blocks).values()
        self.deaths[step] = sum(node.node_id in place["node_ids"] for place in places)
        os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)


@pytest.mark.long
def test_nodes_may_die_in_the_middle(
    ray, second_node, joined, demo_folder, prepared_here, tmp_path, monkeypatch
):
    import ray as library

    third_node = ray.add_node(num_cpus=1, object_store_memory=STORE)
    engine = DeadlyEngine(room=TIGHT)
    engine.deaths, engine.victims = {}, {"read": second_node, "duplicates": third_node}

    @contextmanager
    def deadly(name: str, scratch: Path) -> Iterator[RayEngine]:
        with connected(name):
            yield engine

    monkeypatch.setattr(preparing, "engine_for", deadly)
    run_prepare(demo_folder, out=tmp_path / "out", engine=joined, **OPTIONS)
    assert engine.deaths.keys() == {"read", "duplicates"}
    # They held blocks of rows, which had to be made again; on which of the two is Ray's to decide.
    assert sum(engine.deaths.values()) >= 1
    alive = {node["NodeID"] for node in library.nodes() if node["Alive"]}
    assert not alive & {second_node.node_id, third_node.node_id}
    assert written(tmp_path / "out") == prepared_here


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without what this one has set for Ray."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-m", "hfpipe", "prepare", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=kept | {"RAY_AUTH_MODE": "disabled"},
        timeout=200,
    )


@pytest.mark.long
def test_without_an_address_a_cluster_is_started_here_and_stopped_again(tmp_path):
    rows = sample_rows(10)
    alike = [{**row, "text": f"{row['text']} more"} for row in rows[:3]]
    path = write_rows(tmp_path / "a.jsonl", [*rows, *rows[:2], *alike])
    here = run_prepare(path, out=tmp_path / "here", threshold=0.5).record["counts"]
    assert here["dropped"] == {"exact_duplicate": 2, "near_duplicate": 3}
    options = ["--text", "text", "--label", "label", "--threshold", "0.5", "--no-audit"]
    ran = run_command(path, *options, "--out", tmp_path / "out", "--engine", "ray", "--quiet")
    assert ran.returncode == 0, ran.stderr
    assert "ray" not in ran.stderr.lower()
    assert written(tmp_path / "out") == written(tmp_path / "here")


def test_the_local_engine_imports_nothing_of_ray(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    code = (
        "import sys; from tests.data_prep.support import run_prepare; from pathlib import Path; "
        f"run_prepare(Path({str(path)!r})); "
        "sys.exit(any(name.partition('.')[0] == 'ray' for name in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_more_rows_than_this_process_can_look_at_are_audited_without_their_terms(
    tmp_path, monkeypatch
):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    monkeypatch.setattr(TermCounter, "most_rows", 59)
    findings = run_prepare(path, audit=True).record["audit"]["findings"]
    why = "the terms of 60 rows lie in the cluster; 59 can be looked at here"
    skipped = {each["check"] for each in findings if why in str(each)}
    assert skipped == {"near_duplicates", "label_errors"}


def test_without_ray_the_package_to_install_is_named(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'hfpipe\[ray\]'"):
        run_prepare(path, engine="ray")


@contextmanager
def listening(answer: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(answer)
            connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join(timeout=10)


def test_an_address_without_a_cluster_is_refused_at_once(cli, tmp_path):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as web:
        addresses = {
            f"ray://127.0.0.1:{free}": "no Ray cluster answers there (Connection refused)",
            f"ray://127.0.0.1:{web}": "(something else listens there)",
            "ray://": "give the address of the cluster's head: ray://HOST:PORT",
            "ray://here:there": "'here:there' is no address",
        }
        for address, complaint in addresses.items():
            ran = cli("prepare", path, "--text", "text", "--label", "label", "--dry-run",
                      "--engine", address)  # fmt: skip
            assert ran.code == 2
            assert complaint in ran.err
            assert ran.err.count("\n") == 1
