"""`hfpipe --help` in a fresh process: the median of 11 starts is under 0.5 s.

Beside it stands the bare interpreter, started in turn with it, so that a slow machine and a slow
command can be told apart.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import Any

REPEATS = 11
TARGET_SECONDS = 0.5


def seconds(command: list[str]) -> float:
    """How long one start of ``command`` takes, to its end."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Start both commands in turn, after one start that warms the disk's cache."""
    help_command = [sys.executable, "-m", "hfpipe", "--help"]
    bare_command = [sys.executable, "-c", "pass"]
    seconds(help_command)
    repeats = 3 if args.quick else REPEATS
    pairs = [(seconds(help_command), seconds(bare_command)) for _ in range(repeats)]
    shown, bare = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "hfpipe --help, median seconds": shown,
        "python -c pass, median seconds": bare,
        "target seconds": TARGET_SECONDS,
        "passed": shown < TARGET_SECONDS,
    }
