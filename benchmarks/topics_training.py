"""Training on topics, examples/s: >= 50x the original's settings, >= 0.97x the best plain Trainer.

Three contenders fine-tune MiniLM on the packaged glosses, each in a process of its own and in
turn: ours (the Trainer that `hfpipe finetune --recipe topics_minilm` sets up), the stock Trainer
tuned by hand (length groups, dynamic padding, bf16 where the device is fast in it, the same batch
and seed, hence the same batches), and the original script's settings (every row padded to 512
tokens, float32, batches of 8).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

ROUNDS = 3
STEPS = {"ours": 40, "plain": 40, "original": 2}
TARGETS = {"original": 50.0, "plain": 0.97}


def speed(contender: str, steps: int) -> float:
    """Examples a second of one contender in a fresh process."""
    command = [sys.executable, "-m", "benchmarks._topics_worker", contender, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.strip().splitlines()[-1])["examples_per_second"])


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Take turns, so that what slows the machine slows all; the ratios are medians over rounds."""
    from hfpipe.training.precision import bf16_is_fast

    rounds, share = (1, 6) if args.quick else (ROUNDS, 1)
    seen: dict[str, list[float]] = {name: [] for name in STEPS}
    for turn in range(rounds):
        order = list(STEPS) if turn % 2 == 0 else list(reversed(STEPS))
        for name in order:
            # The original takes as long for 16 rows as the others for 1,000: one measurement a pair of
            # rounds is enough for a ratio of 50.
            if name == "original" and turn % 2:
                seen[name].append(seen[name][-1])
                continue
            seen[name].append(speed(name, max(1, STEPS[name] // share)))
    figures: dict[str, Any] = {"bf16": bf16_is_fast(), "rounds": rounds}
    figures |= {f"{name}, examples/s": statistics.median(each) for name, each in seen.items()}
    ratios = {
        name: statistics.median(
            mine / theirs for mine, theirs in zip(seen["ours"], seen[name], strict=True)
        )
        for name in TARGETS
    }
    figures |= {f"ours / {name}": ratio for name, ratio in ratios.items()}
    figures |= {f"target ours / {name}": target for name, target in TARGETS.items()}
    figures["passed"] = all(ratios[name] >= target for name, target in TARGETS.items())
    return figures
