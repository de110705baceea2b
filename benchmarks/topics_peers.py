"""Topics against other tools: accuracy above each in <= 1/3 of its time, >= 1.5x its examples/s.

4,000 train and 1,000 test rows drawn from ``--rows FILE``, or
1,200 and 300 of the packaged glosses; MiniLM as the base model, four epochs. Ours is
the recipe ``topics_minilm`` through ``finetune``'s own engine, with a tenth of train held out to
choose the best epoch on. The stock Trainer tuned by hand stands beside it, without a target. The
others keep their own defaults, each in a virtual environment of its own under ``build/peers``,
installed from PyPI as ``benchmarks/peers/NAME.txt`` says. What cannot be installed or run is told
with the reason. Time is that of training, from texts in memory to a trained model; the whole
process, with imports and the test, is told beside it. Ours is also measured in two epochs and in
one, which is told beside the rest and decides nothing.

Results are kept in ``build/peers/results.json`` as they come, and what is there is not measured
again: remove the file, or an entry, to do so. ``HFPIPE_PEERS=ours,setfit`` takes only those.
Ours is measured first and last; the slower one counts for examples/s. Figures of another number
of cores (``taskset -c 0``) are kept apart.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._topics_worker import base_folder
from hfpipe.demonstrating import demo_rows
from hfpipe.errors import RunError, UserError, nearest
from hfpipe.training.precision import bf16_is_fast

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "peers"
OURS = {"ours": None, "ours again": None, "ours in two epochs": 2, "ours in one epoch": 1}
"""Our runs and their epochs, None for the recipe's own."""
INSTALLED = ("setfit", "simpletransformers", "ludwig", "autogluon")
SAME_OBJECTIVE = ("simpletransformers", "ludwig", "autogluon")
SEED = 42
SIZES, SMALL, QUICK = (4000, 1000), (1200, 300), (200, 50)
WALL, EXAMPLES = 1 / 3, 1.5
LIMIT = 3 * 3600
COLUMNS = ("accuracy", "train seconds", "whole seconds", "examples/s")


def drawn(path: Path, sizes: tuple[int, int]) -> dict[str, list[dict[str, str]]]:
    """Train and test rows, no text in both, the same for the same file and sizes."""
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        found = {row["definition"]: row["subject"] for row in map(json.loads, file)}
    rows = [{"text": text, "label": label} for text, label in sorted(found.items())]
    random.Random(SEED).shuffle(rows)
    train = rows[: sizes[0]]
    known = {row["label"] for row in train}
    test = [row for row in rows[sizes[0] :] if row["label"] in known][: sizes[1]]
    if len(test) < sizes[1]:
        raise UserError(f"{path} has {len(rows)} different texts, and {sum(sizes)} are needed")
    return {"train": train, "test": test}


