"""``compare.html``: what it says, that its parts are well formed, and that attacks are inert."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from hfpipe.evaluation.differing import differing
from hfpipe.evaluation.predictions import task_rows
from hfpipe.evaluation.record import evaluation_record
from hfpipe.evaluation.standings import standings
from hfpipe.evaluation.stored import Stored
from hfpipe.metrics.tasks import task_of
from hfpipe.reports.comparison import as_csv, forest_plot, render_comparison, write_comparison
from tests.reports.support import Page

TRUTH = np.arange(120) % 2


def stored(name: str, wrong: int, labels=("no", "yes"), config=None, **more) -> Stored:
    task = task_of("binary", list(labels))
    scores = np.where(TRUTH == 1, 0.9, 0.1)
    scores[:wrong] = 1 - scores[:wrong]
    about = {"model": name, "dataset": "ada/d", "dataset_revision": "2e" * 20, "split": "test"}
    record = evaluation_record(task, TRUTH, scores, **{**about, **more})
    record = replace(record, intervals={"accuracy": [0.2, 0.95]})
    rows = task_rows(task, [f"r{at}" for at in range(120)], [{}] * 120, TRUTH, scores)
    return Stored(record, list(rows), config or {}, name)


def made(results: list[Stored], metric: str = "accuracy") -> dict:
    board = standings(results, metric, 100)
    board["recipes"] = differing({each.name: each.config for each in results})
    board["notes"] = ["2 rows are not in all results"]
    return json.loads(json.dumps(board))


@pytest.fixture(scope="module")
def board() -> dict:
    return made(
        [
            stored("ada/far", 60, config={"model": {"base": "x"}, "a": [1, 2]}),
            stored("ada/best", 10, config={"model": {"base": "y"}, "a": [1, 2]}),
            stored("ada/near", 11, config={"model": {"base": "x", "dropout": 0.1}, "a": [1, 2]}),
        ]
    )


def texts(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("</style>")[1]).split())


def test_the_page_says_who_is_best_and_who_may_be_as_good(board, tmp_path):
    page = write_comparison(tmp_path / "c.html", board, {"hfpipe": "1.0"}).read_text()
    said = texts(page)
    assert "ada/best has the best accuracy: 0.917 (0.200 to 0.950)." in said
    assert "Not distinguishable from the best: ada/near." in said
    assert "Worse than it: ada/far." in said
    assert "2 rows are not in all results" in said
    assert re.search("[-\u2212]0.4167", said)  # 50 of 120 rows
    assert "model.base y x x" in said
    assert "model.dropout \u2013 0.1 \u2013" in said
    found = Page(page)
    assert (found.open, found.crossed) == ([], [])
    assert found.all("script") == []
    (policy,) = [each for each in found.all("meta") if "http-equiv" in each]
    assert "default-src 'none'" in policy["content"]
    assert all(each.get("scope") for each in found.all("th"))


def test_the_plot_stands_each_dot_on_its_interval(board):
    drawn = Page(str(forest_plot(board)))
    dots = [float(each["cx"]) for each in drawn.all("circle")]
    lines = [each for each in drawn.all("line") if each["class"] == "line"]
    ends = [(float(each["x1"]), float(each["x2"])) for each in lines[::3]]
    # 0.2 to 1 over 344 units from 24 on
    assert dots == pytest.approx(
        [24 + 344 * (v - 0.2) / 0.8 for v in (110 / 120, 109 / 120, 0.5)], abs=0.1
    )
    assert ends == [(24.0, pytest.approx(24 + 344 * 0.75 / 0.8, abs=0.1))] * 3
    assert [each["role"] for each in drawn.all("svg")] == ["img"]


def test_a_metric_that_no_model_has_leaves_no_plot(board):
    blank = {"value": None, "low": None, "high": None, "rank": None, "reason": "no rows"}
    models = [{**each, **blank, "difference": None, "verdict": None} for each in board["models"]]
    page = render_comparison({**board, "models": models}, {})
    assert "No model has this metric: accuracy." in texts(page)
    assert "no rows" in texts(page)
    assert "<svg" not in page


def test_a_metric_that_is_lower_better_is_said_so():
    lower = made([stored("a", 3), stored("b", 30)], "log_loss")
    assert [each["name"] for each in lower["models"]] == ["a", "b"]
    assert lower["models"][1]["difference"]["low"] > 0
    assert "Log loss, lower is better" in texts(render_comparison(lower, {}))
    assert as_csv(lower).splitlines()[1].split(",")[4:6] == ["log_loss", "lower"]


def test_names_labels_and_recipes_that_attack_are_text(attack):
    attacks = attack.labels
    config = {attacks[0]: attacks[1], "seed": attacks[4]}
    results = [
        stored(attacks[0], 5, attacks[:2], config, dataset=attacks[2]),
        stored(attacks[2], 9, attacks[:2], {}, dataset=attacks[2]),
        stored(attacks[3], 50, attacks[:2], {}, dataset=attacks[2]),
    ]
    found = {**made(results), "notes": attacks}
    page = render_comparison(found, {"command": attacks[0]})
    drawn = Page(page)
    assert (drawn.open, drawn.crossed) == ([], [])
    tags = {name for name, _ in drawn.tags}
    assert not tags & {"script", "img", "a", "iframe"}
    assert len(drawn.all("svg")) == 1
    assert not [name for _, attributes in drawn.tags for name in attributes if name[:2] == "on"]
    assert "<script>document" not in page
    assert "\x00" not in page
