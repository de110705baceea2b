"""Run the benchmarks of this folder: all of them, or those named.

python -m benchmarks [NAME…] [--list] [--json FILE] [--quick] [--rows FILE]
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import benchmarks
from hfpipe.errors import UserError, nearest
from hfpipe.folders import module_names
from hfpipe.version import __version__


def names() -> list[str]:
    """The benchmarks that there are: the modules of this folder.

    >>> "help_speed" in names()
    True
    """
    return module_names(benchmarks.__path__)


def headline(name: str) -> str:
    """The first line of a benchmark's docstring: what it measures, and its target.

    Read without importing, which would take as long as a benchmark's libraries do.
    """
    source = Path(benchmarks.__path__[0], f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def run(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run one benchmark and print its figures as they are known."""
    print(f"{name}: {headline(name)}", flush=True)
    start = time.perf_counter()
    figures = import_module(f"benchmarks.{name}").run(args)
    for key, value in figures.items():
        if key != "passed":
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"  {key:<40} {shown}")
    verdict = {True: "passed", False: "MISSED"}.get(figures.get("passed"), "no target")
    print(f"  {verdict} ({time.perf_counter() - start:.1f} s)", flush=True)
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, report; 0 if no target was missed, 1 if one was, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="run these; by default all")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and leave")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument("--quick", action="store_true", help="fewer repeats: a smoke test")
    parser.add_argument(
        "--rows", type=Path, metavar="FILE", help="JSONL (.gz) with `definition` and `subject`"
    )
    args = parser.parse_args(arguments)
    if args.list:
        for name in names():
            print(f"{name:<20} {headline(name)}")
        return 0
    for name in args.names:
        if name not in names():
            raise UserError(f"no benchmark '{name}'{nearest(name, names())}")
    results = {name: run(name, args) for name in args.names or names()}
    if args.json:
        write(args.json, results)
    return int(any(figures.get("passed") is False for figures in results.values()))


def write(path: Path, results: dict[str, dict[str, Any]]) -> None:
    """Write the figures, with the machine they were taken on, whole or not at all."""
    record = {
        "hfpipe": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "benchmarks": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
