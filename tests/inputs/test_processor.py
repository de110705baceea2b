"""The processor: saved and loaded without loss, fitted on train alone, in dataset order."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from hfpipe.errors import UserError
from hfpipe.inputs.collator import Collator
from hfpipe.inputs.kinds import kind_names
from hfpipe.inputs.processor import ARRAYS_NAME, FILE_NAME, Processor, TextInput
from hfpipe.recipe import Input
from tests.inputs.support import WORDS, batch, encoded, fit, picture, rows, tools

SPECS = {
    "tweet": Input("text", ["t"], optional=True, max_length=16),
    "figures": Input("numeric", ["n", "m"], log1p=["m"]),
    "kinds": Input("categorical", ["c"]),
    "video": Input("vector", ["v"], optional=True),
    "talk": Input("vector_sequence", ["s"]),
    "photo": Input("image", ["i"], optional=True),
}


def many(count: int, seed: int = 0) -> Dataset:
    """Rows with something of every kind, each time something else missing."""
    draw = np.random.default_rng(seed)

    def maybe(value):
        return None if draw.random() < 0.3 else value

    return rows(
        t=[maybe(" ".join(draw.choice(WORDS[4:], draw.integers(1, 6)))) for _ in range(count)],
        n=[maybe(float(draw.normal())) for _ in range(count)],
        m=[float(draw.integers(0, 1000)) for _ in range(count)],
        c=[maybe(str(draw.integers(0, 5))) for _ in range(count)],
        v=[[1.0, 2.0], *(maybe(draw.normal(size=2).tolist()) for _ in range(count - 1))],
        s=[draw.normal(size=(draw.integers(1, 6), 2)).tolist() for _ in range(count)],
        i=[maybe(picture(tuple(draw.integers(0, 255, 3).tolist()))) for _ in range(count)],
        y=[str(at % 2) for at in range(count)],
    )


def same(one: dict, other: dict) -> bool:
    """Whether two batches hold the same tensors."""
    if one.keys() != other.keys():
        return False
    return all(
        same(one[key], other[key])
        if isinstance(one[key], dict)
        else one[key].dtype == other[key].dtype and torch.equal(one[key], other[key])
        for key in one
    )


def test_there_is_a_spec_of_every_kind_in_these_tests():
    assert sorted(spec.kind for spec in SPECS.values()) == kind_names()


def test_the_batch_has_the_layout_that_models_consume():
    dataset = many(5)
    processor = fit(dataset, **SPECS)
    made = batch(processor, dataset, labels=np.arange(5))
    layout = {
        name: {key: (tuple(each.shape), each.dtype) for key, each in tensors.items()}
        for name, tensors in made["inputs"].items()
    }
    tokens = layout["tweet"]["input_ids"][0][1]
    steps = layout["talk"]["values"][0][1]
    assert layout == {
        "tweet": {
            "input_ids": ((5, tokens), torch.int64),
            "attention_mask": ((5, tokens), torch.int64),
            "present": ((5,), torch.bool),
        },
        "figures": {"values": ((5, 2), torch.float32), "missing": ((5, 2), torch.float32)},
        "kinds": {"codes": ((5, 1), torch.int64)},
        "video": {"values": ((5, 2), torch.float32), "present": ((5,), torch.bool)},
        "talk": {"values": ((5, steps, 2), torch.float32), "mask": ((5, steps), torch.bool)},
        "photo": {"pixel_values": ((5, 3, 8, 8), torch.float32), "present": ((5,), torch.bool)},
    }
    assert made["labels"].tolist() == [0, 1, 2, 3, 4]
    assert made["labels"].dtype == torch.int64
    json.dumps(processor.schema())


@given(seed=st.integers(0, 1000), names=st.sets(st.sampled_from(sorted(SPECS)), min_size=1))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_what_is_saved_and_loaded_makes_the_same_tensors(tmp_path_factory, seed, names):
    folder = tmp_path_factory.mktemp("model")
    train, later = many(12, seed), many(7, seed + 1)
    specs = {name: SPECS[name] for name in sorted({*names, "talk"})}  # a talk is always there
    processor = fit(train, **specs)
    processor.save(folder)
    loaded = Processor.load(folder)
    assert loaded == processor
    assert same(batch(loaded, later), batch(processor, later))
    assert {each.name for each in folder.iterdir()} == set(processor.files())
    assert (ARRAYS_NAME in processor.files()) == ("figures" in specs)


def test_rows_keep_their_order_and_ids_whatever_was_selected():
    dataset = many(30)
    processor = fit(dataset, **SPECS)
    order = np.random.default_rng(1).permutation(30)[:17]
    whole, chosen = encoded(processor, dataset), encoded(processor, dataset.select(order))
    assert chosen["row_id"] == [dataset["row_id"][at] for at in order]
    collate = Collator(processor, tools(processor))
    here = collate(chosen.__getitems__(list(range(17))))
    there = collate(whole.__getitems__([int(at) for at in order]))
    assert same(here, there)


def test_lengths_are_tokens_and_steps_so_that_like_rows_can_share_a_batch():
    dataset = rows(t=["dog", "dog cat red"], s=[[[1.0]] * 4, [[1.0]]])
    processor = fit(dataset, t=Input("text", ["t"]), s=Input("vector_sequence", ["s"]))
    assert encoded(processor, dataset)["length"][:] == [3 + 4, 5 + 1]


def test_a_stock_model_s_batch_is_flat():
    dataset = rows(t=["dog", "dog cat"])
    processor = fit(dataset, t=Input("text", ["t"]))
    made = encoded(processor, dataset, labels=[1, 0])
    flat = Collator(processor, tools(processor), flat=True)(list(made))
    assert sorted(flat) == ["attention_mask", "input_ids", "labels"]
    several = fit(many(5), **SPECS)
    with pytest.raises(UserError, match="a stock model takes one input, and the recipe has 6"):
        Collator(several, tools(several), flat=True)


def test_an_input_without_its_tokenizer_is_named():
    dataset = rows(t=["dog", "dog cat"])
    processor = fit(dataset, tweet=Input("text", ["t"]))
    from hfpipe.inputs.encoding import encode_rows

    with pytest.raises(UserError, match="input 'tweet' needs the tokenizer of a base model"):
        encode_rows(processor, dataset, {})


def test_a_processor_of_an_earlier_hfpipe_still_loads(tmp_path):
    # As hfpipe 0.1.0 wrote it.
    state = {
        "inputs": {"text": {"columns": ["definition"], "max_length": 128, "kind": "text"}},
        "label": "subject",
        "labels": ["animal", "plant"],
    }
    (tmp_path / FILE_NAME).write_text(json.dumps(state))
    loaded = Processor.load(tmp_path)
    assert loaded.inputs == {"text": TextInput(["definition"], 128)}
    assert (loaded.label, loaded.labels) == ("subject", ["animal", "plant"])
    assert (loaded.task, loaded.target.problem_type) == (
        "classification",
        "single_label_classification",
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: state.pop("inputs"), "processor.json is not one that hfpipe wrote"),
        (lambda state: state.update(format=3), "processor.json was written by a later hfpipe"),
        (lambda state: state.update(task="guess"), "processor.json: no task 'guess'"),
        (lambda state: state["inputs"]["kinds"].update(kind="categories"), "no input kind 'categ"),
        (lambda state: state["inputs"]["kinds"].pop("vocabularies"), "the saved state of a categ"),
        (lambda state: state["inputs"]["kinds"].update(more=1), "the saved state of a categorical"),
    ],
)
def test_a_damaged_processor_is_refused(tmp_path, change, complaint):
    processor = fit(many(10), kinds=SPECS["kinds"], figures=SPECS["figures"])
    processor.save(tmp_path)
    state = json.loads((tmp_path / FILE_NAME).read_bytes())
    change(state)
    (tmp_path / FILE_NAME).write_text(json.dumps(state))
    with pytest.raises(UserError) as refused:
        Processor.load(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}: {complaint}")
    assert "\n" not in str(refused.value)


def test_lost_or_broken_arrays_are_told(tmp_path):
    processor = fit(many(10), figures=SPECS["figures"])
    processor.save(tmp_path)
    (tmp_path / ARRAYS_NAME).write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"processor\.safetensors cannot be read"):
        Processor.load(tmp_path)
    (tmp_path / ARRAYS_NAME).unlink()
    with pytest.raises(UserError, match=r"processor\.safetensors is missing, or has no 'figures"):
        Processor.load(tmp_path)
    with pytest.raises(UserError, match=r"processor\.json: No such file"):
        Processor.load(tmp_path / "nowhere")
