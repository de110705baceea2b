"""Late fusion of models that were pushed before, each with the inputs it was fitted on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hfpipe.errors import UserError
from tests.training.support import (
    METADATA,
    SEQUENCE,
    TABLE,
    push,
    pushed_bytes,
    pushed_files,
    rows,
    scores,
    story,
    text,
    tune,
)

HEAD = {"projection_size": 16, "sizes": [16]}
FAST = {"learning_rate": 1e-2, "num_train_epochs": 4}


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return push(hub, "fused")


@pytest.fixture(scope="module")
def towers(hub, tiny_bert, dataset, tmp_path_factory) -> dict[str, Any]:
    """A model of the text, one of the note that half of the rows have, one of the metadata."""
    folder = tmp_path_factory.mktemp("towers")
    stock = {"kind": "sequence_classification", "base": tiny_bert}
    plans = {
        "words": (stock, {"text": text()}),
        "note": (stock, {"note": text("note", optional=True)}),
        "about": ({"kind": "concat_mlp", "config": {"sizes": [8]}}, METADATA),
    }
    training = {"num_train_epochs": 2}
    return {
        name: tune(hub, folder, f"tower-{name}", dataset, *plan, training=training, task="binary")
        for name, plan in plans.items()
    }


def fuse(hub, folder: Path, target: str, dataset: str, towers: dict[str, Any], **more: Any) -> Any:
    model = {"kind": "late_fusion", "towers": towers, "config": HEAD, "freeze": ["towers"]}
    inputs = more.pop("inputs", None)
    training = FAST | more.pop("training", {})
    model |= more.pop("model", {})
    return tune(
        hub, folder, target, dataset, model, inputs, training=training, task="binary", **more
    )


def pushed_towers(towers: dict[str, Any]) -> dict[str, Any]:
    return {name: {"model": each.model.repo_id} for name, each in towers.items()}


@pytest.fixture(scope="module")
def fused(hub, dataset, towers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fusion")
    return fuse(hub, folder, "fusion", dataset, pushed_towers(towers))


def weights_of(hub, tuned, folder: Path) -> dict[str, torch.Tensor]:
    path = folder / f"{tuned.model.revision}.safetensors"
    path.write_bytes(pushed_bytes(hub, tuned, "model.safetensors"))
    return load_file(path)


def test_learns_and_is_scored_from_what_was_pushed(hub, fused, tmp_path):
    found = scores(hub, tmp_path, fused)
    assert found.record.metrics["roc_auc"] > 0.97
    assert found.record.threshold == fused.record.threshold
    held_out = rows(48, 3)
    assert [row["row_id"] for row in found.rows] == [row["row_id"] for row in held_out]
    # Half of the rows have no note, and the model is shown that they have none.
    assert [row["inputs"]["note"] for row in found.rows] == [row["note"] for row in held_out]
    assert sum(row["inputs"]["note"] is None for row in found.rows) == 24
    assert {"text", "note", "size", "weight", "channel"} == set(found.rows[0]["inputs"])


def test_towers_come_from_their_repos_as_they_were_there(hub, fused, towers, tmp_path):
    told = story(hub, fused)
    assert told["origins"] == {
        name: {"repo_id": each.model.repo_id, "revision": each.model.revision}
        for name, each in towers.items()
    }
    assert told["notes"] == []
    found = weights_of(hub, fused, tmp_path)
    key = "embeddings.word_embeddings.weight"
    for name in ("words", "note"):
        own = weights_of(hub, towers[name], tmp_path)[f"bert.{key}"]
        (inside,) = [at for at in found if at.startswith(f"towers.{name}.") and at.endswith(key)]
        assert torch.equal(found[inside], own)
    assert {"tools/words/tokenizer.json", "tools/note/tokenizer.json"} <= pushed_files(hub, fused)


def test_a_tower_stays_at_the_commit_that_was_named(hub, dataset, towers, tmp_path):
    first = towers["about"]
    model = {"kind": "concat_mlp", "config": {"sizes": [8]}}
    again = tune(
        hub, tmp_path, "tower-about", dataset, model, METADATA, training=FAST, task="binary"
    )
    assert again.model.revision != first.model.revision
    named = {"about": {"model": f"{first.model.repo_id}@{first.model.revision}"}}
    tuned = fuse(hub, tmp_path, "fusion-pinned", dataset, named)
    assert story(hub, tuned)["origins"]["about"]["revision"] == first.model.revision
    found, own = weights_of(hub, tuned, tmp_path), weights_of(hub, first, tmp_path)
    shared = {key: each for key, each in own.items() if f"towers.about.backbone.{key}" in found}
    assert len(shared) >= 2
    for key, each in shared.items():
        assert torch.equal(found[f"towers.about.backbone.{key}"], each), key


@pytest.fixture(scope="module")
def moved(hub, tiny_bert, towers, tmp_path_factory):
    """On rows whose numbers lie elsewhere, with an encoder that hfpipe did not make beside it."""
    changed = {
        split: rows(count, seed, shift=500.0, channels="cd")
        for split, count, seed in (("train", 60, 5), ("validation", 24, 6), ("test", 24, 7))
    }
    chosen = {**pushed_towers({"about": towers["about"]}), "plain": {"model": tiny_bert}}
    return fuse(
        hub,
        tmp_path_factory.mktemp("moved"),
        "fusion-moved",
        push(hub, "fused-moved", **changed),
        chosen,
        inputs={"plain": text()},
    )


def test_scaler_and_vocabulary_stay_those_of_the_tower(hub, towers, moved):
    own = json.loads(pushed_bytes(hub, towers["about"], "processor.json"))["inputs"]
    found = json.loads(pushed_bytes(hub, moved, "processor.json"))["inputs"]
    assert found["numbers"] == own["numbers"]
    assert found["groups"] == own["groups"]
    assert found["groups"]["vocabularies"] == [["a", "b", "c"]]  # and no "d"
    arrays = pushed_bytes(hub, moved, "processor.safetensors")
    assert arrays == pushed_bytes(hub, towers["about"], "processor.safetensors")


def test_a_tower_that_learnt_from_other_rows_is_told_of(hub, moved):
    assert story(hub, moved)["notes"] == moved.notes
    assert moved.notes == [
        "tower 'about' learnt from dataset 'local/fused', not from 'local/fused-moved': it may "
        "know test rows"
    ]


def test_a_plain_encoder_reads_what_the_recipe_says(hub, moved, tiny_bert, tmp_path):
    found = scores(hub, tmp_path, moved)
    assert found.record.n == 24
    assert set(found.rows[0]["inputs"]) == {"text", "size", "weight", "channel"}
    assert story(hub, moved)["origins"]["plain"]["repo_id"] == tiny_bert
    assert "tools/plain/tokenizer.json" in pushed_files(hub, moved)


FRESH = """
import json, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
import torch
import hfpipe.models.registration
from transformers import AutoModel

