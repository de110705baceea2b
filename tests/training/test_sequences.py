"""The Python names of the sequence package: a toy task, the best epoch, refusals, one pass."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from hfpipe import sequences as api
from hfpipe.errors import UserError
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.aggregation import AGGREGATIONS, compare_aggregations
from hfpipe.metrics.tasks import Binary
from hfpipe.models.profile import ProfileModel
from hfpipe.models.sequence import SequenceModel

DIM = 6


def rows_of(groups: int, seed: int, flip: bool = False) -> list[tuple]:
    """Four sequences a group; the last step of a positive group's points up, else down."""
    random = np.random.default_rng(seed)
    rows = []
    for group in range(groups):
        label = group % 2
        for _ in range(4):
            vectors = random.normal(0, 1, (int(random.integers(1, 6)), DIM))
            vectors[-1] += 2 * label - 1
            rows.append((vectors, 1 - label if flip else label, f"group {group}"))
    return rows


def small(seed: int = 0) -> SequenceModel:
    torch.manual_seed(seed)
    return api.SequenceClassifier(DIM, 16, 1, 2, 0.1, (3,))


def trained(train: list[tuple], **options) -> api.TrainResult:
    chosen = {"num_epochs": 4, "learning_rate": 5e-3, "batch_size": 32, "quiet": True, **options}
    return api.train_model(small(), train, rows_of(20, seed=2), **chosen)


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> api.TrainResult:
    return trained(rows_of(50, seed=1), out=tmp_path_factory.mktemp("sequences") / "model")


def probabilities(model: SequenceModel, rows: list[tuple]) -> np.ndarray:
    """One row at a time, so without padding, through the model itself."""
    found = []
    for vectors, *_ in rows:
        values = torch.tensor(vectors, dtype=torch.float32)[None]
        batch = {"sequence": {"values": values, "mask": torch.ones(values.shape[:2]).bool()}}
        with torch.no_grad():
            found.append(model(batch).logits.sigmoid().item())
    return np.array(found)


def test_the_defaults_are_the_documented_ones():
    model = api.SequenceClassifier()
    assert isinstance(model, SequenceModel)
    config = model.config
    assert config.inputs == {"sequence": {"kind": "vector_sequence", "dim": 256}}
    assert (config.hidden_size, config.num_layers, config.num_heads) == (256, 2, 8)
    assert (config.dropout, config.kernel_sizes, config.feedforward_size) == (0.3, [3, 5, 7], 1024)
    profile = api.ProfileClassifier(small())
    assert isinstance(profile, ProfileModel)
    assert (profile.config.threshold, profile.config.aggregation) == (0.5, "mean")
    assert api.test_model.__test__ is False


def test_learns_a_toy_task(result):
    test = rows_of(50, seed=3)
    before = api.test_model(small(), test)
    found = api.test_model(result.model, test, result.threshold)
    assert before["roc_auc"] < 0.7
    assert found["roc_auc"] > 0.9
    assert len(result.history) == 4
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    expected = Binary().metrics([each[1] for each in test], probabilities(result.model, test))
    assert api.test_model(result.model, test) == pytest.approx(expected | {"threshold": 0.5})


def test_a_seed_gives_the_same_run_again(result):
    again = trained(rows_of(50, seed=1), num_epochs=2)
    assert again.history == result.history[:2]
    other = trained(rows_of(50, seed=1), num_epochs=1, seed=7)
    assert other.history[0]["loss"] != result.history[0]["loss"]


def test_the_weights_of_the_best_epoch_come_back_and_the_rate_falls_on_a_plateau(result):
    """A good model learns the opposite of what validation asks: the first epochs are the best."""
    opposite, validation = rows_of(50, seed=1, flip=True), rows_of(20, seed=2)
    options = {"num_epochs": 6, "learning_rate": 3e-3, "batch_size": 32, "patience": 2}
    worse = api.train_model(deepcopy(result.model), opposite, validation, quiet=True, **options)
    curve = [row["f1"] for row in worse.history]
    assert worse.metrics["f1"] == max(curve) > curve[-1] + 0.1
    assert worse.metrics["roc_auc"] > 0.9 > 0.5 > worse.history[-1]["roc_auc"]
    again = api.test_model(worse.model, validation, worse.threshold)
    assert again == pytest.approx(worse.metrics)
    rates = [row["learning_rate"] for row in worse.history]
    assert (rates[0], rates[-1]) == (3e-3, 1.5e-3)


