"""Steps from recipes and flags: what can be written, and what one clear line says otherwise."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import data_prep.steps
from data_prep.steps import Judge, Rewriter, build_steps, describe, step_class, step_names
from hfpipe.errors import UserError


def test_the_folder_is_the_registry():
    modules = Path(data_prep.steps.__file__).parent.glob("[!_]*.py")
    assert step_names() == sorted(path.stem for path in modules)
    assert {"unicode", "control_characters", "length", "language"} <= set(step_names())


@pytest.mark.parametrize("name", step_names())
def test_every_step_is_one_frozen_dataclass_that_rewrites_or_judges(name):
    (step,) = build_steps([name])
    assert dataclasses.is_dataclass(step)
    assert type(step).__name__ == name.title().replace("_", "")
    assert isinstance(step, Rewriter) != isinstance(step, Judge)
    assert hash(step) == hash(step_class(name)())
    if isinstance(step, Judge):
        assert step.reasons
        assert all(reason.isidentifier() for reason in step.reasons)


def test_no_two_steps_share_a_reason():
    reasons = [reason for step in describe() for reason in step.reasons]
    assert len(reasons) == len(set(reasons)) == 5


@pytest.mark.parametrize(
    ("flag", "recipe"),
    [
        ("length", {"length": None}),
        ("length:", "length"),
        (
            "length:min_characters=10,max_words=300",
            {"length": {"min_characters": 10, "max_words": 300}},
        ),
        (" length : min_characters = 10 , ", {"length": {"min_characters": 10}}),
        ("length:max_characters=none", {"length": {"max_characters": None}}),
        (
            "language:keep=en|fr,confidence=0.9",
            {"language": {"keep": ["en", "fr"], "confidence": 0.9}},
        ),
        ("language:keep=de", {"language": {"keep": "de"}}),
        ("language:confidence=1", {"language": {"confidence": 1}}),
        ("unicode:form=NFKC,width=True", {"unicode": {"form": "NFKC", "width": True}}),
        ("boilerplate:phrases=a b|c", {"boilerplate": {"phrases": ["a b", "c"]}}),
        ("boilerplate:phrases=", {"boilerplate": {"phrases": []}}),
    ],
)
def test_a_flag_and_a_recipe_say_the_same(flag, recipe):
    assert build_steps([flag]) == build_steps([recipe])


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["lenght"], "no cleaning step 'lenght'; did you mean 'length'?"),
        ([{"lenght": {}}], "no cleaning step 'lenght'; did you mean 'length'?"),
        ([""], "no cleaning step ''; there is 'boilerplate', 'control_characters'"),
        (["../length"], "no cleaning step '../length'; did you mean 'length'?"),
        (["_specs"], "no cleaning step '_specs'; there is"),
        (
            ["length:min_character=3"],
            "'length' has no option 'min_character'; did you mean 'min_char",
        ),
        ([{"length": {"min": 3}}], "step 'length' has no option 'min'; there is 'min_characters'"),
        (["length:reasons=3"], "step 'length' has no option 'reasons'"),
        (["length:10"], "step 'length': '10' is not an option with a value"),
        (["length:min_words=1,min_words=2"], "step 'length': option 'min_words' is given twice"),
        (["length:min_words=ten"], "step 'length': min_words: 'ten' is not a whole number"),
        (["length:max_words=1.5"], "max_words: '1.5' is not a whole number or none"),
        ([{"length": {"min_words": "10"}}], "step 'length': min_words: '10' is not a whole number"),
        (
            [{"length": {"min_words": True}}],
            "step 'length': min_words: 'True' is not a whole number",
        ),
        ([{"length": {"min_words": None}}], "min_words: 'None' is not a whole number"),
        (["length:min_words=5,max_words=4"], "step 'length': max_words 4 is below min_words 5"),
        (["length:min_words=-1"], "step 'length': min_words -1 is below 0"),
        (["unicode:form=NFX"], "form: 'NFX' is not 'NFC' or 'NFKC' or 'NFD' or 'NFKD'"),
        (["unicode:width=yes"], "step 'unicode': width: 'yes' is not true or false"),
        ([{"language": {"keep": [False]}}], "keep: '[False]' is not a list of texts"),
        (["language:keep=en|xx"], "step 'language': no language 'xx'"),
        (["language:keep="], "step 'language': keep names no language"),
        (["language:confidence=0.3"], "confidence 0.3 is not between 0.5 and 1"),
        ([{"boilerplate": {"patterns": ["("]}}], "step 'boilerplate': patterns: '(' is no regular"),
        ([{"boilerplate": {"phrases": [" "]}}], "step 'boilerplate': phrases: an empty one"),
        (["repetition:top_2=20"], "step 'repetition': top_2 20 is not between 0 and 1"),
        (["repetition:run=0.2"], "step 'repetition': run 0.2 is not between 0.5 and 1"),
        (["repetition:min_words=0"], "step 'repetition': min_words 0 is below 1"),
        (
            ["length", "length:min_words=2"],
            "step 'length' is named twice: give all its options once",
        ),
        ([{"length": {}, "mask": {}}], "is not one step; write a name"),
        ([{}], "steps: '{}' is not one step; write a name"),
        ([3], "steps: '3' is not one step"),
        ([None], "steps: 'None' is not one step"),
        ([{"length": [1]}], "step 'length': '[1]' is no mapping of options"),
        ("length", "steps: give a list of steps"),
        ({"length": {}}, "steps: give a list of steps"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(specs, message):
    with pytest.raises(UserError) as caught:
        build_steps(specs)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_rewriting_step_may_come_again_after_another():
    names = [type(step).__name__ for step in build_steps(["whitespace", "html", "whitespace"])]
    assert names == ["Whitespace", "Html", "Whitespace"]


def test_every_step_and_option_is_described():
    described = {step.name: step for step in describe()}
    assert list(described) == step_names()
    for name, step in described.items():
        assert step.help.endswith("."), name
        assert step.rewrites == (not step.reasons)
        for option in step.options:
            assert option.help.endswith((".", ").")), (name, option)
            assert option.kind
    (first, *_) = described["length"].options
    assert (first.name, first.kind, first.default) == ("min_characters", "a whole number", 1)
    assert described["language"].options[0].default == ("en",)
    assert [option.shown for option in described["length"].options] == ["1", "100000", "0", "none"]
    assert described["mask"].help == "Put <url>, <email>, <phone> and <user> for what they name."
