"""The benchmark runner: the folder is the registry, and a mistyped name is one clear line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def benchmarks(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_list_names_every_module_of_the_folder_with_its_target(root):
    modules = sorted(path.stem for path in (root / "benchmarks").glob("[a-z]*.py"))
    listed = [line.split(maxsplit=1) for line in benchmarks(root, "--list").stdout.splitlines()]
    assert [name for name, _ in listed] == modules
    assert all(len(headline) > 20 for _, headline in listed)


def test_unknown_name_is_one_line_with_the_nearest(root):
    done = benchmarks(root, "help_sped")
    assert done.returncode == 2
    assert done.stderr == "error: no benchmark 'help_sped'; did you mean 'help_speed'?\n"


def test_figures_are_printed_and_written_with_the_machine(root, tmp_path):
    file = tmp_path / "figures" / "bench.json"
    done = benchmarks(root, "help_speed", "--quick", "--json", str(file))
    record = json.loads(file.read_text())
    figures = record["benchmarks"]["help_speed"]
    assert done.returncode == (0 if figures["passed"] else 1)
    shown, bare = (
        figures[f"{name}, median seconds"] for name in ("hfpipe --help", "python -c pass")
    )
    assert figures["passed"] == (shown < figures["target seconds"] == 0.5)
    assert 0 < bare < shown
    assert f"{shown:.4g}" in done.stdout
    assert record["cpus"] >= 1