def test_what_was_saved_loads_with_its_processor(result):
    test = rows_of(10, seed=4)
    expected = probabilities(result.model, test)
    loaded = AutoModel.from_pretrained(result.folder).eval()
    np.testing.assert_allclose(probabilities(loaded, test), expected, atol=1e-6)
    assert api.test_model(result.folder, test) == api.test_model(result.model, test)
    assert Processor.load(result.folder).schema() == loaded.config.inputs
    profile = api.ProfileClassifier(result.folder, 0.4, "total_vote")
    np.testing.assert_allclose(probabilities(profile.sequence.eval(), test), expected, atol=1e-6)


def test_four_aggregations_of_one_pass(result):
    test = rows_of(30, seed=5)
    model = api.ProfileClassifier(result.model, threshold=0.3, aggregation="median")
    seen: list[int] = []
    hook = model.sequence.register_forward_hook(
        lambda module, given, output: seen.append(len(output.logits))
    )
    found = api.compare_aggregation_methods(model, test, batch_size=50)
    hook.remove()
    assert seen == [50, 50, 20]
    labels, groups = [each[1] for each in test], [each[2] for each in test]
    expected = compare_aggregations(labels, probabilities(result.model, test), groups, 0.3)
    assert list(found) == list(AGGREGATIONS)
    for name, metrics in found.items():
        assert metrics == pytest.approx(expected[name], abs=1e-6)
    assert len({metrics["f1"] for metrics in found.values()}) > 1
    assert api.evaluate_profile_classifier(model, test, batch_size=50) == found["median"]
    other = api.evaluate_profile_classifier(model, test, threshold=0.7)
    assert other == api.compare_aggregation_methods(result.model, test, 0.7)["median"]
    assert (other["threshold"], found["median"]["threshold"]) == (0.7, 0.3)
    model.config.aggregation = "total_vote"
    assert api.evaluate_profile_classifier(model, test)["threshold"] == 0.5


def test_rows_may_be_pairs_or_lists_tensors_or_arrays(result):
    rows = rows_of(10, seed=6)
    vectors, labels, groups = (list(each) for each in zip(*rows, strict=True))
    expected = api.test_model(result.model, rows)
    for data in (
        [(each.tolist(), bool(label)) for each, label, _ in rows],
        {"sequences": [torch.tensor(each) for each in vectors], "labels": np.array(labels)},
        {"sequences": vectors, "labels": torch.tensor(labels), "groups": None},
    ):
        assert api.test_model(result.model, data) == expected
    named = {"sequences": vectors, "labels": labels, "groups": groups}
    table = api.compare_aggregation_methods(result.model, rows)
    assert api.compare_aggregation_methods(result.model, named) == table


@pytest.mark.parametrize(
    ("pos_weight", "recorded"), [("balanced", 3.0), ("sqrt", 3**0.5), (2.5, 2.5), (None, None)]
)
def test_the_weight_of_positives_is_in_the_config(pos_weight, recorded):
    rows = [(vectors, int(at % 4 == 0)) for at, (vectors, *_) in enumerate(rows_of(2, seed=7))]
    run = trained(rows, num_epochs=1, pos_weight=pos_weight)
    assert run.model.config.pos_weight == pytest.approx(recorded)


def changed(at: int, **parts) -> list[tuple]:
    """Good rows, but for one."""
    rows = rows_of(4, seed=8)
    vectors, label, group = rows[at]
    rows[at] = (parts.get("vectors", vectors), parts.get("label", label), group)
    return rows


def with_value(value: float) -> np.ndarray:
    vectors = np.zeros((3, DIM))
    vectors[1, 2] = value
    return vectors


