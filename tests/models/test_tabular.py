"""Tabular models: they learn, repeat to the digit, and live on disk without pickle."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer

from hfpipe.errors import RunError, UserError
from hfpipe.models import tabular
from hfpipe.models.projector import ProjectorTraining, project, train_projector
from hfpipe.models.skops_files import load_skops, save_skops
from hfpipe.models.table import Table
from hfpipe.models.tabular import FAMILIES, fit_tabular, load_tabular

QUICK = {"projector": ProjectorTraining(epochs=8), "boosting": {"max_iter": 40}}


def world(rows: int = 400, seed: int = 0) -> tuple[Table, np.ndarray]:
    """A target out of a category, a number and a direction of the vector, with little noise."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(rows, 12))
    numeric = generator.normal(5, 3, size=(rows, 2))
    categories = generator.integers(0, 4, size=(rows, 2))
    effects = np.array([-2.0, 1.0, 0.0, 2.0])[categories[:, 0]]
    noise = 0.1 * generator.normal(size=rows)
    return Table.of(vectors, numeric, categories), vectors[:, 0] + numeric[:, 0] + effects + noise


def fitted(family: str, seed: int = 0, rows: int = 400):
    options = QUICK if family == "gbdt" else {}
    return fit_tabular(family, *world(rows), seed=seed, **options)


@pytest.mark.parametrize(("family", "error"), [("ridge", 0.15), ("gbdt", 1.5)])
def test_it_learns_from_every_kind_of_column(family, error):
    model = fitted(family)
    table, targets = world(seed=1)
    base = np.sqrt(np.mean((model.predict(table) - targets) ** 2))
    assert base < error < 0.5 * targets.std()
    generator = np.random.default_rng(2)
    for kind in ("numeric", "categories", "vectors"):
        arrays = {name: getattr(table, name) for name in ("numeric", "categories", "vectors")}
        shuffled = Table(**arrays | {kind: generator.permutation(arrays[kind])})
        worse = np.sqrt(np.mean((model.predict(shuffled) - targets) ** 2))
        assert worse > 1.1 * base, kind


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_repeats_to_the_digit(family):
    table, _ = world(seed=1)
    state = torch.get_rng_state()
    first, again = fitted(family).predict(table), fitted(family).predict(table)
    assert (first == again).all()
    assert torch.equal(state, torch.get_rng_state())
    if family == "gbdt":
        assert (fitted(family, seed=1).predict(table) != first).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_process_predicts_the_same(family, tmp_path):
    model = fitted(family)
    model.save(tmp_path / "model")
    table, _ = world(seed=1)
    arrays = {"numeric": table.numeric, "categories": table.categories, "vectors": table.vectors}
    np.savez(tmp_path / "rows.npz", **arrays)
    code = (
        "import sys, numpy as np\n"
        "from hfpipe.models.tabular import Table, load_tabular\n"
        "rows = np.load(sys.argv[2])\n"
        "table = Table.of(rows['vectors'], rows['numeric'], rows['categories'])\n"
        "np.save(sys.argv[3], load_tabular(sys.argv[1]).predict(table))\n"
    )
    paths = [str(tmp_path / name) for name in ("model", "rows.npz", "said.npy")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True)
    assert (np.load(tmp_path / "said.npy") == model.predict(table)).all()
    names = {"tabular.json", "tabular.skops"} | (
        {"projector.safetensors"} if family == "gbdt" else set()
    )
    assert {path.name for path in (tmp_path / "model").iterdir()} == names


def test_the_summary_says_what_is_inside(tmp_path):
    fitted("gbdt").save(tmp_path)
    summary = json.loads((tmp_path / "tabular.json").read_text())
    assert summary["family"] == "gbdt"
    assert summary["widths"] == {"numeric": 2, "categories": 2, "vectors": 12}
    assert summary["trusted"] == list(FAMILIES["gbdt"].trusted)
    assert 1 <= summary["iterations"] <= 40


def test_a_category_that_train_never_had_predicts_all_the_same():
    for family in FAMILIES:
        said = fitted(family).predict(
            Table.of(np.zeros((2, 12)), np.ones((2, 2)), [[9, 0], [0, 0]])
        )
        assert np.isfinite(said).all()


def test_a_column_of_more_categories_than_boosting_takes_is_read_as_numbers():
    generator = np.random.default_rng(0)
    codes = np.arange(300)[:, None]
    table = Table.of(generator.normal(size=(300, 3)), categories=codes)
    model = fit_tabular("gbdt", table, codes[:, 0] / 100.0, **QUICK)
    assert np.corrcoef(model.predict(table), codes[:, 0])[0, 1] > 0.9


