"""What cannot work: one line that names the place, before anything is learnt."""

from __future__ import annotations

from typing import Any

import pytest

from hfpipe.errors import UserError
from tests.training.broken import (
    BERT,
    FUSION,
    GATED,
    MLP,
    PICTURES,
    PROFILE,
    RIDGE,
    SEQUENTIAL,
    VIEWS,
    changed,
    one,
)
from tests.training.support import (
    SMALL_SEQUENCE,
    TINY_SIGLIP,
    categorical,
    numeric,
    text,
    tune,
    vector,
)


def pair(words: str, numbers: str) -> dict[str, Any]:
    """A text and a vector, both optional: for late fusion and for tables only the vector counts."""
    return {"a": vector(words, optional=True), "b": vector(numbers, optional=True)}


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        (
            MLP,
            {"a": vector("holes", optional=True)},
            "'train': row '1-3': every input is missing (holes)",
        ),
        (MLP, pair("late_holes", "late_holes"), "'validation': row '2-2': every input is missing"),
        (MLP, one("vector", "holes"), "row '1-3': nothing in 'holes': leave such rows out, or"),
        (BERT, one("text", "late_blank"), "'validation': row '2-2': nothing in 'late_blank'"),
        (BERT, one("text", "vanished", optional=True), "no row of train has a text in 'vanished'"),
        (MLP, one("vector", "vanished", optional=True), "'vanished' has no vector in train"),
        (PICTURES, one("image", "vanished", optional=True), "'vanished' has no image in train"),
        (
            MLP,
            {"it": numeric("vanished", "size")},
            "'vanished' has no number in train: leave it out",
        ),
        (MLP, {"it": categorical("vanished")}, "'vanished' has no category in train: leave it out"),
        (MLP, {"it": numeric("endless", "size")}, "row '1-5': 'endless' is infinite"),
        (MLP, {"it": numeric("size", "spelt")}, "row '1-4': 'spelt' is 'six', which is no number"),
        (MLP, {"it": categorical("handle") | {"max_categories": 9}}, "'handle' has 24 categories"),
        (MLP, one("vector", "longer"), "row '2-2': 'longer' has 5 numbers, and 4 at training"),
        (GATED, one("vector", "undefined"), "row '1-6': 'undefined' "),
        (SEQUENTIAL, one("vector_sequence", "stepless"), "row '2-1': 'stepless' is empty"),
        (
            SEQUENTIAL,
            one("vector_sequence", "unlike"),
            "row '2-7': 'unlike' has 3 numbers in vector 1",
        ),
        (PICTURES, one("image", "cut"), "row '1-2': 'cut' is a PNG image that is cut off"),
        (PICTURES, one("image", "bomb"), "row '2-3': 'bomb' is an image of more than 67,108,864"),
        (PICTURES, one("image", "prose"), "row '1-1': 'prose' is no image that can be read"),
        (PICTURES, one("image", "no_picture"), "row '1-7': nothing in 'no_picture'"),
        (MLP, {"it": numeric("sise")}, "has no column 'sise'; did you mean 'size'?"),
        (MLP, {"it": numeric("followers")}, "refuses column 'followers' (data.inputs.it)"),
        (MLP, {"it": categorical("answer")}, "column 'answer' (data.inputs.it) is the label"),
        (GATED, {"it": numeric("size")}, "no input is a vector"),
        (MLP, {"it": text()}, "no kind 'text' goes in"),
    ],
)
def test_rows_and_columns_that_do_not_fit_the_inputs(refused, model, inputs, words):
    assert words in refused(model, inputs)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"label": "new_class"}, "row '2-4': label 'maybe' is not one of the model's 2"),
        ({"label": "new_tag", "task": "multi_label"}, "row '2-4': label 'green' is not one of"),
        ({"label": "worded", "task": "regression"}, "row '1-1': 'worded' is 'high', which is no"),
        (
            {"label": "low", "task": "regression", "log1p": True},
            "row '2-3': 'low' is -2, and log1p",
        ),
        ({"label": "boundless", "task": "regression"}, "row '1-3': 'boundless' is infinite"),
        ({"label": "topic"}, "has 3 classes in train, and a binary model has two"),
        ({"positive": "yess"}, "column 'answer' has no class 'yess'; did you mean 'yes'?"),
        ({"label": "vanished"}, "column 'vanished' has 0 class(es) in train; need two"),
        ({"task": "regresion"}, "no task 'regresion'; did you mean 'regression'?"),
        ({"label": "followers"}, "refuses column 'followers' (data.label)"),
    ],
)
def test_labels_outside_the_map(refused, data, words):
    assert words in refused(MLP, {"it": numeric("size")}, **data)


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        ({"kind": "ridgr"}, {}, "model.kind: no 'ridgr'; did you mean 'ridge'?"),
        (changed(MLP, config={"size": [8]}), {}, "model.config.size: a concat_mlp has no such"),
        (changed(MLP, config={"sizes": [-8]}), {}, "model.config (sizes=[-8]): no concat_mlp can"),
        (
            changed(MLP, config={"sizes": "many"}),
            {},
            "model.config (sizes=many): no concat_mlp can",
        ),
        (changed(MLP, freeze=["body"]), {}, "model.freeze: no group 'body'"),
        (changed(MLP, freeze=["fusion", "head", "encoder", "metadata"]), {}, "model.freeze: no"),
        (changed(MLP, loss={"name": "mse"}), {}, "mse"),
        (changed(MLP, loss={"class_weights": "balanced"}), {}, "use model.loss.pos_weight"),
        (changed(MLP, loss={"pos_weight": "balancd"}), {}, "did you mean 'balanced'?"),
        (
            changed(MLP, towers={"it": {"model": "a/b"}}),
            {},
            "model.towers: a concat_mlp model has no",
        ),
        (changed(MLP, push="adaptr"), {}, "model.push: no 'adaptr'; did you mean 'adapter'?"),
        (changed(BERT, push="adapter"), {}, "model.push: 'adapter' is for a model with adapters"),
        (changed(MLP, base="tiny/bert"), {}, "model.base: a concat_mlp model has no use for it"),
        (
            changed(RIDGE, config={"strategy": "sumpool"}),
            VIEWS,
            "no 'sumpool'; did you mean 'sum_pool'",
        ),
        (
            RIDGE,
            {**VIEWS, "training": {"num_train_epochs": 3}},
            "training.num_train_epochs: a ridge model has no Trainer; only training.seed counts",
        ),
        (RIDGE, {}, "data.task: a ridge model is for regression, not for 'binary'"),
        (
            MLP,
            {"evaluation": {"slices": ["chanel"]}},
            "no column 'chanel' (evaluation); did you mean",
        ),
        (
            {"kind": "profile"},
            {"evaluation": {"group_by": "author", "threshold_for": "f2"}},
            "evaluation.threshold_for: 'f2': a profile has a threshold for every aggregation",
        ),
        (MLP, {"evaluation": {"resamples": -1}}, "evaluation.resamples: -1 is"),
        (MLP, {"evaluation": {"resamples": 1}}, "evaluation.resamples: 1 is too few"),
        (MLP, {"training": {"lr_scheduler_type": "linaer"}}, "linaer"),
        (MLP, {"training": {"metric_for_best_model": "acuracy"}}, "'acuracy' is not a metric"),
        (FUSION, {}, "model.towers is empty: name the models to fuse"),
    ],
)
def test_a_recipe_that_no_model_can_be_made_of(refused, model, more, words):
    assert words in refused(model, {"it": numeric("size")}, **more)


