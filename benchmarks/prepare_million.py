"""``prepare`` end to end on 1,000,000 rows (read to write, no push): under 90 s and 4 GB, 2 cores.

The rows are glosses, repeated with random edits, as ``_million`` makes them. ``--rows FILE`` names
the glosses; without it the demo's 4,014 are repeated more often.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks._million import write_rows
from hfpipe.demonstrating import demo_rows

ROWS = 1_000_000
SECONDS = 90
GIGABYTES = 4.0
#: Seconds between two looks at the memory.
PERIOD = 0.2
#: Points of the memory curve that are shown.
POINTS = 24


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Write the rows, prepare them in a process of its own, watch its memory."""
    source = Path(getattr(args, "rows", None) or demo_rows())
    count = ROWS // 50 if args.quick else ROWS
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        write_rows(source, count, rows)
        said, curve, took = _watched(rows, Path(folder) / "out")
    peak = max(memory for _, memory in curve)
    counts = said["counts"]
    return {
        "rows": count,
        "kept": counts["kept"],
        **{f"dropped {reason}": rows for reason, rows in counts["dropped"].items()},
        "seconds in all": took,
        **{f"  {step}": seconds for step, seconds in said["seconds"].items() if seconds >= 0.05},
        **{f"  share {step}": seconds / took for step, seconds in said["seconds"].items()
           if seconds / took >= 0.01},
        "peak memory (GB)": peak,
        "memory curve (s: GB)": _shown(curve),
        "passed": counts["in"] == count and took < SECONDS and peak < GIGABYTES,
    }  # fmt: skip


def _watched(rows: Path, out: Path) -> tuple[dict[str, Any], list[tuple[float, float]], float]:
    """The worker's words, its memory (seconds, GB) and how long it took, start to end."""
    command = [sys.executable, "-m", "benchmarks._prepare_worker", str(rows), str(out)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        process = psutil.Process(worker.pid)
        curve: list[tuple[float, float]] = []
        while worker.poll() is None:
            try:
                memory = process.memory_info().rss / 1e9
            except psutil.NoSuchProcess:
                break
            curve.append((time.perf_counter() - start, memory))
            time.sleep(PERIOD)
        took = time.perf_counter() - start
        assert worker.stdout is not None
        words = worker.stdout.read()
    return json.loads(words), curve, took


def _shown(curve: list[tuple[float, float]]) -> str:
    step = max(1, len(curve) // POINTS)
    return " ".join(f"{seconds:.0f}:{memory:.2f}" for seconds, memory in curve[::step])
