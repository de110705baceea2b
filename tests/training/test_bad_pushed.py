"""Models that were pushed, asked about bad rows, damaged, or taken for towers they cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hfpipe.errors import UserError
from tests.toys import push_rows
from tests.training.broken import (
    CUT,
    FUSION,
    SHORT,
    bomb,
    broken,
    changed,
    image,
    one,
)
from tests.training.support import numeric, picture, rows, text, tune, vector


def test_missing_numbers_are_learnt_and_predicted_with(pushed):
    """NaN counts as missing, from train on; so does a whole batch without an optional input."""
    given = [{"size": np.nan, "gappy": None, "channel": "a", "video": None} for _ in range(3)]
    said = pushed.load("mixed").predict(given)
    assert len(said) == 3
    assert all(0 < row["score"] < 1 for row in said)
    # Never seen, and nothing at all, are the same to the model.
    unseen = [{**given[0], "size": 1.0, "channel": name} for name in ("unheard of", None)]
    first, second = (row["score"] for row in pushed.load("mixed").predict(unseen))
    assert first == second


GOOD = {"size": 0.5, "gappy": 1.0, "channel": "a", "video": [0.0] * 4}


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("mixed", dict.fromkeys(GOOD), "row '1': every input is missing (size, gappy, channel"),
        ("mixed", {**GOOD, "size": np.inf}, "row '1': 'size' is infinite"),
        ("mixed", {**GOOD, "size": "tall"}, "row '1': 'size' is 'tall', and the rows before it"),
        (
            "mixed",
            {**GOOD, "video": [0.0] * 5},
            "row '1': 'video' has 5 numbers, and 4 at training",
        ),
        ("mixed", {**GOOD, "video": [0.0, np.nan, 0, 0]}, "row '1': 'video' "),
        ("mixed", {**GOOD, "video": "none"}, "row '1': 'video' is 'none', and the rows before it"),
        ("pictures", {"picture": CUT}, "row '1': 'picture' is a PNG image that is cut off"),
        ("pictures", {"picture": bomb()}, "row '1': 'picture' is an image of more than 67,108,864"),
        (
            "pictures",
            {"picture": bomb(20, 20)},
            "row '1': 'picture' is an image that cannot be decod",
        ),
        ("pictures", {"picture": None}, "row '1': nothing in 'picture'"),
        ("profile", {"messages": [], "author": "a"}, "row '1': 'messages' is empty"),
        (
            "profile",
            {"messages": [[0.0] * 3], "author": "a"},
            "row '1': 'messages' has 3 numbers in",
        ),
        ("profile", {"messages": [[0.0] * 4], "author": None}, "row '1': nothing in 'author'"),
    ],
)
def test_a_bad_row_at_predict_is_named(pushed, name, given, words):
    good = {
        "mixed": GOOD,
        "pictures": {"picture": rows(1, 1)[0]["picture"]["bytes"]},
        "profile": {"messages": [[0.0] * 4], "author": "a"},
    }
    with pytest.raises(UserError) as caught:
        pushed.load(name).predict([good[name], given])
    assert str(caught.value).removeprefix("rows: ").startswith(words)
    assert "\n" not in str(caught.value)


def test_a_bad_row_of_a_data_frame_is_named_by_its_id(pushed):
    given = [{"row_id": f"r{at}", **GOOD} for at in range(5)]
    given[3]["size"] = "tall"
    with pytest.raises(UserError) as caught:
        pushed.load("mixed").predict(pd.DataFrame(given))
    line = "rows: row 'r3': 'size' is 'tall', and the rows before it hold values of another type"
    assert str(caught.value) == line
    # Keys that the first row lacks are not lost.
    partly = [{"messages": [[0.0] * 4]}, {"messages": [[0.0] * 4], "author": "b"}]
    with pytest.raises(UserError, match="row '0': nothing in 'author'"):
        pushed.load("profile").predict(partly)


def test_a_column_that_predict_lacks_is_named(pushed):
    with pytest.raises(UserError, match="rows has no column 'channel'; did you mean 'chanel'"):
        pushed.load("mixed").predict([{"size": 1.0, "gappy": 1.0, "chanel": "a", "video": None}])
    with pytest.raises(UserError, match="no column 'author'"):
        pushed.load("profile").predict([{"messages": [[0.0] * 4]}])


@pytest.fixture(scope="module")
def others(hub) -> str:
    """Splits with rows unlike those of training, and good ones in which a category is new."""
    found = {
        "unseen": {"channel": ["zzz", "a", "zzz"] + ["b"] * 5},
        "dims": {"video": [[0.0] * 4, [0.0] * 5]},
        "classes": {"answer": ["yes", "perhaps"]},
        "endless": {"size": [1.0, np.inf]},
        "cut": {"picture": [picture("no", np.random.default_rng(1)), image(CUT)]},
        "steps": {"messages": [[[0.0] * 4], []]},
        "words": {"views": [1.0, -2.0]},
    }
    splits = {}
    for split, columns in found.items():
        count = len(next(iter(columns.values())))
        splits[split] = broken(split, count, 9)
        for row in splits[split]:
            row.pop("tags")  # of two rows, both may have none, and a type that no other has
        for column, values in columns.items():
            for row, value in zip(splits[split], values, strict=True):
                row[column] = value
    return push_rows(hub, "local/others-of-all-kinds", **splits)


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("mixed", "dims", "split 'dims': row '9-1': 'video' has 5 numbers, and 4 at training"),
        (
            "mixed",
            "classes",
            "row '9-1': label 'perhaps' is not one of the model's 2; there is 'no'",
        ),
        ("mixed", "endless", "split 'endless': row '9-1': 'size' is infinite"),
        ("mixed", "unsen", "has no split 'unsen'; did you mean 'unseen'?"),
        ("pictures", "cut", "row '9-1': 'picture' is a PNG image that is cut off"),
        ("profile", "steps", "row '9-1': 'messages' is empty"),
        ("ridge", "words", "row '9-1': 'views' is -2, and log1p needs more than -1"),
    ],
)
def test_a_bad_row_of_another_dataset_is_named_and_nothing_written(
    hub, pushed, others, tmp_path, name, split, words
):
    from hfpipe.evaluating import EvaluateOptions, evaluate

    options = EvaluateOptions(dataset=others, split=split, out=tmp_path / "out", quiet=True)
    with pytest.raises(UserError) as caught:
        evaluate(f"local/bad-{name}", hub, options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_categories_that_train_did_not_have_are_scored_and_told(
    hub, pushed, others, bad_dataset, tmp_path, capsys
):
    from hfpipe.cli.console import show_evaluated
    from hfpipe.evaluating import EvaluateOptions, evaluate

    found = {}
    for name, split in ((others, "unseen"), (bad_dataset, "test")):
        options = EvaluateOptions(dataset=name, split=split, out=tmp_path / split, quiet=True)
        found[split] = evaluate("local/bad-mixed", hub, options)
    (note,) = found["unseen"].notes
    assert note.startswith("'channel': 2 of 8 rows have a category that train did not have")
    assert found["unseen"].record.n == 8
    assert found["test"].notes == []
    show_evaluated(found["unseen"])
    assert f"note: {note}" in capsys.readouterr().out


def towers(**models: Any) -> dict[str, Any]:
    named = {
        name: {"model": each} if isinstance(each, str) else each for name, each in models.items()
    }
    return changed(FUSION, towers=named)


@pytest.mark.parametrize(
    ("model", "inputs", "words"),
    [
        (towers(it="local/broken"), None, "is a dataset repo: a model repo is needed"),
        (towers(it="local/nothing"), None, "model repo 'local/nothing' on"),
        (towers(it="local/bad-words@v9"), None, "has no revision 'v9'"),
        (towers(it="local/bad-ridge"), None, "is a ridge model: it has no vector to fuse"),
        (towers(it="local/empty"), {"it": text()}, "'local/empty' holds no tokenizer"),
        (
            towers(it="local/empty"),
            {"it": vector("video")},
            "'local/empty' is no model that can be",
        ),
        (towers(it="tiny/bert"), None, "so data.inputs.it must say what it reads"),
        (towers(it="tiny/bert"), one("image", "picture"), "'tiny/bert' holds no image processor"),
        (
            towers(it="tiny/bert"),
            {"it": vector("video")},
            "its input is a vector, but a bert model",
        ),
        (towers(it={"model": "tiny/bert", "pool": "men"}), {"it": text()}, "did you mean 'mean'?"),
        (
            towers(it="local/bad-words"),
            one("image", "picture"),
            "data.inputs.it: tower 'it' ('local/bad-words') was fitted with text, not image",
        ),
        (
            towers(it="local/bad-words"),
            {"it": text("note")},
            "was fitted with text: leave it out, or name these columns",
        ),
        (
            towers(a="local/bad-about", b="local/bad-again"),
            None,
            "'local/bad-again' was fitted with another input 'numbers' than the tower before it",
        ),
        (
            towers(it={"model": "local/bad-words", "lora": {"target_modules": ["nothing"]}}),
            None,
            "tower 'it': lora: ",
        ),
        (
            changed(towers(it="local/bad-words"), freeze=["towers", "fusion", "head"]),
            None,
            "model.freeze: nothing is left to learn",
        ),
        (towers(it="local/bad-words"), {"more": numeric("size")}, "no tower takes input 'more'"),
    ],
)
def test_towers_that_cannot_be_fused(pushed, refused, model, inputs, words):
    assert words in refused(model, inputs)


def test_a_tower_s_vectors_are_those_it_was_trained_with(hub, pushed, refused):
    wide = [{**row, "video": row["wide"]} for row in broken("train", 6, 1)]
    push_rows(hub, "local/wide", train=wide, validation=wide)
    line = refused(towers(it="local/bad-mixed"), dataset="local/wide")
    assert (
        "'local/wide', split 'train': row '1-0': 'video' has 5 numbers, and 4 at training" in line
    )


def test_a_fusion_outlives_the_repos_of_its_towers(hub, pushed, bad_dataset, tmp_path):
    from hfpipe.evaluating import EvaluateOptions, evaluate
    from hfpipe.hub.repos import api
    from hfpipe.loading import load_pushed

    own = pushed.damaged("words", "README.md", b"a copy to delete")
    model = towers(words=own, about="local/bad-about")
    fused = tune(hub, tmp_path, "outlives", bad_dataset, model, training=SHORT, task="binary")
    options = EvaluateOptions(out=tmp_path / "before", quiet=True)
    before = evaluate("local/outlives", hub, options).record
    api(hub).delete_repo(own)
    options = EvaluateOptions(out=tmp_path / "after", quiet=True)
    after = evaluate("local/outlives", hub, options).record
    assert after.metrics == before.metrics
    assert after.n == 12
    assert fused.record.split == "validation"
    row = {"text": "a song", "size": 1.0, "gappy": None, "channel": "a"}
    assert 0 < load_pushed(hub, "local/outlives").predict([row])[0]["score"] < 1


@pytest.mark.parametrize(
    ("name", "path", "content", "words"),
    [
        ("mixed", "processor.json", b"{", "processor.json or processor.safetensors cannot be read"),
        ("mixed", "processor.json", b"[]", "processor.json is not one that hfpipe wrote"),
        ("mixed", "processor.json", b'{"inputs": {"a": 3}}', "input 'a' has no columns"),
        ("mixed", "processor.safetensors", None, "processor.safetensors is missing"),
        ("mixed", "processor.safetensors", b"x", "cannot be read"),
        ("mixed", "hfpipe/run.json", b"{,}", "hfpipe/run.json is not valid JSON"),
        ("mixed", "hfpipe/run.json", b"[1]", "hfpipe/run.json is damaged"),
        ("mixed", "hfpipe/run.json", b'{"config": {"model": {"kind": "mpl"}}}', "no 'mpl'"),
        ("mixed", "config.json", b"{", "holds no model that transformers can load"),
        ("mixed", "config.json", b'{"model_type": "what"}', "holds no model that"),
        (
            "mixed",
            "config.json",
            b'{"model_type": "hfpipe-concat-mlp", "inputs": 3}',
            "holds no mod",
        ),
        ("mixed", "config.json", b'{"model_type": "hfpipe-concat-mlp"}', "no inputs"),
        ("mixed", "model.safetensors", b"cut off", "holds no model that transformers can load"),
        ("mixed", "model.safetensors", None, "holds no model that transformers can load"),
        ("words", "config.json", b'{"model_type": "bert", "hidden_size": "x"}', "holds no model"),
        ("words", "model.safetensors", b"cut off", "holds no model that transformers can load"),
        ("words", "tokenizer.json", b"{", "holds no tokenizer that transformers can load"),
        ("pictures", "preprocessor_config.json", b"{", "holds no image processor"),
        ("ridge", "tabular.skops", b"cut off", "tabular.skops is no skops file that loads here"),
        ("ridge", "tabular.skops", None, "tabular.skops: no such file"),
        ("ridge", "tabular.json", b"{", "tabular.json: not a tabular model of this version"),
        ("ridge", "tabular.json", None, "tabular.json: cannot be read"),
    ],
)
def test_a_damaged_repo_is_told_in_one_line(hub, pushed, name, path, content, words):
    from hfpipe.loading import load_pushed

    repo = pushed.damaged(name, path, content)
    with pytest.raises(UserError) as caught:
        load_pushed(hub, repo)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "/tmp/tmp" not in str(caught.value)


def strange() -> bytes:
    """A skops file with a type that nobody lists."""
    from fractions import Fraction

    from skops import io

    return io.dumps({"estimator": Fraction(1, 2)})


def test_a_type_that_is_not_trusted_is_named_and_not_built(hub, pushed):
    from hfpipe.loading import load_pushed

    repo = pushed.damaged("ridge", "tabular.skops", strange())
    with pytest.raises(
        UserError, match=r"^model repo 'local/bad-ridge-.*': tabular.skops holds "
    ) as e:
        load_pushed(hub, repo)
    assert "fractions.Fraction" in str(e.value)
    assert "\n" not in str(e.value)