@pytest.mark.parametrize(
    ("model", "inputs", "more", "words"),
    [
        (PICTURES, {"it": text()}, {}, "takes one image, not 'it' (text)"),
        (
            changed(PICTURES, scratch={"model_type": "siglip"}),
            one("image", "picture"),
            {},
            "model.scratch: give vision_config.image_size",
        ),
        (
            changed(PICTURES, scratch={**TINY_SIGLIP, "model_type": "siglipp"}),
            one("image", "picture"),
            {},
            "model.scratch: no model can be made of this config",
        ),
        (
            changed(BERT, lora={"target_modules": ["nothing"]}),
            one("text", "text"),
            {},
            "has no module 'nothing'",
        ),
        (changed(BERT, lora={"rank": 4}), one("text", "text"), {}, "model.lora: "),
        (changed(BERT, freeze=["layers.7"]), one("text", "text"), {}, "no group 'layers.7'"),
        (
            changed(BERT, freeze=["embeddings", "layers", "base", "head"]),
            one("text", "text"),
            {},
            "model.freeze: nothing is left to learn",
        ),
        (
            changed(SEQUENTIAL, config={"hidden_size": 16, "num_heads": 3}),
            one("vector_sequence", "messages"),
            {},
            "num_heads=3 does not divide hidden_size=16",
        ),
        (PROFILE, one("vector_sequence", "messages"), {}, "give evaluation.group_by=COLUMN"),
        (
            PROFILE,
            one("vector_sequence", "messages"),
            {"evaluation": {"group_by": "autor"}},
            "no column 'autor' (evaluation); did you mean 'author'",
        ),
        (
            PROFILE,
            one("vector_sequence", "messages"),
            {"evaluation": {"group_by": "nobody"}},
            "'validation': row '2-5': nothing in 'nobody' (evaluation.group_by)",
        ),
        (
            PROFILE,
            one("vector_sequence", "messages"),
            {"evaluation": {"group_by": "author"}, "label": "topic", "task": "classification"},
            "'classification' is not binary: set data.task=binary",
        ),
        (
            changed(PROFILE, config={**SMALL_SEQUENCE, "threshold": 7}),
            one("vector_sequence", "messages"),
            {"evaluation": {"group_by": "author"}},
            "model.config.threshold: '7' is no probability",
        ),
        (
            changed(RIDGE, config={"strategy": "sum_pool"}),
            {"a": vector("video"), "b": vector("wide")},
            VIEWS,
            "sum_pool needs vectors of one dimension, and 'a' has 4, 'b' has 5: use concat",
        ),
    ],
)
def test_a_model_that_its_inputs_or_options_cannot_make(refused, model, inputs, more, words):
    assert words in refused(model, inputs, **more)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (changed(RIDGE, config={"alphas": [-1.0]}), "model.config (alphas=[-1.0]): "),
        ({"kind": "gbdt", "config": {"boosting": {"max_iter": -2}}}, "max_iter"),
        ({"kind": "gbdt", "config": {"boosting": {"trees": 2}}}, "'trees'"),
        ({"kind": "gbdt", "config": {"projector": {"epoch": 2}}}, "model.config.projector.epoch"),
    ],
)
def test_what_scikit_learn_refuses_is_one_line_too(hub, bad_dataset, tmp_path, model, words):
    from hfpipe.hub.repos import api

    with pytest.raises(UserError) as caught:
        tune(hub, tmp_path, "never", bad_dataset, model, {"v": vector("video")}, **VIEWS)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not api(hub).repo_exists("local/never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_pixels_that_cannot_be_decoded_are_told_as_soon_as_they_are(
    hub, bad_dataset, tmp_path, workers
):
    """The frame is whole, so only decoding tells: while training, perhaps in another process."""
    from hfpipe.hub.repos import api

    training = {"num_train_epochs": 1, "dataloader_num_workers": workers}
    with pytest.raises(UserError) as caught:
        tune(
            hub,
            tmp_path,
            "never",
            bad_dataset,
            PICTURES,
            one("image", "spoiled"),
            training=training,
            task="binary",
        )
    line = str(caught.value)
    assert line.startswith("row '1-9': 'spoiled' is an image that cannot be decoded")
    assert "\n" not in line
    assert not api(hub).repo_exists("local/never")
