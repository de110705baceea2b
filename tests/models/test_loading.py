"""Saved models give the same logits in a fresh process: with hfpipe, and with the pushed code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from hfpipe.models.remote_code import bundled
from tests.models.support import CASES, batch_of

LOADING = """
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

trusted = sys.argv[2] == "trusted"
if trusted:
    sys.modules["hfpipe"] = None
else:
    import hfpipe.models.registration
logits = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    model = AutoModel.from_pretrained(folder, trust_remote_code=trusted).eval()
    batch = {}
    for name, tensor in load_file(folder / "batch.safetensors").items():
        of, key = name.split("/")
        batch.setdefault(of, {})[key] = tensor
    with torch.no_grad():
        logits[folder.name] = model(batch).logits
    if trusted:
        assert type(model).__module__.startswith("transformers_modules"), type(model)
    if trusted and folder.name == "late_fusion":
        again = folder / "again"
        model.save_pretrained(again)
        model = AutoModel.from_pretrained(again, trust_remote_code=True).eval()
        with torch.no_grad():
            assert torch.equal(model(batch).logits, logits[folder.name])
save_file(logits, sys.argv[3])
assert trusted == (not any(name.startswith("hfpipe.") for name in sys.modules))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[Path, dict[str, torch.Tensor]]:
    """Every wrapper saved, with a batch beside it; and its logits on that."""
    folder = tmp_path_factory.mktemp("models")
    logits = {}
    for name, case in CASES.items():
        model = case.make(seed=3)
        batch = batch_of(model.config, 3)
        model.save_pretrained(folder / name)
        flat = {
            f"{of}/{key}": each for of, features in batch.items() for key, each in features.items()
        }
        save_file(flat, folder / name / "batch.safetensors")
        with torch.no_grad():
            logits[name] = model(batch).logits
    return folder, logits


@pytest.mark.parametrize("way", ["installed", "trusted"])
def test_a_fresh_process_gets_equal_logits(saved, tmp_path, way):
    folder, logits = saved
    out = tmp_path / "logits.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(folder), way, str(out)],
        cwd=tmp_path,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = load_file(out)
    assert set(found) == set(CASES)
    for name, expected in logits.items():
        torch.testing.assert_close(found[name], expected, atol=1e-6, rtol=0)


def test_a_saved_folder_holds_config_weights_and_code_alone(saved):
    folder, _ = saved
    names = {path.name for path in (folder / "late_fusion").iterdir() if path.is_file()}
    names -= {"batch.safetensors"}
    assert names == {"config.json", "model.safetensors", "modeling_hfpipe.py"}
    config = json.loads((folder / "late_fusion" / "config.json").read_text())
    assert config["model_type"] == "hfpipe-late-fusion"
    assert config["auto_map"] == {
        "AutoConfig": "modeling_hfpipe.LateFusionConfig",
        "AutoModel": "modeling_hfpipe.LateFusionModel",
    }
    assert str(folder) not in json.dumps(config)


def test_the_pushed_code_needs_no_hfpipe_and_opens_nothing():
    source = bundled()
    compile(source, "modeling_hfpipe.py", "exec")
    assert "from hfpipe" not in source
    assert "import hfpipe" not in source.replace("import hfpipe.models.registration and", "")


def test_a_new_model_from_the_saved_config_has_the_same_parameters(saved):
    folder, _ = saved
    for name, case in CASES.items():
        loaded = AutoModel.from_pretrained(folder / name)
        anew = AutoModel.from_config(loaded.config)
        shapes = {key: each.shape for key, each in case.make().state_dict().items()}
        assert {key: each.shape for key, each in anew.state_dict().items()} == shapes
