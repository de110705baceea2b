"""Training on topics, examples/s: >= 50x the original's settings, >= 1.0x the best plain Trainer.

Three contenders fine-tune MiniLM on the packaged glosses, each in a process of its own: ours (the
Trainer that `hfpipe finetune --recipe topics_minilm` sets up), the stock Trainer tuned by hand
(rows of like length, dynamic padding, bf16 where the device is fast in it), on the same rows in the
same order, and the original script's settings (every row padded to 512 tokens, float32, batches of
8).

They take turns step by step, so that a machine that is slow for a while is slow for all; a ratio is
the median over steps of the same batch (for the original, of examples a second). On batches of
their own ours computes less padding than stock `group_by_length`: the ratio to the stock Trainer is
that of the same batches times that of the shares of an epoch that are no padding.

Achieved FLOP/s are the useful ones of ours, `benchmarks._gemm.training_flops` of the rows' own
lengths without padding, over the seconds of its median step; they are held against the rate at
which this machine multiplies large matrices in bf16 and in float32, measured after.
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
TARGETS = {"original": 50.0, "plain": 1.0}


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

    def step(self) -> dict[str, float]:
        """Make a step; give its examples and its useful FLOPs a second."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        done = json.loads(self.process.stdout.readline())
        return {name: done[name] / done["seconds"] for name in ("rows", "flops")}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Let them take turns, after two steps each that warm up."""
    from benchmarks._gemm import rate
    from benchmarks._topics_worker import useful_shares
    from hfpipe.training.precision import bf16_is_fast

    seen: dict[str, dict[int, float]] = {name: {} for name in EVERY}
    flops: list[float] = []
    with ExitStack() as stack:
        contenders = {name: Contender(name, stack) for name in EVERY}
        for contender in contenders.values():
            for _ in range(WARM_UP):
                contender.step()
        for turn in range(4 if args.quick else STEPS):
            for name in list(EVERY)[:: 1 if turn % 2 == 0 else -1]:
                if turn % EVERY[name] == 0:
                    done = contenders[name].step()
                    seen[name][turn] = done["rows"]
                    flops += [done["flops"]] if name == "ours" else []
    middle = {name: statistics.median(found.values()) for name, found in seen.items()}
    paired = [seen["ours"][turn] / seen["plain"][turn] for turn in seen["plain"]]
    shares, same = useful_shares(), statistics.median(paired)
    own = same * shares["ours"] / shares["plain"]
    ratios = {"original": middle["ours"] / middle["original"], "plain": own}
    figures: dict[str, Any] = {"bf16": bf16_is_fast(), "steps": len(seen["ours"])}
    figures |= {f"{name}, median examples/s": each for name, each in middle.items()}
    figures |= {f"ours / {name}": ratio for name, ratio in ratios.items()}
    figures |= {f"target ours / {name}": target for name, target in TARGETS.items()}
    figures |= {"ours / plain, the same batches": same}
    figures |= {f"{name}, no padding": share for name, share in shares.items()}
    useful = figures["ours, useful FLOP/s"] = statistics.median(flops)
    for kind in ("bfloat16", "float32"):
        figures[f"matrix FLOP/s, {kind}"] = rate(kind, 0.2 if args.quick else 3.0)
        figures[f"useful / matrix, {kind}"] = useful / figures[f"matrix FLOP/s, {kind}"]
    figures["passed"] = all(ratios[name] >= target for name, target in TARGETS.items())
    return figures
