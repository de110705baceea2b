"""Evaluation, rows/s against pipeline("text-classification"): >= 2.2x in float32, >= 6x in bf16.

MiniLM with a topics head scores 1,024 of the packaged glosses, from texts to classes: hfpipe as
`hfpipe evaluate` does, and the stock pipeline with the fastest of its batch sizes, each in a
process of its own. They take turns; a ratio is the median over rounds. In float32 every class must
be the same. In bfloat16, which hfpipe computes in only where the device is fast in it, and which is
left out elsewhere, 99.5 % of them must be. The rate of other budgets of tokens a batch is told
beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROUNDS, ROWS = 5, 1024
BATCH_SIZES = (1, 8, 16, 32, 64)
BUDGETS = (512, 1024, 2048, 4096, 8192)
TARGETS = {"float32": (2.2, 1.0), "bfloat16": (6.0, 0.995)}


class Contender:
    """A worker process that scores all rows a turn."""

    def __init__(self, name: str, folder: str, rows: int, stack: ExitStack) -> None:
        module = [sys.executable, "-m", "benchmarks._evaluation_worker"]
        self.process = stack.enter_context(
            subprocess.Popen(
                [*module, name, folder, str(rows)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(self.process.kill)
        self.rows = rows

    def score(self, **how: Any) -> tuple[float, list[int]]:
        """Rows a second, and the class of each row."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(how) + "\n")
        self.process.stdin.flush()
        done = json.loads(self.process.stdout.readline())
        return self.rows / done["seconds"], done["classes"]


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Find the pipeline's batch size, then let them take turns."""
    from benchmarks._evaluation_worker import make
    from hfpipe.training.precision import bf16_is_fast, eval_tokens

    rounds, rows = (1, 96) if args.quick else (ROUNDS, ROWS)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        make(Path(folder))
        ours, stock = (Contender(name, folder, rows, stack) for name in ("hfpipe", "pipeline"))
        ours.score(max_tokens=None, bf16=False)  # warm up
        stock.score(batch_size=32)
        sizes = {size: stock.score(batch_size=size)[0] for size in BATCH_SIZES}
        size = max(sizes, key=lambda each: sizes[each])
        budgets = {each: ours.score(max_tokens=each, bf16=False)[0] for each in BUDGETS}
        kinds = [*TARGETS][: 2 if bf16_is_fast() else 1]
        seen: dict[str, list[float]] = {name: [] for name in ("pipeline", *kinds)}
        same: dict[str, float] = {}
        for turn in range(rounds):
            rate, wanted = stock.score(batch_size=size)
            seen["pipeline"].append(rate)
            for kind in kinds[:: 1 if turn % 2 == 0 else -1]:
                rate, found = ours.score(max_tokens=None, bf16=kind == "bfloat16")
                seen[kind].append(rate)
                alike = sum(a == b for a, b in zip(found, wanted, strict=True)) / rows
                same[kind] = min(alike, same.get(kind, 1.0))
    figures: dict[str, Any] = {"rows": rows, "rounds": rounds, "bf16 is fast": bf16_is_fast()}
    figures |= {f"pipeline, batch size {each}, rows/s": rate for each, rate in sizes.items()}
    figures |= {f"hfpipe, {each} tokens, rows/s": rate for each, rate in budgets.items()}
    figures |= {"hfpipe, tokens by default": eval_tokens(), "pipeline, best batch size": size}
    figures |= {f"{name}, median rows/s": statistics.median(each) for name, each in seen.items()}
    passed = []
    for kind in kinds:
        target, alike = TARGETS[kind]
        paired = zip(seen[kind], seen["pipeline"], strict=True)
        ratio = figures[f"hfpipe / pipeline, {kind}"] = statistics.median(a / b for a, b in paired)
        figures |= {f"target, {kind}": target, f"same classes, {kind}": same[kind]}
        passed += [ratio >= target, same[kind] >= alike]
    return figures | {"passed": all(passed)}