model = AutoModel.from_pretrained(sys.argv[1], revision=sys.argv[2]).eval()
batch = {}
for name, tensor in load_file(sys.argv[3]).items():
    of, key = name.split("/")
    batch.setdefault(of, {})[key] = tensor
with torch.no_grad():
    save_file({"logits": model(batch).logits}, sys.argv[4])
assert "hfpipe.finetuning" not in sys.modules and "datasets" not in sys.modules
"""


def test_a_fresh_process_with_the_models_alone_gets_equal_logits(hub, fused, tmp_path):
    from datasets import Dataset

    from hfpipe.inputs.collator import Collator
    from hfpipe.inputs.encoding import encode_rows
    from hfpipe.loading import load_pushed

    loaded = load_pushed(hub, f"{fused.model.repo_id}@{fused.model.revision}")
    found = Dataset.from_list(rows(6, 3)).select_columns(loaded.processor.columns)
    encoded = encode_rows(loaded.processor, found, loaded.tools, "rows", quiet=True)
    batch = Collator(loaded.processor, loaded.tools)(list(encoded))["inputs"]
    with torch.no_grad():
        expected = loaded.model.eval()(batch).logits
    place, out = tmp_path / "batch.safetensors", tmp_path / "logits.safetensors"
    flat = {f"{of}/{key}": each for of, part in batch.items() for key, each in part.items()}
    save_file({key: each.contiguous() for key, each in flat.items()}, place)
    done = subprocess.run(
        [
            *(sys.executable, "-c", FRESH, fused.model.repo_id, fused.model.revision),
            *(str(place), str(out)),
        ],
        cwd=tmp_path,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": hub.token},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    torch.testing.assert_close(load_file(out)["logits"], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("chosen", "inputs", "words"),
    [
        ({}, None, "model.towers is empty"),
        ({"words": {}}, None, "model.towers.words.model: which repo"),
        ({"words": {"model": "local/nothing"}}, None, "local/nothing"),
        ({"plain": {"model": "tiny/bert"}}, SEQUENCE, "data.inputs.plain must say what it reads"),
        ({"words": {"model": "tower-words"}}, {"video": TABLE["video"]}, "no tower takes input"),
    ],
)
def test_towers_that_cannot_be_are_refused_before_any_step(
    hub, dataset, towers, tmp_path, chosen, inputs, words
):
    with pytest.raises(UserError, match=words) as caught:
        fuse(hub, tmp_path, "never-fused", dataset, chosen, inputs=inputs)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "never-fused" / "report.html").exists()


def test_a_table_cannot_be_a_tower(hub, dataset, tmp_path):
    model = {"kind": "ridge", "config": {"strategy": "concat"}}
    tuned = tune(
        hub, tmp_path, "tower-ridge", dataset, model, TABLE, label="views", task="regression"
    )
    with pytest.raises(UserError, match="is a ridge model: it has no vector to fuse"):
        fuse(hub, tmp_path, "never-fused", dataset, {"it": {"model": tuned.model.repo_id}})
