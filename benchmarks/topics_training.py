"""Training on topics, examples/s: >= 50x the original's settings, >= 0.97x the best plain Trainer.

Three contenders fine-tune MiniLM on the packaged glosses, each in a process of its own: ours (the
Trainer that `hfpipe finetune --recipe topics_minilm` sets up), the stock Trainer tuned by hand
(length groups, dynamic padding, bf16 where the device is fast in it, the same batch and seed, hence
the same batches), and the original script's settings (every row padded to 512 tokens, float32,
batches of 8).

They take turns step by step, so that a machine that is slow for a while is slow for all; a ratio is
the median over steps of the same batch (for the original, of examples a second).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

STEPS, WARM_UP = 40, 2
EVERY = {"ours": 1, "plain": 1, "original": 14}
"""How often each has a turn: a step of the original takes as long as a dozen of the others'."""
TARGETS = {"original": 50.0, "plain": 0.97}


class Contender:
    """A worker process that makes one training step a turn."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        command = [sys.executable, "-m", "benchmarks._topics_worker", name, str(STEPS + WARM_UP)]
        self.process = stack.enter_context(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(self.process.kill)

    def step(self) -> float:
        """Make a step; give its examples a second."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        done = json.loads(self.process.stdout.readline())
        return float(done["rows"] / done["seconds"])


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Let them take turns, after two steps each that warm up."""
    from hfpipe.training.precision import bf16_is_fast

    seen: dict[str, dict[int, float]] = {name: {} for name in EVERY}
    with ExitStack() as stack:
        contenders = {name: Contender(name, stack) for name in EVERY}
        for contender in contenders.values():
            for _ in range(WARM_UP):
                contender.step()
        for turn in range(4 if args.quick else STEPS):
            for name in list(EVERY)[:: 1 if turn % 2 == 0 else -1]:
                if turn % EVERY[name] == 0:
                    seen[name][turn] = contenders[name].step()
    middle = {name: statistics.median(found.values()) for name, found in seen.items()}
    paired = [seen["ours"][turn] / seen["plain"][turn] for turn in seen["plain"]]
    ratios = {"original": middle["ours"] / middle["original"], "plain": statistics.median(paired)}
    figures: dict[str, Any] = {"bf16": bf16_is_fast(), "steps": len(seen["ours"])}
    figures |= {f"{name}, median examples/s": each for name, each in middle.items()}
    figures |= {f"ours / {name}": ratio for name, ratio in ratios.items()}
    figures |= {f"target ours / {name}": target for name, target in TARGETS.items()}
    figures["passed"] = all(ratios[name] >= target for name, target in TARGETS.items())
    return figures