def environment(name: str) -> Path:
    """The interpreter of a contender, whose environment is made where it is not there yet.

    Raises:
        RunError: It cannot be installed; the last that ``pip`` said.
    """
    folder = BUILD / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    files = [HERE / "peers" / f"{name}.txt", HERE / "peers" / f"{name}-alone.txt"]
    texts = [file.read_text(encoding="utf-8") for file in files if file.exists()]
    if stamp.exists() and stamp.read_text(encoding="utf-8") == "".join(texts):
        return python
    print(f"  installing {name} into {folder}", flush=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
    alone = ["--no-deps", "--ignore-requires-python"]
    steps = [[sys.executable, "-m", "venv", str(folder)], [*install, "-r", str(files[0])]]
    steps += [[*install, *alone, "-r", str(file)] for file in files[1:] if file.exists()]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            raise RunError(f"cannot be installed: {last_line(done.stderr)}")
    stamp.write_text("".join(texts), encoding="utf-8")
    return python


def last_line(said: str) -> str:
    """The last line that says something, cut."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() and not line.startswith("File")]
    return (errors or lines or ["it said nothing"])[-1][:300]


def measured(name: str, rows: dict[str, Any], epochs: int | None) -> dict[str, Any]:
    """The figures of a contender, or why there are none."""
    try:
        python = environment(name) if name in INSTALLED else Path(sys.executable)
    except RunError as error:
        return {"reason": str(error)}
    with tempfile.TemporaryDirectory(prefix="hfpipe-peers-") as scratch:
        task = {"model": str(base_folder()), "epochs": OURS.get(name) or epochs, "seed": SEED}
        task |= {"scratch": scratch, "half": bf16_is_fast()}
        file = Path(scratch, "task.json")
        file.write_text(json.dumps(task | rows), encoding="utf-8")
        command = [str(python), str(HERE / "_peer_worker.py"), name.partition(" ")[0], str(file)]
        started = time.perf_counter()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=scratch, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            return {"reason": f"did not end within {LIMIT} s"}
        seconds = time.perf_counter() - started
    (BUILD / f"{name.replace(' ', '-')}.log").write_text(done.stderr, encoding="utf-8")
    if done.returncode:
        return {"reason": f"cannot be run: {last_line(done.stderr)}"}
    return json.loads(done.stdout.splitlines()[-1]) | {"whole seconds": seconds}


def chosen() -> list[str]:
    """Who takes part."""
    first, *others = OURS
    everyone = [first, "plain", *INSTALLED, *others]
    wanted = [each.strip() for each in os.environ.get("HFPIPE_PEERS", "").split(",") if each]
    for each in wanted:
        if each not in everyone:
            raise UserError(f"HFPIPE_PEERS: no '{each}'{nearest(each, everyone)}")
    return [each for each in everyone if not wanted or each in wanted]


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure each that has no result yet, and hold ours against them."""
    path = args.rows or demo_rows()
    sizes = QUICK if args.quick else SIZES if args.rows else SMALL
    rows, epochs = drawn(path, sizes), 1 if args.quick else None
    told = json.dumps([rows, epochs], sort_keys=True).encode()
    draw = f"{sizes[0]} + {sizes[1]} rows of {path.name}, {hashlib.sha256(told).hexdigest()[:8]}"
    draw += f", {len(os.sched_getaffinity(0))} cores"
    BUILD.mkdir(parents=True, exist_ok=True)
    kept = BUILD / "results.json"
    every = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    results = every.setdefault(draw, {})
    names = chosen()
    for name in names:
        if name not in results:
            results[name] = measured(name, rows, epochs)
            draft = kept.with_suffix(".part")
            draft.write_text(json.dumps(every, indent=2) + "\n", encoding="utf-8")
            draft.replace(kept)
        print(f"  {name:<20} {line(results[name])}", flush=True)
    return {"rows": draw} | figures({name: results[name] for name in names})


def line(result: dict[str, Any]) -> str:
    """A contender's row of the table."""
    if "reason" in result:
        return str(result["reason"])
    return "  ".join(f"{column} {result[column]:.4g}" for column in COLUMNS)


def figures(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All figures by name, the ratios, and whether they are what they should be."""
    found: dict[str, Any] = {}
    for name, result in results.items():
        found |= {f"{name}, {key}": value for key, value in result.items()}
    own = {name: results[name] for name in OURS if "accuracy" in results.get(name, {})}
    peers = {name: each for name, each in results.items() if name not in OURS}
    passed: list[bool] = []
    for name, peer in peers.items():
        if "reason" in peer or not own:
            continue
        ratios, good = held_against(name, peer, own)
        found |= ratios
        passed += [good] if name in INSTALLED else []
    found |= {"target, time": WALL, "target, examples/s": EXAMPLES}
    return found | {"passed": all(passed) if passed else None}


def held_against(
    name: str, peer: dict[str, Any], own: dict[str, dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Each of our runs against a contender: lead, share of its time, examples/s."""
    found: dict[str, Any] = {}
    beaten = []
    for each, run_of in own.items():
        lead = run_of["accuracy"] - peer["accuracy"]
        share = run_of["train seconds"] / peer["train seconds"]
        found |= {f"{each} - {name}, accuracy": lead, f"{each} / {name}, time": share}
        if lead > 0 and share <= WALL:
            beaten.append(each)
    found[f"{name} is beaten by"] = ", ".join(beaten) or "none"
    whole = [each for each in own if OURS[each] is None] or list(own)
    slow = max(whole, key=lambda each: own[each]["train seconds"])
    faster = own[slow]["examples/s"] / peer["examples/s"]
    if name in (*SAME_OBJECTIVE, "plain"):
        found[f"ours / {name}, examples/s"] = faster
    good = slow in beaten and (name not in SAME_OBJECTIVE or faster >= EXAMPLES)
    return found, good
