"""Frozen parts say the same with the cache and without; what else reads their inputs still does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from hfpipe.errors import RunError
from hfpipe.models.groups import freeze
from hfpipe.models.late_fusion import LateFusionConfig, LateFusionModel
from hfpipe.models.parts.towers import tower_config
from hfpipe.training import frozen
from hfpipe.training.feature_cache import cached
from hfpipe.training.fit import build_trainer
from hfpipe.training.frozen import resting
from tests.training.heads import classifier, counted, encoded, image_collator, text_collator, texts
from tests.training.small import Toy, bert, furthest, trainer_of, weights

INPUTS = {"text": {"kind": "text"}, "numbers": {"kind": "numeric", "n": 2}}


def two_readers() -> LateFusionModel:
    """Two towers of the one text, of which one has the text's name and is frozen."""
    words = {"inputs": ["text"], "config": tower_config(bert().config)}
    mlp = {"config": {"model_type": "hfpipe-concat-mlp", "sizes": [8], "dropout": 0.0}}
    torch.manual_seed(0)
    config = LateFusionConfig(
        inputs=INPUTS,
        towers={"text": words, "style": words, "about": {"inputs": ["numbers"], **mlp}},
        problem_type="binary",
        projection_size=8,
        sizes=[8],
        dropout=0.0,
    )
    model = LateFusionModel(config)
    freeze(model, ["towers.text"])
    return model


def test_an_input_of_a_cached_tower_is_still_there_for_another_tower(cache, tmp_path):
    toy = Toy("binary", two_readers, flat=False, both=True)
    rows, model = toy.rows(8), toy.model()
    with torch.no_grad():
        own = model.eval()(toy.collator(list(rows))["inputs"]).logits
    with cached(model, toy.collator, [rows], quiet=True) as (fed, (kept,)):
        batch = fed(list(kept))["inputs"]
        assert set(batch) == {"text", "numbers", "tower:text"}
        with torch.no_grad():
            torch.testing.assert_close(model(batch).logits, own, atol=1e-5, rtol=1e-5)
    assert len(list(cache.glob("*.npy"))) == 1


def half_frozen() -> Any:
    """A head on a frozen encoder that drops half of everything while it learns."""
    torch.manual_seed(0)
    model = bert(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5, classifier_dropout=0.0)
    for each in model.bert.parameters():
        each.requires_grad_(False)
    return model


@pytest.mark.parametrize("without", ["recipe", "HFPIPE_CACHE_GB"])
def test_a_run_does_not_depend_on_whether_the_cache_works(cache, tmp_path, monkeypatch, without):
    toy = Toy("classification", half_frozen)
    rows, found = toy.rows(16), []
    for keep in (True, False):
        if not keep and without != "recipe":
            monkeypatch.setenv(without, "0")
        wanted = keep or without != "recipe"
        model, plain = toy.model(), toy.collator
        with cached(model, plain, [rows], quiet=True, keep=wanted) as (fed, (kept,)):
            assert (fed is plain) is not keep
            trainer = trainer_of(toy, tmp_path, kept, model=model, rows=8, max_steps=4)
            trainer.train_collator = fed
            trainer.train()
            assert ("cache_row" in kept.column_names) is keep
        assert "train" not in vars(model.bert)
        found.append(weights(model))
    assert furthest(*found) < 1e-6
    assert furthest(found[0], weights(toy.model())) > 1e-2


def test_what_rests_does_so_in_a_copy_too_and_wakes_up_afterwards():
    model = half_frozen().train()
    modes = [each.training for each in model.modules()]
    with resting([model.bert]):
        other = copy.deepcopy(model)
        for each in (other, model):
            each.train()
            assert each.classifier.training
            assert not any(part.training for part in each.bert.modules())
        assert other.bert.train.__self__ is other.bert
    assert [each.training for each in model.modules()] == modes
    assert model.train().bert.encoder.training


def test_kept_rows_pay_for_no_tokens(cache, tmp_path):
    toy = Toy("classification", half_frozen)
    rows, model = toy.rows(16), toy.model()
    with cached(model, toy.collator, [rows], quiet=True) as (fed, (kept,)):
        few = {"rows": 16, "max_tokens": 24, "eval_max_tokens": 24}
        arguments = trainer_of(toy, tmp_path, per_device_train_batch_size=16).args
        for collator, split, many in ((toy.collator, rows, True), (fed, kept, False)):
            trainer = build_trainer(model, arguments, collator, toy.kind, split, split, **few)
            (step,) = trainer.get_train_dataloader()
            assert (len(step["micro"]) > 3) is many
            assert (len(list(trainer.get_eval_dataloader())) > 2) is many
            assert sorted(kept["length"]) == sorted(rows["length"])  # the same rows share a step


def test_an_image_of_a_path_is_known_by_what_its_file_holds(cache, tmp_path):
    from PIL import Image

    path, other = tmp_path / "a.png", tmp_path / "b.png"
    for each in (path, other):
        Image.new("RGB", (16, 16), "red").save(each)
    collator, model = image_collator(16), classifier("vit")
    for colour, files in (("red", 1), ("blue", 2)):
        Image.new("RGB", (16, 16), colour).save(path)
        rows = encoded(collator, [str(path)])
        with cached(model, collator, [rows], quiet=True) as (fed, (kept,)), torch.no_grad():
            model.eval()
            found = model(**fed(list(kept))).logits
        torch.testing.assert_close(found, model(**collator(list(rows))).logits)
        assert len(list(cache.glob("*.npy"))) == files
    # The same picture at another path is the same row.
    with counted(model) as seen, cached(model, collator, [encoded(collator, [str(other)])], True):
        assert seen == []


@pytest.mark.parametrize("room", [8, 2])
def test_where_memory_is_short_kept_rows_are_computed_in_smaller_batches(cache, tokenizer, room):
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(40))

    def full(_: Any, given: tuple[Any, ...]) -> None:
        if given and given[0] is not None and len(given[0]) > room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …")

    model.bert.register_forward_pre_hook(full)
    if room == 8:
        with cached(model, collator, [rows], quiet=True) as (fed, _):
            assert fed is not collator
        return
    with (
        pytest.raises(
            RunError, match=r"out of memory while .*: set batches\.cache=false"
        ) as caught,
        cached(model, collator, [rows], quiet=True),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("*"))


def test_of_several_processes_all_are_fed_what_each_of_them_can_read(monkeypatch):
    def gathered(said: list[Any], own: list[str]) -> None:
        said[:] = [own, ["words"]]

    monkeypatch.setattr(frozen, "_world", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gathered)
    assert frozen.agreed(["about", "words"]) == {"words"}
    assert frozen.agreed([]) == set()