REFUSED = {
    "no sequence": [],
    "row '2': 'sequence' is empty": changed(2, vectors=np.zeros((0, DIM))),
    "row '3': 'sequence' is empty": changed(3, vectors=[]),
    "row '5': 'sequence' has 5 numbers in vector 1, and 6": changed(5, vectors=np.zeros((2, 5))),
    "row '1': 'sequence' has a number that is": changed(1, vectors=with_value(float("nan"))),
    "row '0': 'sequence' has a number that is": changed(0, vectors=with_value(float("inf"))),
    "row '4': 'sequence' has a number that is": changed(4, vectors=with_value(1e300)),
    r"row '6': its vectors are \(6,\), not \(steps, dim\)": changed(6, vectors=np.zeros(DIM)),
    "row '7': its vectors are not numbers, or not of one": changed(7, vectors=[[1.0, 2.0], [3.0]]),
    "row '8': its vectors are not numbers": changed(8, vectors=[["a"] * DIM]),
    "row '9': label 2 is neither 0 nor 1": changed(9, label=2),
    "row '10': label 'yes' is neither": changed(10, label="yes"),
    "row '11': label None is neither": changed(11, label=None),
    "row '12': label nan is neither": changed(12, label=float("nan")),
    r"row '0': give \(vectors, label\)": [np.zeros((2, DIM))],
    r"row '1': give \(vectors, label\)": [*rows_of(1, seed=8)[:1], (np.zeros((2, DIM)), 1)],
    "no 'labels'": {"sequences": [np.zeros((2, DIM))]},
    "no field 'label'; did you mean 'labels'": {"sequences": [], "label": []},
    "no field 'authors'; there is 'sequences', 'labels', 'groups'": {"authors": []},
    "1 sequences but 2 labels": {"sequences": [np.zeros((2, DIM))], "labels": [0, 1]},
    "1 sequences but 3 groups": {
        "sequences": [np.zeros((2, DIM))],
        "labels": [0],
        "groups": list("abc"),
    },
}


@pytest.mark.parametrize("message", REFUSED)
def test_unusable_rows_are_refused_by_name_before_any_step(message):
    model, good = small(), rows_of(4, seed=9)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(UserError, match=f"train: {message}"):
        api.train_model(model, REFUSED[message], good, num_epochs=1, quiet=True)
    with pytest.raises(UserError, match=f"validation: {message}"):
        api.train_model(model, good, REFUSED[message], num_epochs=1, quiet=True)
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_unusable_rows_are_refused_in_evaluation(result):
    with pytest.raises(UserError, match="data: row '9': label 2 is neither 0 nor 1"):
        api.test_model(result.model, changed(9, label=2))
    with pytest.raises(UserError, match="data: row '2': 'sequence' is empty"):
        api.compare_aggregation_methods(result.model, changed(2, vectors=[]))


def test_what_cannot_be_trained_or_evaluated_is_refused(result, tmp_path):
    rows = rows_of(4, seed=10)
    positive = [each for each in rows if each[1]]
    for message, data, options in (
        ("train: no sequence has label 0", (positive, rows), {}),
        ("validation: no sequence has label 0", (rows, positive), {}),
        ("did you mean 'balanced'", (rows, rows), {"pos_weight": "balancd"}),
        ("pos_weight=0: every weight must be a finite", (rows, rows), {"pos_weight": 0}),
        ("num_epochs=0: it must be above 0", (rows, rows), {"num_epochs": 0}),
        ("learning_rate=nan: it must be above 0", (rows, rows), {"learning_rate": float("nan")}),
        ("out=.*file: File exists", (rows, rows), {"out": tmp_path / "file"}),
    ):
        (tmp_path / "file").touch()
        model = small()
        with pytest.raises(UserError, match=message):
            api.train_model(model, *data, quiet=True, **options)
        assert model.config.pos_weight is None
    pairs = [each[:2] for each in rows]
    with pytest.raises(UserError, match="whose is each sequence"):
        api.compare_aggregation_methods(result.model, pairs)
    mixed = [(vectors, at % 2, "a") for at, (vectors, *_) in enumerate(rows)]
    with pytest.raises(UserError, match="group 'a' has sequences of more than one class"):
        api.compare_aggregation_methods(result.model, mixed)
    profile = api.ProfileClassifier(result.model)
    with pytest.raises(UserError, match="takes a SequenceModel, not a ProfileModel"):
        api.train_model(profile, rows, rows)
    with pytest.raises(UserError, match="takes a ProfileModel, not a SequenceModel"):
        api.evaluate_profile_classifier(result.model, rows)
    with pytest.raises(UserError, match="did you mean 'median'"):
        api.ProfileClassifier(result.model, aggregation="medan")
    with pytest.raises(UserError, match="no model that can be loaded"):
        api.test_model(tmp_path / "nothing", rows)


def test_the_example_of_the_page_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "sequences.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(page), "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[-4:]] == list(AGGREGATIONS)
    assert float(said[-5]) > 0.9
