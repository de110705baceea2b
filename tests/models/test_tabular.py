"""Tabular models: they learn, repeat to the digit, and live on disk without pickle."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace
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
from hfpipe.models.tabular_model import ESTIMATOR

QUICK = {"projector": ProjectorTraining(epochs=8), "boosting": {"max_iter": 40}, "parts": 2}


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


def test_a_fresh_process_predicts_the_same(tmp_path):
    table, _ = world(seed=1)
    arrays = {"numeric": table.numeric, "categories": table.categories, "vectors": table.vectors}
    np.savez(tmp_path / "rows.npz", **arrays)
    models = {family: fitted(family) for family in FAMILIES}
    for family, model in models.items():
        model.save(tmp_path / family)
    code = (
        "import sys, numpy as np\n"
        "from hfpipe.models.tabular import Table, load_tabular\n"
        "rows = np.load('rows.npz')\n"
        "table = Table.of(rows['vectors'], rows['numeric'], rows['categories'])\n"
        "for family in sys.argv[1:]:\n"
        "    np.save(family + '.npy', load_tabular(family).predict(table))\n"
    )
    root = str(Path(tabular.__file__).parents[2])
    command = [sys.executable, "-c", code, *models]
    subprocess.run(command, check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": root})
    for family, model in models.items():
        assert (np.load(tmp_path / f"{family}.npy") == model.predict(table)).all()
    names = {"tabular.json", "tabular.skops"}
    assert {path.name for path in (tmp_path / "ridge").iterdir()} == names
    assert {path.name for path in (tmp_path / "gbdt").iterdir()} == {
        *names,
        "projector.safetensors",
    }


def test_the_summary_says_what_is_inside(tmp_path):
    fitted("gbdt").save(tmp_path)
    summary = json.loads((tmp_path / "tabular.json").read_text())
    assert summary["family"] == "gbdt"
    assert summary["widths"] == {"numeric": 2, "categories": 2, "vectors": 12}
    assert summary["trusted"] == list(FAMILIES["gbdt"].trusted)
    assert [1 <= trees <= 40 for trees in summary["iterations"]] == [True, True]


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
    options = QUICK | {"parts": 1}
    model = fit_tabular("gbdt", table, targets, validation=(more, targets), **options)
    mean = torch.from_numpy(table.vectors).float().mean(dim=0)
    torch.testing.assert_close(model.projectors[0].mean, mean)


def test_every_projector_learns_on_its_own_part_of_the_rows():
    table, targets = world(90)
    more = world(60, seed=1)
    model = fit_tabular("gbdt", table, targets, validation=more, **QUICK | {"parts": 3})
    means = np.stack([projector.mean.numpy() for projector in model.projectors])
    assert len(model.estimator) == len(means) == 3
    assert means.mean(axis=0) == pytest.approx(table.vectors.mean(axis=0), abs=1e-6)
    assert np.abs(means[0] - means[1]).max() > 0.05


def test_trees_that_saw_what_the_projector_learnt_by_heart_are_worse():
    """A target without any sense: whatever is learnt of it is an error on other rows."""
    generator = np.random.default_rng(0)
    table, targets = Table.of(generator.normal(size=(300, 40))), generator.normal(size=300)
    more = Table.of(generator.normal(size=(300, 40))), generator.normal(size=300)
    eager = ProjectorTraining(dropout=0.0, noise_dropout=0.0, epochs=15)
    options = {"projector": eager, "boosting": {"max_iter": 30, "early_stopping": False}}
    together, apart = (
        np.mean((model.predict(more[0]) - more[1]) ** 2)
        for model in (
            fit_tabular("gbdt", table, targets, validation=more, parts=parts, **options)
            for parts in (1, 3)
        )
    )
    noise = np.mean((more[1] - targets.mean()) ** 2)
    assert apart - noise < 0.6 * (together - noise)


def test_the_best_weights_on_the_held_out_rows_are_kept():
    """Targets of pure noise: further passes are worse, so that it stops after its patience."""
    eager = ProjectorTraining(dropout=0, noise_dropout=0, learning_rate=0.01, patience=4)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(80, 30)), generator.normal(size=80)
    held_out = generator.normal(size=(40, 30)), generator.normal(size=40)

    def error(epochs: int) -> float:
        model = train_projector(x, y, held_out, replace(eager, epochs=epochs), 0)
        with torch.no_grad():
            said = model.predict(torch.from_numpy(held_out[0]).float()).numpy()
        return float(np.mean((said - (held_out[1] - y.mean()) / y.std()) ** 2))

    errors = [error(epochs) for epochs in (1, 3, 30)]
    assert errors == sorted(errors, reverse=True)
    assert error(30) == error(60)


def test_projecting_in_batches_changes_nothing():
    model = fitted("gbdt").projectors[0]
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
    path = tmp_path / ESTIMATOR
    save_skops(trap, path, ["functools.partial", "posix.system"])
    fitted("gbdt").save(tmp_path / "good")
    (tmp_path / "good" / ESTIMATOR).write_bytes(path.read_bytes())
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
