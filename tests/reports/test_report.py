"""report.html as text: what is on the page, and what may never be."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hfpipe.evaluation.predictions import task_rows
from hfpipe.evaluation.record import evaluation_record
from hfpipe.metrics.tasks import task_of
from hfpipe.reports.rendering import CONTROL
from hfpipe.reports.report import render_report, write_report
from hfpipe.reports.words import number
from tests.reports.support import Page

TWO = task_of("classification", ["a", "b"])


@pytest.fixture(scope="module")
def page(topics):
    return render_report(
        topics.record.to_dict(),
        topics.rows,
        curves=topics.curves,
        provenance={"command": "hfpipe evaluate X", "libraries": {"torch": "2.13"}},
    )


def test_the_page_reads_from_verdict_to_provenance(page):
    headings = re.findall(r"<h[12]>(.*?)</h[12]>", page)
    assert headings == [
        "Evaluation of local/topics-minilm",
        "Metrics beside the baselines",
        "What is taken for what",
        "The right class among the first guesses",
        "How well it tells each class from the others",
        "How far its confidence can be believed",
        "Class by class",
        "How it learned",
        "Most confident errors",
        "Where this comes from",
    ]
    assert page.index('class="verdict') < page.index("<h2>")


def test_the_numbers_on_the_page_are_the_records(page, topics):
    for values in (topics.record.metrics, *topics.record.baselines.values()):
        for name, value in values.items():
            if name != "accuracy":
                assert f">{number(value)}</span>" in page, name
    for label, row in topics.record.per_class.items():
        assert label in page
        assert f'<td class="number">{row["support"]}</td>' in page
    for place in ("1f" * 20, "2e" * 20, "hfpipe evaluate X", "torch 2.13"):
        assert place in page


def test_the_confusion_matrix_counts_every_row(page, topics):
    cells = re.findall(r'class="cell">(\d+)<', page)
    assert sum(map(int, cells)) == len(topics.rows)


def test_the_errors_shown_are_the_surest_wrong_rows(page, topics):
    wrong = [row for row in topics.rows if not row["top_1_correct"]]
    surest = sorted(wrong, key=lambda row: -row["scores"][0])[:25]
    shown = re.findall(r'<code class="quiet">(row-\d+)</code>', page)
    assert shown == [row["row_id"] for row in surest]
    assert f"The 25 of {len(wrong)} errors" in page


def test_it_is_well_formed_and_needs_nothing_else(page):
    parsed = Page(page)
    assert (parsed.open, parsed.crossed) == ([], [])
    assert not parsed.all("script")
    assert not re.search(r"https?://|url\(|@import", page)
    policies = [a["content"] for a in parsed.all("meta") if "http-equiv" in a]
    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    ]


def test_it_is_accessible(page):
    parsed = Page(page)
    assert page.count("<caption>") == len(parsed.all("table")) >= 4
    assert all("scope" in attributes for attributes in parsed.all("th"))
    drawings = parsed.all("svg")
    assert len(drawings) == 7
    ids = {attributes["id"] for _, attributes in parsed.tags if "id" in attributes}
    for attributes in drawings:
        assert attributes["role"] == "img"
        assert set(attributes["aria-labelledby"].split()) <= ids
    identities = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(identities) == len(set(identities))
    assert {"lang": "en"} in parsed.all("html")


def test_attacks_stay_text(attack):
    page = render_report(
        attack.record.to_dict(),
        attack.rows,
        curves=attack.curves,
        provenance={"command": attack.labels[0], attack.labels[1]: {attack.labels[2]: "x"}},
        title=attack.labels[2],
    )
    parsed = Page(page)
    assert (parsed.open, parsed.crossed) == ([], [])
    assert not parsed.all("script")
    assert not parsed.all("img")
    assert not [a for _, a in parsed.tags if any(name.startswith("on") for name in a)]
    assert "&lt;script&gt;document.title=" in page
    assert "{{ 7 * 7 }}" in page
    assert not CONTROL.search(page)


def test_rows_without_labels_are_said_to_be_unscored(tmp_path):
    record = evaluation_record(TWO, [-1, -1], [[0.2, 0.8]] * 2, model="m")
    rows = task_rows(TWO, ["1", "2"], [{"t": "x"}] * 2, [-1, -1], [[0.2, 0.8]] * 2)
    page = write_report(tmp_path / "report.html", record, rows).read_text()
    assert "No row has a label" in page
    assert "Most confident errors" not in page
    assert "<svg" not in page
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)


def test_all_right_has_no_errors_and_no_confusions(tmp_path):
    record = evaluation_record(TWO, [0, 1], np.eye(2), model="m")
    rows = task_rows(TWO, ["1", "2"], [{"t": "x"}] * 2, [0, 1], np.eye(2))
    page = write_report(tmp_path / "report.html", record, rows).read_text()
    assert "100.0 % of 2 rows" in page
    assert "Most confident errors" not in page
    assert "The most frequent confusions" not in page
    assert "Top-2" in page
    assert "Top-3" not in page


def test_too_many_classes_get_the_confusions_and_no_matrix(topics):
    generator = np.random.default_rng(0)
    task = task_of("classification", [f"c{index}" for index in range(100)])
    truth, scores = generator.integers(0, 100, 300), generator.dirichlet(np.ones(100), 300)
    record = evaluation_record(task, truth, scores, model="m")
    rows = task_rows(task, list(map(str, truth)), [{"t": "x"}] * 300, truth, scores)
    page = render_report(record.to_dict(), list(rows))
    assert 'id="confusion-title"' not in page
    assert "too many classes to draw the whole matrix" in page
    assert "The most frequent confusions" in page


def test_several_inputs_are_named(tmp_path):
    record = evaluation_record(TWO, [0], [[0.2, 0.8]], model="m")
    shown = [{"title": "T", "body": "B" * 2000}]
    rows = task_rows(TWO, ["1"], shown, [0], [[0.2, 0.8]])
    page = write_report(tmp_path / "report.html", record, rows).read_text()
    assert '<span class="quiet">title:</span>' in page
    assert "B" * 599 + "…" in page
    assert "B" * 600 not in page
