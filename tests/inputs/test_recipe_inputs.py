"""A recipe's inputs against a dataset: what cannot work is refused in one line, early."""

from __future__ import annotations

import pytest

from hfpipe.errors import UserError
from hfpipe.inputs.fitting import check_recipe, fit_processor
from hfpipe.recipe import Data, Input, load_recipe
from tests.inputs.support import rows

PREPARED = {"text": ["text"], "label": "label", "leakage_columns": ["followers", "stars"]}
TRAIN = rows(text=["a", "b"], label=["x", "y"], age=[1, 2], size=[3, 4])


def fitted(data: Data, prepared: dict | None = PREPARED):
    return fit_processor(TRAIN, data, prepared, "dataset repo 'ns/accounts'")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (
            Data(inputs={"meta": Input("numeric", ["age", "followers"])}),
            "dataset repo 'ns/accounts' refuses column 'followers' (data.inputs.meta): it is one "
            "of its leakage columns, which tell the answer",
        ),
        (
            Data(label="stars"),
            "dataset repo 'ns/accounts' refuses column 'stars' (data.label): it is one of its "
            "leakage columns, which tell the answer",
        ),
        (
            Data(inputs={"meta": Input("categorical", ["label"])}),
            "column 'label' (data.inputs.meta) is the label: a model that is shown the answer "
            "learns nothing else; name another column",
        ),
        (
            Data(inputs={"meta": Input("numeric", ["agee"])}),
            "dataset repo 'ns/accounts' has no column 'agee'; did you mean 'age'?",
        ),
        (
            Data(label="lable"),
            "dataset repo 'ns/accounts' has no column 'lable'; did you mean 'label'?",
        ),
        (
            Data(inputs={"meta": Input("number", ["age"])}),
            "data.inputs.meta.kind: 'number'; did you mean 'numeric'?",
        ),
        (
            Data(inputs={"meta": Input("numeric")}),
            "data.inputs.meta.columns: which columns is this numeric input made of? give "
            "data.inputs.meta.columns=[COLUMN]",
        ),
        (
            Data(inputs={"meta": Input("numeric", ["age"], max_categories=3)}),
            "data.inputs.meta.max_categories is no option of a numeric input; there is 'log1p'",
        ),
        (
            Data(inputs={"meta": Input("numeric", ["age", "size", "age"])}),
            "data.inputs.meta.columns: 'age' stands there twice",
        ),
        (Data(inputs={}), "data.inputs is empty: name at least one input"),
    ],
)
def test_inputs_that_cannot_work_are_refused_in_one_line(data, complaint):
    with pytest.raises(UserError) as refused:
        fitted(data)
    assert str(refused.value) == complaint


def test_leaks_are_refused_without_a_look_at_the_rows():
    leaking = Data(inputs={"meta": Input("numeric", ["followers"])})
    with pytest.raises(UserError, match="refuses column 'followers'"):
        check_recipe(leaking, PREPARED, "dataset repo 'ns/accounts'")
    check_recipe(Data(inputs={"meta": Input("numeric", ["age"])}), PREPARED, "the data")


def test_columns_that_the_recipe_leaves_open_are_those_of_preparation():
    processor = fitted(Data())
    assert processor.columns == ["text"]
    assert (processor.label, processor.labels) == ("label", ["x", "y"])


def test_the_task_is_what_the_dataset_was_prepared_for_unless_it_is_said():
    prepared = {**PREPARED, "label": "age", "task": "regression"}
    assert fitted(Data(), prepared).target.problem_type == "regression"
    said = fit_processor(TRAIN, Data(label="age", task="binary", positive="1"), prepared, "x")
    assert said.labels == ["2", "1"]


def test_options_of_kinds_are_read_from_yaml(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "data:\n"
        "  label: y\n"
        "  inputs:\n"
        "    a: {kind: numeric, columns: [n, m], log1p: [n]}\n"
        "    b: {kind: numeric, columns: [n], log1p: true}\n"
        "    c: {kind: categorical, columns: [c], max_categories: 5}\n"
        "    d: {kind: vector_sequence, columns: [s], max_steps: 9}\n"
        "    e: {kind: image, columns: [i], augment: [horizontal_flip], optional: true}\n"
    )
    inputs = load_recipe(str(tmp_path / "mine.yaml")).data.inputs
    assert (inputs["a"].log1p, inputs["b"].log1p) == (["n"], True)
    assert (inputs["c"].max_categories, inputs["d"].max_steps) == (5, 9)
    assert (inputs["e"].augment, inputs["e"].optional) == (["horizontal_flip"], True)
    check_recipe(load_recipe(str(tmp_path / "mine.yaml")).data, {}, "the data")
