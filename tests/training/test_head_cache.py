"""A head on a frozen encoder learns from what is kept of it: the same, and without the encoder."""

from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
)

from hfpipe.inputs.collator import Collator
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.processor import Processor
from hfpipe.training.feature_cache import cached
from hfpipe.training.head_boundary import head_boundary
from tests.training.heads import (
    PICTURES,
    STEADY,
    TEXTS,
    classifier,
    counted,
    encoded,
    encoder_of,
    image_collator,
    images,
    logits,
    text_collator,
    texts,
    trained,
)


@pytest.mark.parametrize("kind", [*TEXTS, *PICTURES])
def test_a_kept_vector_gives_the_logits_of_the_row(cache, tokenizer, kind):
    if kind in TEXTS:
        collator, values = text_collator(tokenizer), texts(12)
    else:
        collator, values = image_collator(64 if kind == "convnextv2" else 16), images(12)
    rows, model = encoded(collator, values), classifier(kind)
    before, names = logits(model, collator, rows), list(model.state_dict())
    assert before.std(dim=0).min() > 1e-3  # rows differ, so a wrong vector would show
    model.train()
    with counted(model) as seen, cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        # Each row once, and one once more, alone.
        assert sum(seen) == 13
        assert model.training
        assert set(kept.column_names) == {"row_id", "length", "labels", "cache_row"}
        torch.testing.assert_close(logits(model, fed, kept), before, atol=1e-5, rtol=1e-5)
        assert sum(seen) == 13
        # What was not kept is encoded as ever.
        torch.testing.assert_close(logits(model, collator, rows), before, atol=1e-5, rtol=1e-5)
        assert sum(seen) == 25
        assert list(model.state_dict()) == names
    assert "forward" not in vars(encoder_of(model))
    (path,) = cache.iterdir()
    assert path.name.split(".")[1] == {**TEXTS, **PICTURES}[kind][1]


def test_a_head_of_zeros_does_not_hide_what_it_reads(cache, tokenizer):
    collator, model = text_collator(tokenizer), classifier("distilbert")
    rows = encoded(collator, texts(12))
    with torch.no_grad():
        model.classifier.weight.zero_()
    with cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        torch.nn.init.normal_(model.classifier.weight)
        found = logits(model, fed, kept)
    torch.testing.assert_close(found, logits(model, collator, rows), atol=1e-5, rtol=1e-5)


def test_where_no_vector_stands_in_nothing_is_kept(cache):
    """DINOv2's head reads the first token and the mean of the others."""
    collator = image_collator(16)
    rows = encoded(collator, images(4))
    with cached(classifier("dinov2"), collator, [rows], quiet=True) as (fed, splits):
        assert fed is collator
        assert splits == [rows]
    flipped = ImageInput(["p"], augment=["horizontal_flip"])
    varied = replace(collator, processor=Processor({"p": flipped}, "y"))
    with cached(classifier("siglip"), varied, [rows], quiet=True) as (fed, _):
        assert fed is varied
    assert not cache.exists()


def test_a_row_that_depends_on_its_padding_is_not_kept(cache, tokenizer):
    """BERT counts positions from the padding on, where that is on the left."""
    left = deepcopy(tokenizer)
    left.padding_side = "left"
    collator = text_collator(left)
    with cached(classifier(), collator, [encoded(collator, texts(9))], quiet=True) as (fed, _):
        assert fed is collator
    # ModernBERT knows distances alone, and its head here the mean of all tokens.
    with cached(
        classifier("modernbert"), collator, [encoded(collator, texts(9))], quiet=True
    ) as it:
        assert it[0] is not collator


def test_what_learns_is_not_kept_be_it_an_adapter(cache, tokenizer):
    from peft import LoraConfig, inject_adapter_in_model

    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(8))
    model.bert.encoder.layer[1].output.dense.bias.requires_grad_(True)
    with cached(model, collator, [rows], quiet=True) as (fed, _):
        assert fed is collator
    model = inject_adapter_in_model(LoraConfig(r=2, target_modules=["query"]), classifier())
    with cached(model, collator, [rows], quiet=True) as (fed, _):
        assert fed is collator
    for name, each in model.named_parameters():
        each.requires_grad_(name.startswith("classifier"))
        if "lora_B" in name:
            torch.nn.init.normal_(each)
    own = logits(model, collator, rows)
    with cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        torch.testing.assert_close(logits(model, fed, kept), own, atol=1e-5, rtol=1e-5)
    assert len(list(cache.iterdir())) == 1


