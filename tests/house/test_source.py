"""Rules that hold for every source file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

LONGEST = 400
CODE = ("hfpipe", "data_prep", "recipes", "benchmarks")
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "joblib.load", "yaml.unsafe_load"}
# Put together here, so that this file does not mention what no file may mention.
ELSEWHERE = re.compile("|".join((r"\.\." + "/shared", r"(?<![\w./])/" + r"work/(main|shared)")))


def unsafe(source: str) -> list[str]:
    """What in a module may run code that somebody else wrote."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [item.name for item in node.names if item.name in UNSAFE_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in UNSAFE_MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func) in UNSAFE_CALLS:
                found.append(ast.unparse(node.func))
            found += [
                f"{keyword.arg}=True"
                for keyword in node.keywords
                if keyword.arg == "trust_remote_code"
                and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            ]
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import pickle", ["pickle"]),
        ("from dill import loads", ["dill"]),
        ("torch.load(path)", ["torch.load"]),
        ("load(name, trust_remote_code=True)", ["trust_remote_code=True"]),
        ("load(name, trust_remote_code=wanted)", ["trust_remote_code=True"]),
        ("json.load(file); load(name, trust_remote_code=False)", []),
    ],
)
def test_the_check_itself_sees_unsafe_code(source, expected):
    assert unsafe(source) == expected


def test_no_code_loads_what_could_run(root, project_files):
    modules = [p for p in project_files if p.suffix == ".py" and p.parts[0] in CODE]
    found = {str(path): unsafe((root / path).read_text()) for path in modules}
    assert {path: what for path, what in found.items() if what} == {}


def test_no_file_is_longer_than_the_limit(root, project_files):
    long = {}
    for path in (path for path in project_files if path.suffix == ".py"):
        length = len((root / path).read_text().splitlines())
        if length > LONGEST:
            long[str(path)] = length
    assert long == {}


def test_no_file_names_a_place_outside_the_repository(root, project_files):
    naming = []
    for path in project_files:
        text = (root / path).read_bytes().decode("utf-8", errors="ignore")
        naming += [f"{path}: {match.group()}" for match in ELSEWHERE.finditer(text)]
    assert naming == []


def test_every_recipe_begins_with_the_commands_that_run_it(root, project_files):
    recipes = [p for p in project_files if p.parent == Path("recipes") and p.suffix == ".yaml"]
    assert recipes
    for path in recipes:
        first = (root / path).read_text().splitlines()[0]
        assert first.startswith("# hfpipe "), path
