"""report.html of every other task: its verdict, its plots, its numbers, and no text that acts."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hfpipe.evaluation.predictions import task_rows
from hfpipe.evaluation.record import evaluation_record
from hfpipe.metrics.tasks import task_of
from hfpipe.reports.report import render_report
from hfpipe.reports.rows import errors_of
from hfpipe.reports.words import number
from tests.reports.support import Page

NAMES = ["binary", "multi_label", "regression"]
HEADINGS = {
    "binary": [
        "What is taken for what",
        "How well it tells the two apart",
        "How far its confidence can be believed",
        "Class by class",
        "Slice by slice",
        "How it learned",
        "Most confident errors",
    ],
    "multi_label": [
        "How well it tells each label from the others",
        "How far its confidence can be believed",
        "Label by label",
        "Slice by slice",
        "How it learned",
        "Most confident errors",
    ],
    "regression": ["Predicted against true", "Slice by slice", "How it learned", "Largest errors"],
}
PLOTS = {
    "binary": ["confusion", "roc", "pr", "thresholds", "reliability", "loss", "scores"],
    "multi_label": ["roc", "pr", "thresholds", "reliability", "loss", "scores"],
    "regression": ["scatter", "errors", "loss", "scores"],
}


def page_of(found) -> str:
    return render_report(found.record.to_dict(), found.rows, curves=found.curves)


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_its_own_sections_and_plots(evaluations, name):
    page = page_of(evaluations[name])
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "Metrics beside the baselines",
        *HEADINGS[name],
        "Where this comes from",
    ]
    assert re.findall(r'id="([a-z]+)-title"', page) == PLOTS[name]
    parsed = Page(page)
    assert (parsed.open, parsed.crossed) == ([], [])
    assert page.count("<caption>") == len(parsed.all("table"))
    assert all("scope" in attributes for attributes in parsed.all("th"))
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_on_the_page_are_the_records(evaluations, name):
    found = evaluations[name].record
    page = page_of(evaluations[name])
    for values in (found.metrics, *found.baselines.values()):
        for metric, value in values.items():
            assert f">{number(value)}</span>" in page, metric
    for column, values in found.slices.items():
        assert f"<bdi>{'All rows' if column == 'all' else column}</bdi></caption>" in page
        for value, metrics in values.items():
            row = page[page.index(f'class="value"><bdi>{value}</bdi>') :].split("</tr>")[0]
            assert f">{metrics['n']}</td>" in row
            assert f">{number(metrics['gate_weight.video'])}</span>" in row
    assert "Gate weight: video" in page


def test_lower_is_better_for_errors(evaluations):
    page = page_of(evaluations["regression"])
    row = page[page.index("RMSE (log scale)") :].split("</tr>")[0]
    assert "(lower is better)" in row
    best = re.search(r'"n best">([\d.]+)<', row)
    assert best
    assert float(best[1]) == round(evaluations["regression"].record.metrics["rmse_log"], 3)
    headers = page[page.index("<thead>") :].split("</tr>")[0]
    assert headers.index("Ridge regression") < headers.index("Mean of the train split")


def test_the_points_on_the_curves_are_the_threshold(evaluations):
    found = evaluations["binary"]
    page, record = page_of(found), found.record
    assert page.count(f"threshold {record.threshold:.3f}</text>") == 3
    drawing = page[page.index('id="pr-title"') :].split("</svg>")[0]
    x, y = map(float, re.search(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawing).groups())
    assert (x - 44) / 330 == pytest.approx(record.metrics["recall"], abs=1e-3)
    assert (34 + 300 - y) / 300 == pytest.approx(record.metrics["precision"], abs=1e-3)
    drawing = page[page.index('id="roc-title"') :].split("</svg>")[0]
    x, y = map(float, re.search(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawing).groups())
    assert (x - 44) / 330 == pytest.approx(1 - record.per_class["no"]["recall"], abs=1e-3)
    assert (34 + 300 - y) / 300 == pytest.approx(record.metrics["recall"], abs=1e-3)
    cells = sum(map(int, re.findall(r'class="cell">(\d+)<', page)))
    assert cells == record.n


def test_a_dot_stands_where_its_row_is(evaluations):
    task = task_of("regression")
    rows = task_rows(task, ["1", "2"], [{}] * 2, [0.0, 10.0], [5.0, 10.0])
    record = evaluation_record(task, [0.0, 10.0], [5.0, 10.0], model="m")
    page = render_report(record.to_dict(), list(rows))
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="2.2" class="dot"', page)
    assert [(float(x), float(y)) for x, y in dots] == [(64.0, 199.0), (394.0, 34.0)]
    assert "Log(" not in page
    assert "there is no baseline" in page.lower()


@pytest.mark.parametrize("name", NAMES)
def test_attacks_stay_text(attacks, name):
    page = page_of(attacks[name])
    parsed = Page(page)
    assert (parsed.open, parsed.crossed) == ([], [])
    for tag in ("script", "img"):
        assert not parsed.all(tag)
    assert not [a for _, a in parsed.tags if any(key.startswith("on") for key in a)]
    assert "Gate weight: &lt;/title&gt;&lt;/style&gt;" in page
    assert "<bdi>&#34;&gt;&lt;img src=x" in page


@pytest.mark.parametrize(
    ("kind", "rows", "order"),
    [
        (
            "binary",
            [(1, 0.2), (0, 0.9), (0, 0.1), (1, 0.35), (1, 0.8)],
            ["row-1", "row-0", "row-3"],
        ),
        ("regression", [(1.0, 1.5), (2.0, 2.0), (3.0, 0.0)], ["row-2", "row-0"]),
        (
            "multi_label",
            [([1, 0], [0.3, 0.1]), ([0, 0], [0.95, 0.9]), ([1, 1], [0.9, 0.5])],
            ["row-1", "row-0"],
        ),
    ],
)
def test_the_errors_shown_first_are_the_worst(kind, rows, order):
    task = task_of(kind, ["no", "yes"])
    truth, scores = (list(each) for each in zip(*rows, strict=True))
    ids = [f"row-{at}" for at in range(len(rows))]
    threshold = 0.4 if kind != "regression" else None
    record = evaluation_record(task, truth, scores, model="m", threshold=threshold).to_dict()
    found = list(task_rows(task, ids, [{}] * len(rows), truth, scores, threshold))
    errors = errors_of(kind, found, record)
    assert [row["row_id"] for row in errors["rows"]] == order
    assert errors["wrong"] == len(order)


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_labels_are_said_to_be_unscored(name):
    task = task_of(name, ["a", "b"], log1p=True)
    shape = (2, 2) if name == "multi_label" else (2,)
    truth, scores = np.full(shape, np.nan), np.full(shape, 0.5)
    record = evaluation_record(task, truth, scores, model="m", extras={"gate": np.ones(2)})
    rows = list(task_rows(task, ["1", "2"], [{}] * 2, truth, scores))
    page = render_report(record.to_dict(), rows)
    assert "No row has a label" in page
    assert "<svg" not in page
    assert "errors</h2>" not in page
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)


def test_one_class_alone_has_no_curves():
    task = task_of("binary", ["no", "yes"])
    record = evaluation_record(task, [1, 1], [0.9, 0.2], model="m")
    page = render_report(
        record.to_dict(), list(task_rows(task, ["1", "2"], [{}] * 2, [1, 1], [0.9, 0.2]))
    )
    assert "ROC AUC is not defined for these 2 rows: no negative row." in page
    assert 'id="roc-title"' not in page
    assert 'id="confusion-title"' in page
