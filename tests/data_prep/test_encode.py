"""Encoding: each text gets the vector that the model gives to it alone, whatever stands around."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data_prep.encode import EncodeOptions, Encoder, encode_flag, encode_options
from hfpipe.errors import UserError

TEXTS = ["a cat", "", "a much longer text about cats and dogs and birds", None, "a cat", "Ünïcode"]
DIM = 32


@pytest.fixture(scope="module")
def folder(tiny_bert, hub, tmp_path_factory):
    """The tiny BERT as a folder."""
    from huggingface_hub import snapshot_download

    place = tmp_path_factory.mktemp("models") / "tiny"
    return Path(snapshot_download(tiny_bert, local_dir=place))


@pytest.fixture(scope="module")
def alone(folder):
    """What the model gives for one text, with nothing but transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def vector(text, max_length=128, pooling="mean"):
        inputs = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state[0]
        return (states.mean(0) if pooling == "mean" else states[0]).numpy()

    return vector


def encode(folder, column, **options):
    options = EncodeOptions(column="text", model=str(folder), **options)
    told = []
    table = pa.table({"text": column})
    result, dropped = Encoder(options).encode(table, None, told.append)
    assert sum(told) == table.num_rows
    assert min(told, default=0) >= 0
    assert result.drop_columns([options.name]).equals(table)
    return result.column(options.name), {key: rows.tolist() for key, rows in dropped.items()}


@pytest.mark.parametrize(("batch_size", "pooling"), [(1, "mean"), (2, "cls"), (64, "mean")])
def test_a_text_has_the_same_vector_in_any_batch(folder, alone, batch_size, pooling):
    column, dropped = encode(folder, TEXTS, batch_size=batch_size, pooling=pooling)
    assert column.type == pa.list_(pa.float32(), DIM)
    assert dropped == {}
    for text, vector in zip(TEXTS, column.to_pylist(), strict=True):
        if not text:
            assert vector is None
        else:
            np.testing.assert_allclose(vector, alone(text, pooling=pooling), atol=1e-5)


def test_lists_of_messages_become_sequences_in_their_order(folder, alone):
    lists = [["a cat", "a dog"], [], None, ["birds fly", None, "a cat"], [None, " "]]
    objects = [
        messages and [{"text": text, "author": "x"} for text in messages] for messages in lists
    ]
    for rows, field in ((lists, None), (objects, None), (objects, "text")):
        column, dropped = encode(folder, rows, field=field)
        assert column.type == pa.list_(pa.list_(pa.float32(), DIM))
        assert dropped == {"empty_sequence": [1, 2, 4]}
        for messages, vectors in zip(lists, column.to_pylist(), strict=True):
            assert len(vectors) == len(messages or [])
            for text, vector in zip(messages or [], vectors, strict=True):
                expected = alone(text) if text and text.strip() else np.zeros(DIM)
                np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_max_steps_takes_the_first_messages_and_max_length_the_first_tokens(folder, alone):
    lists = [["a cat", "a dog", "a bird"], ["a fish"]]
    column, _ = encode(folder, lists, max_steps=2, max_length=3)
    assert [len(vectors) for vectors in column.to_pylist()] == [2, 1]
    np.testing.assert_allclose(column[0].as_py()[1], alone("a dog", max_length=3), atol=1e-5)


def test_normalised_vectors_have_length_one(folder, alone):
    column, _ = encode(folder, ["a cat", "a dog"], normalise=True)
    for text, vector in zip(["a cat", "a dog"], column.to_pylist(), strict=True):
        expected = alone(text)
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)


def test_a_text_that_stands_on_many_rows_is_encoded_once(folder, monkeypatch):
    encoder = Encoder(EncodeOptions(column="text", model=str(folder)))
    run: list[int] = []
    pooled = encoder._model.pooled
    monkeypatch.setattr(
        encoder._model, "pooled", lambda tokens, how: run.append(len(tokens)) or pooled(tokens, how)
    )
    table, _ = encoder.encode(pa.table({"text": ["a cat", "a dog", "a cat"] * 100}))
    assert sum(run) == 2
    vectors = table.column("vectors").to_pylist()
    assert vectors[0] == vectors[2] != vectors[1]


def test_no_rows_and_rows_without_any_text(folder):
    column, dropped = encode(folder, pa.array([], pa.string()))
    assert (len(column), dropped) == (0, {})
    column, dropped = encode(folder, pa.array([None, ""], pa.string()))
    assert column.null_count == 2
    column, dropped = encode(folder, pa.array([[]], pa.list_(pa.string())))
    assert dropped == {"empty_sequence": [0]}


