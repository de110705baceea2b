"""What `pip install` of a wheel brings is what the checkout has."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture
def wheel(project_copy: Path) -> Path:
    """A wheel, built from a copy so that no build folder is left in the checkout."""
    out = project_copy.parent / "wheel"
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), "."]
    subprocess.run(command, cwd=project_copy, check=True, capture_output=True)
    (built,) = out.glob("hfpipe-*.whl")
    return built


def installed_name(path: Path) -> str | None:
    """Where a file of the checkout lies in the wheel; None for one that is not installed."""
    if path.parts[0] == "recipes":
        return (Path("hfpipe") / path).as_posix()
    return path.as_posix() if path.parts[0] in ("hfpipe", "data_prep") else None


def test_wheel_holds_the_packages_files_and_nothing_else(wheel, project_files):
    expected = {name for name in map(installed_name, project_files) if name}
    assert {"hfpipe/py.typed", "data_prep/py.typed"} < expected
    assert any(name.startswith("hfpipe/recipes/_base/") for name in expected)
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected


def test_installed_wheel_lists_the_recipes_of_the_folder(wheel, tmp_path, root):
    target = tmp_path / "site"
    command = [*PIP, "install", "--no-deps", "--no-compile", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    assert (target / "bin" / "hfpipe").exists()
    environment = {**os.environ, "PYTHONPATH": str(target), "COLUMNS": "200"}
    ask = "import hfpipe, hfpipe.recipes; print(hfpipe.__file__, hfpipe.recipes.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert all(Path(path).is_relative_to(target) for path in where), where
    listed = subprocess.run(
        [sys.executable, "-m", "hfpipe", "recipes", "list"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = sorted(path.stem for path in (root / "recipes").glob("*.yaml"))
    assert [name for name in names if name not in listed.split()] == []
