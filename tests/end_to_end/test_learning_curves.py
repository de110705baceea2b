"""The learning curves that are pushed with a model, in the page of ``hfpipe evaluate``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.training.staged import LAST, bert, learn, topics_of
from tests.training.support import pushed_bytes, pushed_files, tune

FILE = "hfpipe/curves.json"
FIRST = {"warm": {"groups": {"head": 0.05}}, "whole": {"groups": {"layers.1": 1e-3, "head": {}}}}
SECOND = {"only": {"groups": {"head": 0.02}, "training": {"num_train_epochs": 2}}}


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return topics_of(hub, "curved-rows")


@pytest.fixture(scope="module")
def runs(hub, tiny_bert, dataset, tmp_path_factory) -> tuple[Any, Any]:
    """Two runs to one repo, each with stages of its own."""
    folder = tmp_path_factory.mktemp("curved")
    given = hub, folder, "curved", dataset, bert(tiny_bert)
    first, second = (
        learn(*given, stages, training=LAST, out=folder / f"run-{at}")
        for at, stages in enumerate((FIRST, SECOND))
    )
    return first, second


def evaluated(hub, model: str, folder: Path) -> tuple[str, list[str]]:
    """The page of an evaluation, and what the user is told."""
    from hfpipe.evaluating import EvaluateOptions, evaluate

    done = evaluate(model, hub, EvaluateOptions(out=folder, baselines=False, quiet=True))
    return done.report.read_text(encoding="utf-8"), done.notes


def drawings(page: str) -> list[str]:
    """The plots of how it learned."""
    section = page[page.index("<h2>How it learned</h2>") :].split("<h2>")[1]
    return re.findall(r"<svg.*?</svg>", section)


def test_the_page_of_test_shows_the_curves_and_stages_of_the_run(hub, runs, tmp_path):
    first, second = runs
    for tuned, stages in ((first, ["warm", "whole"]), (second, ["only"])):
        name = f"{tuned.model.repo_id}@{tuned.model.revision}"
        page, notes = evaluated(hub, name, tmp_path / stages[0])
        assert notes == []
        shown = drawings(page)
        of_run = drawings((tuned.folder / "report.html").read_text(encoding="utf-8"))
        assert shown == of_run
        loss, scores = shown
        assert f"Stages: {', '.join(stages)}; train: " in loss
        assert [each for each in stages if f">{each}</text>" in loss] == stages
        borders = re.findall(r'<line x1="([\d.]+)"[^>]*class="ideal"', loss)
        assert borders == (["209"] if len(stages) == 2 else []), "halfway: two stages of an epoch"
        log = json.loads((tuned.folder / "curves.json").read_text())
        last = [each["eval_accuracy"] for each in log if "eval_accuracy" in each][-1]
        assert re.search(rf"Accuracy: [\d.]+ at first, {last:.3g} at last", scores)


def test_without_a_revision_the_newest_run_is_shown(hub, runs, tmp_path):
    page, _ = evaluated(hub, "local/curved", tmp_path)
    assert "Stages: only; " in drawings(page)[0]


def test_what_is_pushed_is_the_file_of_the_run_folder(hub, runs):
    first, second = runs
    for tuned in runs:
        assert pushed_bytes(hub, tuned, FILE) == (tuned.folder / "curves.json").read_bytes()
    assert pushed_bytes(hub, first, FILE) != pushed_bytes(hub, second, FILE)
    logged = json.loads(pushed_bytes(hub, first, FILE))
    assert {each["stage"] for each in logged} == {1, 2}


def test_a_folder_of_a_model_is_shown_with_its_curves(hub, hub_directory, runs, tmp_path):
    from huggingface_hub import snapshot_download

    from hfpipe.hub.embedded import import_repo

    place = tmp_path / "model"
    revision = runs[0].model.revision
    snapshot_download("local/curved", revision=revision, token=hub.token, local_dir=place)
    import_repo(hub_directory, "local/curved-again", place)
    page, notes = evaluated(hub, "local/curved-again", tmp_path / "out")
    assert "Stages: warm, whole; " in drawings(page)[0]
    assert notes == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, []),
        (b"[{", ["the page has no learning curves: model local/curved: hfpipe/curves.json is not"]),
        (b"{}", ["the page has no learning curves: model local/curved: hfpipe/curves.json is not"]),
        (b'[{"step": "a", "loss": {}, "stage": 1, "epoch": "b"}]', []),
    ],
)
def test_a_model_without_usable_curves_is_evaluated_all_the_same(
    hub, runs, tmp_path, content, told
):
    """As an earlier hfpipe pushed it, or with a file that somebody damaged."""
    from hfpipe.hub.repos import api

    client = api(hub)
    if content is None:
        done = client.delete_file(FILE, "local/curved")
    else:
        done = client.upload_file(
            path_or_fileobj=content, path_in_repo=FILE, repo_id="local/curved"
        )
    page, notes = evaluated(hub, f"local/curved@{done.oid}", tmp_path)
    assert "How it learned" not in page
    assert "<h2>Where this comes from</h2>" in page
    assert len(notes) == len(told)
    assert all(note.startswith(start) for note, start in zip(notes, told, strict=True))


def test_a_model_that_learns_in_one_go_has_none(hub, tmp_path):
    from tests.toys import push_rows
    from tests.training.support import METADATA, PREPARED, rows

    splits = {"train": rows(60, 1), "validation": rows(20, 2), "test": rows(20, 3)}
    dataset = push_rows(hub, "local/curveless-rows", PREPARED, **splits)
    model = {"kind": "ridge", "config": {"strategy": "concat"}}
    views = {"label": "views", "task": "regression", "log1p": True}
    tuned = tune(hub, tmp_path, "curveless", dataset, model, METADATA, **views)
    assert FILE in pushed_files(hub, tuned)
    assert json.loads(pushed_bytes(hub, tuned, FILE)) == []
    page, notes = evaluated(hub, tuned.model.repo_id, tmp_path / "out")
    assert "How it learned" not in page
    assert notes == []