def test_a_validation_split_only_says_when_to_stop():
    table, targets = world(60)
    more, _ = world(60, seed=1)
    options = {"projector": ProjectorTraining(epochs=3, patience=9), "boosting": {"max_iter": 5}}
    said = [
        fit_tabular(
            "gbdt", table, targets, validation=(more, values), **options
        ).projector.state_dict()
        for values in (targets, targets)
    ]
    assert all(torch.equal(said[0][name], said[1][name]) for name in said[0])
    assert torch.allclose(said[0]["mean"], torch.from_numpy(table.vectors).float().mean(dim=0))


def test_the_best_weights_on_the_held_out_rows_are_kept():
    """Targets of pure noise: every further pass is worse, so that it stops after its patience."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(80, 30)), generator.normal(size=80)
    held_out = generator.normal(size=(40, 30)), generator.normal(size=40)

    def error(epochs: int) -> float:
        model = train_projector(x, y, held_out, ProjectorTraining(epochs=epochs, patience=4), 0)
        with torch.no_grad():
            said = model.predict(torch.from_numpy(held_out[0]).float()).numpy()
        return float(np.mean((said - (held_out[1] - y.mean()) / y.std()) ** 2))

    errors = [error(epochs) for epochs in (1, 3, 30)]
    assert errors == sorted(errors, reverse=True)
    assert error(30) == error(60)


def test_projecting_in_batches_changes_nothing():
    model = fitted("gbdt").projector
    vectors = world()[0].vectors
    whole = project(model, vectors)
    assert whole.shape == (400, 128)
    assert project(model, vectors, batch_size=7) == pytest.approx(whole, abs=1e-5)
    assert project(model, vectors[:0]).shape == (0, 128)


def test_no_rows_predict_nothing():
    for family in FAMILIES:
        empty = Table.of(np.empty((0, 12)), np.empty((0, 2)), np.empty((0, 2)))
        assert fitted(family).predict(empty).shape == (0,)


def test_a_file_with_another_type_is_not_loaded(tmp_path):
    trap = FunctionTransformer(functools.partial(os.system, "true"))
    path = tmp_path / tabular.ESTIMATOR
    save_skops(trap, path, ["functools.partial", "posix.system"])
    fitted("gbdt").save(tmp_path / "good")
    (tmp_path / "good" / tabular.ESTIMATOR).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match=r"tabular.skops holds posix.system: not among the types"):
        load_tabular(tmp_path / "good")


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    with pytest.raises(RunError, match="not in the trusted types"):
        save_skops(FunctionTransformer(os.getcwd), tmp_path / "x.skops", [])
    assert not (tmp_path / "x.skops").exists()


def broken(folder: Path, name: str, content: bytes | None) -> Path:
    fitted("gbdt", rows=60).save(folder)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["tabular.json", "tabular.skops", "projector.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"PK\x03\x04 not really"])
def test_a_broken_file_is_one_clear_line(tmp_path, name, content):
    with pytest.raises(UserError, match=name.replace(".", r"\.")) as raised:
        load_tabular(broken(tmp_path, name, content))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Table.of([[1.0, np.nan]]), "row 1: column 2 of vectors is not a finite number"),
        (lambda: Table.of([[1.0]], numeric=[[np.inf]]), "column 1 of numeric is not a finite"),
        (lambda: Table.of([[1.0]], numeric=[[1.0], [2.0]]), "numeric have shape (2, 1), but there"),
        (lambda: Table.of([1.0, 2.0]), "vectors have shape (2,)"),
        (
            lambda: fit_tabular("rigde", *world(20)),
            "no tabular model 'rigde'; did you mean 'ridge'",
        ),
        (lambda: fit_tabular("ridge", world(20)[0], [1.0]), "1 targets for 20 rows"),
        (lambda: fit_tabular("gbdt", *world(11)), "11 train rows are too few for this model"),
        (lambda: fit_tabular("ridge", world(3)[0], [1, np.nan, 1]), "row 2: its target is not a"),
        (
            lambda: fitted("ridge").predict(Table.of(np.zeros((1, 11)), [[0, 0]], [[0, 0]])),
            "vectors have 11 columns, but the model was trained with 12",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_in_one_line(call, message):
    with pytest.raises(UserError) as raised:
        call()
    assert message in str(raised.value)


def test_any_part_goes_through_a_file(tmp_path):
    part = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
    save_skops(part, tmp_path / "part.skops", [])
    assert load_skops(tmp_path / "part.skops", []).predict([[2.0]]).tolist() == pytest.approx([5.0])
