"""Training on topics, examples/s: >= 50x the original's settings, >= 0.97x the best plain Trainer.

Three contenders fine-tune MiniLM on the packaged glosses, each in a process of its own and in
turn: ours (the Trainer that `hfpipe finetune --recipe topics_minilm` sets up), the stock Trainer
tuned by hand (length groups, dynamic padding, bf16 where the device is fast in it, the same batch
and seed, hence the same batches), and the original script's settings (every row padded to 512
tokens, float32, batches of 8).

Every round times the same steps on the same batches, so of each step the quickest round counts:
what else the machine does can only slow it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

ROUNDS = 4
STEPS = {"ours": 30, "plain": 30, "original": 2}
TARGETS = {"original": 50.0, "plain": 0.97}


def step_times(contender: str, steps: int) -> tuple[list[float], int]:
    """Seconds of each step of one contender in a fresh process, and the rows of a step."""
    command = [sys.executable, "-m", "benchmarks._topics_worker", contender, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found["seconds"], found["batch"]


def speed(rounds: list[tuple[list[float], int]]) -> float:
    """Examples a second, each step as quick as in its quickest round.

    >>> speed([([1.0, 3.0], 32), ([2.0, 1.0], 32)])
    32.0
    """
    quickest = [min(times) for times in zip(*(seconds for seconds, _ in rounds), strict=True)]
    return rounds[0][1] * len(quickest) / sum(quickest)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Take turns, in one order and then in the other."""
    from hfpipe.training.precision import bf16_is_fast

    turns, share = (1, 6) if args.quick else (ROUNDS, 1)
    seen: dict[str, list[tuple[list[float], int]]] = {name: [] for name in STEPS}
    for turn in range(turns):
        for name in list(STEPS)[:: 1 if turn % 2 == 0 else -1]:
            # A step of the original takes as long as 16 of the others': fewer rounds of it do.
            if name != "original" or turn % 2 == 0:
                seen[name].append(step_times(name, max(1, STEPS[name] // share)))
    speeds = {name: speed(rounds) for name, rounds in seen.items()}
    ratios = {name: speeds["ours"] / speeds[name] for name in TARGETS}
    figures: dict[str, Any] = {"bf16": bf16_is_fast(), "rounds": turns}
    figures |= {f"{name}, examples/s": each for name, each in speeds.items()}
    figures |= {f"ours / {name}": ratio for name, ratio in ratios.items()}
    figures |= {f"target ours / {name}": target for name, target in TARGETS.items()}
    figures["passed"] = all(ratios[name] >= target for name, target in TARGETS.items())
    return figures