def test_the_hub_s_model_gives_what_its_folder_gives_and_its_commit_is_recorded(
    folder, tiny_bert, hub
):
    from huggingface_hub import HfApi

    table = pa.table({"messages": [[{"body": "a cat"}]]})
    block = {"column": "messages", "model": f"{tiny_bert}@main", "field": "body", "name": "steps"}
    encoder = Encoder(encode_options(block), hub)
    local = Encoder(encode_options({**block, "model": str(folder)}))
    assert encoder.encode(table)[0].equals(local.encode(table)[0])
    assert encoder.provenance == {
        "column": "messages",
        "name": "steps",
        "field": "body",
        "model": tiny_bert,
        "revision": HfApi().model_info(tiny_bert).sha,
        "pooling": "mean",
        "normalise": False,
        "max_length": 128,
        "max_steps": None,
        "dim": DIM,
    }
    assert local.provenance["model"] == "tiny"
    assert len(local.provenance["sha256"]) == 64


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ([1.5], {"column": "txt"}, "no column 'txt' (prepare.encode.column); did you mean 'text'?"),
        (["a"], {"name": "text"}, "there is a column 'text' already"),
        ([[{"body": "a"}]], {}, "objects without 'text' (prepare.encode.field); there is 'body'"),
        ([[{"body": "a"}]], {"field": "bdy"}, "did you mean 'body'?"),
        ([["a"]], {"field": "text"}, "holds texts, not objects: leave field out"),
        ([[["a"]]], {}, "(prepare.encode.column) holds list<"),
        ([b"a"], {}, "holds binary: texts, lists of texts"),
    ],
)
def test_a_column_that_cannot_be_encoded_is_one_clear_line(folder, column, options, message):
    encoder = Encoder(EncodeOptions(**{"column": "text", "model": str(folder), **options}))
    with pytest.raises(UserError) as raised:
        encoder.encode(pa.table({"text": column}))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_model_that_gives_nan_is_named_with_the_row(folder):
    import torch

    encoder = Encoder(EncodeOptions(column="text", model=str(folder)))
    with torch.no_grad():
        encoder._model._model.embeddings.word_embeddings.weight.fill_(float("nan"))
    for column in ([None, "a cat"], [[], ["a cat"]]):
        with pytest.raises(UserError, match="gives NaN or infinity for 'text' of row 'ada'"):
            encoder.encode(pa.table({"text": column}), ["bob", "ada"])


def test_models_that_cannot_encode_are_one_clear_line(folder, hub, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    empty = tmp_path / "empty"
    empty.mkdir()
    for model, endpoint, message in (
        (str(broken), None, "holds no text encoder that transformers can load"),
        (str(empty), None, "holds no text encoder that transformers can load"),
        ("tiny/brt", hub, "'tiny/brt' on http"),
        ("tiny/bert@v9", hub, "has no revision 'v9'"),
        ("tiny/bert", None, "'tiny/bert' is no folder, and no Hub is given: --hub"),
    ):
        with pytest.raises(UserError) as raised:
            Encoder(EncodeOptions(column="text", model=model), endpoint)
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="reads at most 512 tokens"):
        Encoder(EncodeOptions(column="text", model=str(folder), max_length=600))
    with pytest.raises(UserError, match="is a folder, which has none"):
        Encoder(EncodeOptions(column="text", model=str(folder), revision="main"))


def test_a_model_of_images_is_no_text_encoder(folder, tmp_path):
    from transformers import AutoTokenizer, ViTConfig, ViTModel

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    ViTModel(ViTConfig(**small, intermediate_size=8, image_size=16)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="it does not take text alone"):
        Encoder(EncodeOptions(column="text", model=str(tmp_path), max_length=8))


def test_weights_that_are_not_there_are_never_made_up(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    half = tmp_path / "half"
    shutil.copytree(folder, half)
    weights = load_file(half / "model.safetensors")
    weights = {name: each for name, each in weights.items() if "layer.1." not in name}
    save_file(weights, half / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"its weights lack encoder\.layer\.1\."):
        Encoder(EncodeOptions(column="text", model=str(half)))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"model": "a/b"}, "prepare.encode: 'column' is missing"),
        ({"column": "x"}, "prepare.encode: 'model' is missing"),
        ({"column": "x", "model": "a/b", "poolin": "cls"}, "did you mean 'pooling'?"),
        ({"column": "x", "model": "a/b", "pooling": "man"}, "did you mean 'mean'?"),
        ({"column": "x", "model": "a/b", "max_length": 0}, "max_length: 0: give 1 or more"),
        ({"column": "x", "model": "a/b", "max_steps": "many"}, "'many' is not a whole number"),
        ({"column": "x", "model": "a/b", "normalise": "perhaps"}, "is not true or false"),
        ({"column": "x", "model": "a/b", "name": "x"}, "is the column that is encoded"),
    ],
)
def test_wrong_options_are_named(block, message):
    with pytest.raises(UserError) as raised:
        encode_options(block)
    assert message in str(raised.value)


def test_the_flag_names_the_column_and_perhaps_the_new_one():
    assert encode_flag("messages=steps") == {"column": "messages", "name": "steps"}
    for wrong in ("", "=steps", "messages="):
        with pytest.raises(UserError, match="write COLUMN or COLUMN=NEW_COLUMN"):
            encode_flag(wrong)
