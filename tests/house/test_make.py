"""The Makefile: what it says about itself, when it sets up, and what it says when it cannot."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

STAMPS = ("torch", "demo", "dev", "docs")
TARGETS = ["bench", "clean", "demo", "docs", "help", "lint", "test", "test-long"]


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make, without what a make around the tests has put into the environment."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "VENV")
    }
    command = ["make", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


def pretend_set_up(project: Path, when: float) -> None:
    (project / ".venv").mkdir()
    for stamp in STAMPS:
        path = project / ".venv" / f".stamp-{stamp}"
        path.touch()
        os.utime(path, (when, when))


def python_that(project: Path, script: str) -> str:
    path = project / "python-of-the-test"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_help_lists_every_target(root):
    makefile = (root / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    for arguments in (["help"], []):
        listed = re.findall(r"^  make ([\w-]+) +\w", make(root, *arguments).stdout, re.MULTILINE)
        assert sorted(listed) == sorted(phony.split()) == TARGETS


def test_set_up_runs_only_when_what_it_needs_is_newer(project_copy):
    newest = max(path.stat().st_mtime for path in project_copy.iterdir())
    pretend_set_up(project_copy, when=newest + 10)
    assert make(project_copy, "-n", "test").stdout.split() == [".venv/bin/python", "-m", "pytest"]
    assert "pip install" not in make(project_copy, "-n", "demo").stdout
    os.utime(project_copy / "constraints.txt", (newest + 20, newest + 20))
    planned = make(project_copy, "-n", "test").stdout
    assert "torch==" in planned
    assert "'.[demo,dev]'" in planned
    assert planned.index("torch==") < planned.index("'.[demo,dev]'")


def test_torch_comes_first_and_is_the_pinned_one(project_copy):
    planned = make(project_copy, "-n", "demo").stdout
    (pin,) = re.findall(
        r"^torch==.+$", (project_copy / "constraints.txt").read_text(), re.MULTILINE
    )
    assert planned.index(pin) < planned.index("'.[demo]'")
    assert "dev" not in planned.split("'.[demo]'")[0].split(pin)[1]


def test_python_that_is_too_old_is_named(project_copy):
    old = python_that(project_copy, 'if [ "$1" = -c ]; then exit 1; fi; echo Python 3.9.2')
    done = make(project_copy, "test", old)
    assert done.returncode == 2
    assert "error: hfpipe needs Python 3.11 or newer" in done.stderr
    assert "says 'Python 3.9.2': name another with make PYTHON=" in done.stderr
    assert not (project_copy / ".venv").exists()


def test_python_without_venv_is_named(project_copy):
    bare = python_that(project_copy, 'if [ "$1" = -m ]; then exit 1; fi')
    done = make(project_copy, "demo", bare)
    assert done.returncode == 2
    assert "cannot make a virtual environment: install its venv module" in done.stderr


def test_clean_removes_no_folder_that_is_not_an_environment(project_copy):
    precious = project_copy / "precious"
    precious.mkdir()
    (precious / "letter.txt").write_text("dear")
    (project_copy / "build").mkdir()
    assert make(project_copy, "clean", "VENV=precious").returncode == 0
    assert (precious / "letter.txt").read_text() == "dear"
    assert not (project_copy / "build").exists()
    (precious / "pyvenv.cfg").touch()
    make(project_copy, "clean", "VENV=precious")
    assert not precious.exists()


def test_ci_runs_what_the_readme_tells_people_to_run(root):
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line.startswith("make ")]
    assert commands == ["make lint", "make test", "make test-long"]
    told = (root / "README.md").read_text()
    assert "    make test " in told
    assert "make test-long" in told
