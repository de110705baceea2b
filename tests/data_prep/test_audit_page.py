"""audit.html: what is on the page, and what may never be."""

from __future__ import annotations

import re

import pytest

from data_prep.audit import audit, audit_page, audit_section
from hfpipe.reports.rendering import CONTROL
from tests.data_prep.audit_support import (
    RECORD,
    attacked_page,
    audit_input,
    finding_of,
    split_names,
    topic_texts,
    troubled,
)
from tests.reports.conftest import ATTACKS
from tests.reports.test_report import Page


@pytest.fixture(scope="module")
def found():
    return audit(troubled(["alpha", "bravo one", "charlie-two", "delta three"]))


@pytest.fixture(scope="module")
def attacked():
    return audit(troubled(ATTACKS))


@pytest.fixture(scope="module")
def page(found):
    return audit_page(found, RECORD)


def test_the_page_reads_from_the_verdict_to_where_it_comes_from(found, page):
    headings = re.findall(r"<h[12][^>]*>(.*?)</h[12]>", page)
    titles = [each["title"] for each in found["findings"] if each["verdict"] != "skipped"]
    assert len(titles) == 8
    assert headings == ["Audit of the splits", "All checks", *titles, "Where this comes from"]
    assert page.index('class="verdict worse"') < page.index("<h2>")
    for said in ("topics.jsonl.gz", "ab" * 32, "hfpipe prepare topics.jsonl.gz", "480 train"):
        assert said in page


def test_there_is_a_plot_where_one_would_look(page):
    named = set(re.findall(r'<svg[^>]*aria-labelledby="([\w-]+)-title', page))
    assert named == {"similarity", "timeline", "columns", "classes", "lengths"}
    for words in re.findall(r"<title id=.*?>(.*?)</title><desc id=.*?>(.*?)</desc>", page):
        assert all(words)


def test_it_is_well_formed_accessible_and_needs_nothing_else(page):
    parsed = Page(page)
    assert (parsed.open, parsed.crossed) == ([], [])
    assert not parsed.all("script")
    assert not re.search(r"https?://|url\(|@import", page)
    assert page.count("<caption>") == len(parsed.all("table")) >= 10
    assert all(a.get("scope") for a in parsed.all("th"))
    regions = [a for a in parsed.all("div") if a.get("role") == "region"]
    assert len(regions) == len(parsed.all("table"))
    assert all(a["aria-label"] and a["tabindex"] == "0" for a in regions)
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in parsed.all("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_attacks_stay_text_on_the_page_and_in_the_card(attacked):
    page = attacked_page(attacked)
    parsed = Page(page)
    assert (parsed.open, parsed.crossed) == ([], [])
    assert not parsed.all("script")
    assert not parsed.all("img")
    assert not [a for _, a in parsed.tags if any(name.startswith("on") for name in a)]
    assert "&lt;script&gt;document.title=" in page
    assert not CONTROL.search(page)
    section = audit_section(attacked)
    assert "<" not in section
    assert "](" not in section.replace("\\](", "")


def test_the_numbers_of_the_findings_are_on_the_page(found, page):
    for each in found["findings"]:
        for table in each["tables"]:
            for row in table["rows"]:
                for value in row:
                    if isinstance(value, int):
                        assert f">{value:,}</td>" in page
    shown = re.findall(r'<code class="quiet"><bdi>(row-\d+)</bdi></code>', page)
    for each in found["findings"]:
        assert {row["row_id"] for row in each["examples"]} <= set(shown)


def test_without_a_record_the_page_is_still_whole(found):
    parsed = Page(audit_page(found, {}))
    assert (parsed.open, parsed.crossed) == ([], [])


def test_labels_are_cut_where_they_are_too_long_to_read():
    texts, labels = topic_texts(200, 0, ["x" * 5000, "y"])
    found = audit(audit_input(texts, labels, split_names(200, 1), {"z" * 5000: labels}))
    assert len(audit_section(found)) < 3000
    assert len(finding_of(found, "leakage")["figure"]) < 200
    parsed = re.sub(r"<title.*?</title>", "", audit_page(found, {}))
    assert "x" * 79 + "…" in parsed
    assert "x" * 80 not in parsed
    assert "z" * 80 not in parsed
