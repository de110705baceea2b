"""The import rules of setup.cfg hold, and really break when a module breaks them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT_IMPORTS), "--no-cache"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


def test_floors_hold(project_copy):
    done = lint_imports(project_copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("hfpipe/errors.py", "hfpipe.recipe"),
        ("hfpipe/metrics/__init__.py", "hfpipe.training"),
        ("hfpipe/metrics/__init__.py", "hfpipe.hub"),
        ("hfpipe/training/__init__.py", "hfpipe.evaluation"),
        ("hfpipe/evaluation/__init__.py", "hfpipe.cli.app"),
        ("hfpipe/hub/server/__init__.py", "hfpipe.hub.publish"),
        ("hfpipe/hub/publish.py", "hfpipe.hub.server"),
        ("hfpipe/recipe.py", "data_prep"),
        ("data_prep/__init__.py", "hfpipe.training"),
        ("data_prep/__init__.py", "hfpipe.evaluation"),
    ],
)
def test_forbidden_import_is_found(project_copy, module, forbidden):
    with (project_copy / module).open("a") as file:
        file.write(f"\nimport {forbidden}\n")
    done = lint_imports(project_copy)
    importer = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{importer} -> {forbidden}" in done.stdout.replace("\n", " ")