def test_each_distinct_row_is_encoded_once_and_never_again(cache, tokenizer):
    collator, values = text_collator(tokenizer), list(dict.fromkeys(texts(320)))[:300]
    splits = [encoded(collator, [*values, *values[:40]]), encoded(collator, values[5:20])]
    model = classifier()
    with counted(model) as seen, cached(model, collator, splits, quiet=True) as (fed, kept):
        assert sum(seen) == 300 + 15 + 1
        found = [logits(model, fed, each, 64) for each in kept]
    for split, each in zip(splits, found, strict=True):
        torch.testing.assert_close(each, logits(model, collator, split, 64), atol=1e-5, rtol=1e-5)

    later = classifier(seed=0)
    torch.nn.init.normal_(later.classifier.weight)
    backwards = splits[0].select(range(len(splits[0]))[::-1])
    with counted(later) as seen, cached(later, collator, [splits[1], backwards], quiet=True) as it:
        assert seen == []
        found = logits(later, it[0], it[1][1], 64)
    own = logits(later, collator, backwards, 64)
    torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-5)


def _another_weight(model: Any, collator: Collator, values: list[str]) -> Any:
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight[0, 0] += 1e-4
    return model, collator, values


def _another_row(model: Any, collator: Collator, values: list[str]) -> Any:
    return model, collator, [*values[:-1], "quite another"]


def _another_length(model: Any, collator: Collator, values: list[str]) -> Any:
    return model, text_collator(collator.tools["t"], max_length=8), values


def _another_tokenizer(model: Any, collator: Collator, values: list[str]) -> Any:
    tool = deepcopy(collator.tools["t"])
    tool.add_tokens(["anotherword"])
    return model, text_collator(tool), values


@pytest.mark.parametrize(
    "change", [_another_weight, _another_row, _another_length, _another_tokenizer]
)
def test_whatever_changes_is_encoded_anew(cache, tokenizer, change):
    collator, values = text_collator(tokenizer), texts(10)
    for made in ((classifier(), collator, values), change(classifier(), collator, values)):
        model, feeding, own = made
        rows = encoded(feeding, own)
        with counted(model) as seen, cached(model, feeding, [rows], quiet=True) as (fed, (kept,)):
            assert sum(seen) == 10 + 1
            found = logits(model, fed, kept)
        own = logits(model, feeding, rows)
        torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-5)


def test_training_on_what_is_kept_is_training_on_the_rows(cache, tokenizer, tmp_path):
    """The head has dropout, the encoder has none; what is saved inside is a whole stock model."""
    collator = text_collator(tokenizer)
    splits = [encoded(collator, texts(40)), encoded(collator, texts(9, 1))]
    config = {**STEADY, "classifier_dropout": 0.3}
    plain, model = classifier(**config), classifier(**config)
    history, said = trained(plain, collator, splits, tmp_path / "plain")
    with cached(model, collator, splits, quiet=True) as (fed, kept), counted(model) as seen:
        other, again = trained(model, fed, kept, tmp_path / "cached")
    assert seen == []
    np.testing.assert_allclose(again, said, atol=1e-5)
    own = logits(model, collator, splits[0])
    torch.testing.assert_close(own, logits(plain, collator, splits[0]), atol=1e-5, rtol=1e-5)
    assert (own - logits(classifier(**config), collator, splits[0])).abs().max() > 1e-2
    for key in ("loss", "eval_loss", "grad_norm"):
        both = [[each[key] for each in found if key in each] for found in (history, other)]
        assert both[0] == pytest.approx(both[1], abs=1e-5)
    (last,) = (tmp_path / "cached").glob("checkpoint-15")
    loaded, report = AutoModelForSequenceClassification.from_pretrained(
        last, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(logits(loaded, collator, splits[0]), own, atol=1e-6, rtol=1e-6)


def test_in_bfloat16_the_head_is_given_what_it_would_be(cache, tokenizer):
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(8))
    with cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        with torch.autocast("cpu", torch.bfloat16):
            found = logits(model, fed, kept)
            own = logits(model, collator, rows)
        assert found.dtype == own.dtype == torch.bfloat16
        torch.testing.assert_close(found, own, atol=0.05, rtol=0.05)


def test_a_loader_s_workers_open_the_files_themselves(cache, tokenizer):
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(10))
    with cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        own = fed([kept[at] for at in (3, 9)])
        sent = pickle.dumps(replace(fed, tools={}))
        again = replace(pickle.loads(sent), tools=fed.tools)([kept[at] for at in (3, 9)])
        next(cache.iterdir()).unlink()
        third = pickle.loads(pickle.dumps(fed))([kept[at] for at in (3, 9)])
    assert len(sent) < 2000
    for each in (again, third):
        assert torch.equal(each["inputs_embeds"], own["inputs_embeds"])


def test_only_a_flat_batch_of_one_input_has_a_head_boundary(tokenizer):
    collator = replace(text_collator(tokenizer), flat=False)
    assert head_boundary(classifier(), collator) is None
    assert head_boundary(object(), text_collator(tokenizer)) is None
