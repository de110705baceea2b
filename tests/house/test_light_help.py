"""`hfpipe --help` reads no heavy library."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch", "transformers", "datasets", "pandas", "numpy", "sklearn", "huggingface_hub", "wandb",
    "pygit2", "starlette", "uvicorn", "matplotlib", "pyarrow", "peft", "omegaconf", "hydra",
}  # fmt: skip
ASK = """
import json, sys
from hfpipe.cli.app import main
sys.argv = ["hfpipe", *json.loads(sys.argv[1])]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


LIGHT = [[], *([verb] for verb in ("prepare", "finetune", "evaluate", "predict", "compare", "hub"))]


@pytest.mark.parametrize("verb", LIGHT, ids=" ".join)
def test_help_imports_nothing_heavy(verb):
    command = [sys.executable, "-c", ASK, json.dumps([*verb, "--help"])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: hfpipe" in done.stdout
    imported = {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert "typer" in imported
    assert imported & HEAVY == set()
