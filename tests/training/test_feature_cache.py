"""What frozen towers give is kept, read again, and made anew when anything of it changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load

from tests.training.support import (
    METADATA,
    TINY_SIGLIP,
    push,
    pushed_bytes,
    rows,
    scores,
    text,
    tune,
)

HEAD = {"projection_size": 8, "sizes": [8], "modality_dropout": 0.2}
STEADY = {"training": {"num_train_epochs": 1}, "task": "binary"}


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return push(hub, "cached")


@pytest.fixture(scope="module")
def towers(hub, tiny_bert, dataset, tmp_path_factory) -> dict[str, str]:
    """Towers without dropout, whose outputs are then the same in training; one has augmentation."""
    folder = tmp_path_factory.mktemp("towers")
    plans: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "words": (
            {"kind": "sequence_classification", "base": tiny_bert, "dropout": 0},
            {"words": text("note", optional=True)},
        ),
        "about": ({"kind": "concat_mlp", "dropout": 0, "config": {"sizes": [8]}}, METADATA),
        "picture": (
            {"kind": "image_classification", "scratch": TINY_SIGLIP},
            {
                "picture": {
                    "kind": "image",
                    "columns": ["picture"],
                    "augment": ["horizontal_flip"],
                }
            },
        ),
    }
    return {
        name: tune(hub, folder, f"cached-{name}", dataset, *plan, **STEADY).model.repo_id
        for name, plan in plans.items()
    }


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("HFPIPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def fuse(hub, folder: Path, target: str, dataset: str, towers: dict[str, Any], **more: Any):
    model = {"kind": "late_fusion", "config": HEAD, "freeze": ["towers"], **more}
    model["towers"] = {
        name: each if isinstance(each, dict) else {"model": each} for name, each in towers.items()
    }
    training = {"num_train_epochs": 2, "learning_rate": 1e-2}
    return tune(hub, folder, target, dataset, model, training=training, task="binary")


def kept(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in cache.glob("*")}


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """How often a tower that is an encoder, or a wrapper, was run; whoever runs it."""
    from hfpipe.models.parts.towers import Backbone, Nested

    count = {"encoder": 0, "wrapper": 0}

    def seen(module: Any, _: Any, __: Any) -> None:
        if isinstance(module, Backbone | Nested):
            count["encoder" if isinstance(module, Backbone) else "wrapper"] += 1

    handle = torch.nn.modules.module.register_module_forward_hook(seen)
    try:
        yield count
    finally:
        handle.remove()


def test_the_same_model_comes_out_with_the_cache_and_without(
    hub, dataset, towers, cache, tmp_path, monkeypatch
):
    two = {name: towers[name] for name in ("words", "about")}
    first = fuse(hub, tmp_path, "with-cache", dataset, two)
    written = kept(cache)
    # Two towers, two splits; but both splits have the same three notes.
    assert len(written) == 3
    assert all(name.endswith(".npy") for name in written)

    with counted() as count:
        again = fuse(hub, tmp_path, "with-cache-again", dataset, two)
    assert count == {"encoder": 0, "wrapper": 0}
    assert kept(cache).keys() == written.keys()

    monkeypatch.setenv("HFPIPE_CACHE_GB", "0")
    with counted() as count:
        without = fuse(hub, tmp_path, "without-cache", dataset, two)
    assert count["encoder"] > 16
    assert kept(cache).keys() == written.keys()

    weights = {
        name: load(pushed_bytes(hub, each, "model.safetensors"))
        for name, each in (("with", first), ("again", again), ("without", without))
    }
    assert weights["with"].keys() == weights["without"].keys()
    for key, tensor in weights["with"].items():
        assert torch.equal(weights["again"][key], tensor), key
        torch.testing.assert_close(weights["without"][key], tensor, atol=1e-5, rtol=1e-5)
    # Evaluation reads the rows themselves, and finds the same.
    found = {
        each.model.repo_id: [row["score"] for row in scores(hub, tmp_path / "s", each).rows]
        for each in (first, without)
    }
    assert found["local/with-cache"] == pytest.approx(found["local/without-cache"], abs=1e-5)
    assert first.record.metrics["log_loss"] == pytest.approx(
        without.record.metrics["log_loss"], abs=1e-5
    )


def test_a_tower_whose_images_are_changed_at_random_is_not_kept(
    hub, dataset, towers, cache, tmp_path
):
    two = {name: towers[name] for name in ("about", "picture")}
    with counted() as count:
        fuse(hub, tmp_path, "augmented", dataset, two)
    assert len(kept(cache)) == 2  # of the metadata alone
    # 2 epochs of 8 batches and 6 of validation, 6 for the verdict, some for the cache.
    assert count["encoder"] > 16 > count["wrapper"]


def test_a_tower_that_learns_is_not_kept(hub, dataset, towers, cache, tmp_path):
    two = {name: towers[name] for name in ("words", "about")}
    fuse(hub, tmp_path, "half-frozen", dataset, two, freeze=["towers.about"])
    assert len(kept(cache)) == 2
    lora = {"r": 2, "target_modules": ["query"]}
    three = {"about": two["about"], "words": {"model": two["words"], "lora": lora}}
    fuse(hub, tmp_path, "adapted", dataset, three)
    assert len(kept(cache)) == 2


@pytest.fixture
def pieces(hub, towers, cache) -> Any:
    """A fusion with both towers frozen, its collator, and 20 encoded rows."""
    from hfpipe.inputs.collator import Collator
    from hfpipe.inputs.encoding import encode_rows
    from hfpipe.inputs.processor import Processor
    from hfpipe.loading import load_pushed
    from hfpipe.models.groups import freeze
    from hfpipe.models.late_fusion import LateFusionModel

    loaded = {name: load_pushed(hub, towers[name]) for name in ("words", "about")}
    inputs = {
        name: kind for each in loaded.values() for name, kind in each.processor.inputs.items()
    }
    processor = Processor(inputs, "answer", ["no", "yes"], "binary")
    tools = loaded["words"].tools

    def make(pool: str = "mean") -> LateFusionModel:
        torch.manual_seed(0)
        model = LateFusionModel.from_towers(
            {name: each.model for name, each in loaded.items()},
            inputs=processor.schema(),
            options={"words": {"pool": pool}},
            problem_type="binary",
            **HEAD,
        )
        freeze(model, ["towers"])
        return model

    def encoded(found: list[dict[str, Any]]) -> Dataset:
        few = Dataset.from_list(found).select_columns(["row_id", *processor.columns])
        return encode_rows(processor, few, tools, "rows", quiet=True)

    return make, Collator(processor, tools), encoded


def test_the_kept_rows_give_the_same_logits_in_any_order(pieces, cache):
    from hfpipe.training.feature_cache import cached

    make, collator, encode = pieces
    model, splits = make().train(), (encode(rows(20, 3)), encode(rows(4, 5)))
    model.head.eval()
    modes = [each.training for each in model.modules()]
    order = [7, 0, 19, 3]
    with cached(model, collator, splits, quiet=True) as (fed, (first, second)), torch.no_grad():
        assert [each.training for each in model.modules()] == modes
        assert (len(first), len(second)) == (20, 4)
        assert set(first.column_names) == {"row_id", "length", "cache_row"}
        model.eval()
        for found, split, places in ((first, splits[0], order), (second, splits[1], [3, 1])):
            own = model(collator([split[at] for at in places])["inputs"]).logits
            kept_ones = fed([found[at] for at in places])["inputs"]
            assert set(kept_ones) == {"tower:words", "tower:about"}
            torch.testing.assert_close(model(kept_ones).logits, own, atol=1e-5, rtol=1e-5)
            # The rows without a note are told to be without.
            assert kept_ones["tower:words"]["present"].tolist() == [at % 2 == 0 for at in places]
    # 20 and 4 rows, all with other numbers; but of notes there are three and two.
    sizes = sorted(len(np.load(path, allow_pickle=False)) for path in cache.glob("*.npy"))
    assert sizes == [2, 3, 4, 20]


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ("nothing", 0),
        ("order", 0),
        ("head", 0),
        ("weight", 1),
        ("text", 1),
        ("number", 1),
        ("pool", 1),
        ("max_length", 1),
        ("tokenizer", 1),
    ],
)
def test_what_is_kept_is_made_anew_where_it_changed(pieces, cache, change, new):
    from copy import deepcopy

    from hfpipe.training.feature_cache import cached

    make, collator, encode = pieces
    found = rows(20, 3)
    with cached(make(), collator, [encode(found)], quiet=True):
        before = kept(cache)
    assert len(before) == 2
    model = make("max" if change == "pool" else "mean")
    with torch.no_grad():
        if change == "weight":
            next(model.towers["words"].parameters())[5, 0] += 1e-3
        if change == "head":
            next(model.head.parameters())[0] += 1
    if change == "order":
        found = found[::-1]
    if change == "text":
        found[4] = {**found[4], "note": "another one"}
    if change == "number":
        found[4] = {**found[4], "size": 0.123}
    if change == "max_length":
        inputs = dict(collator.processor.inputs)
        inputs["words"] = replace(inputs["words"], max_length=31)
        collator = replace(collator, processor=replace(collator.processor, inputs=inputs))
    if change == "tokenizer":
        tool = deepcopy(collator.tools["words"])
        tool.add_tokens(["anotherword"])
        collator = replace(collator, tools={"words": tool})
    with cached(model, collator, [encode(found)], quiet=True):
        after = kept(cache)
    assert before.keys() <= after.keys()
    assert len(after) == 2 + new


def test_the_folder_is_where_the_variable_says_and_home_otherwise(monkeypatch, tmp_path):
    from hfpipe.training.cache_files import cache_folder

    monkeypatch.setenv("HFPIPE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "features"
    monkeypatch.delenv("HFPIPE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "hfpipe" / "features"
