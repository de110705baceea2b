"""audit.html in a real Chromium: desktop, phone, dark; no error, nothing loaded, nothing run."""

from __future__ import annotations

import pytest

from data_prep.audit import audit, audit_page
from tests.data_prep.audit_support import RECORD, attacked_page, troubled
from tests.reports.conftest import ATTACKS
from tests.reports.test_browser import browser, contrast, luminance, numbers, pytestmark, show

__all__ = ["browser", "pytestmark"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    found = audit(troubled(["alpha", "bravo one", "charlie-two", "delta three"]))
    made = {
        "found": audit_page(found, RECORD),
        "attacked": attacked_page(audit(troubled(ATTACKS))),
    }
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in made}


@pytest.mark.parametrize("name", ["found", "attacked"])
@pytest.mark.parametrize("width", [1200, 375])
def test_no_error_and_no_sideways_scrolling(browser, pages, name, width):
    show(browser, pages[name], width)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    outside = browser.execute_script(
        "return [...document.querySelectorAll('main > *')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML)"
    )
    assert outside == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_attacks_are_inert_text_in_a_browser(browser, pages):
    show(browser, pages["attacked"], 1200)
    assert browser.title == "Audit of the splits"
    made = browser.execute_script(
        "return document.querySelectorAll('script, img, iframe, [onload], [onerror]').length"
    )
    assert made == 0
    shown = browser.execute_script("return document.body.innerText")
    assert ATTACKS[0] in shown
    assert ATTACKS[1] in shown
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('svg text')].map(e => e.textContent).join(' ')"
    )
    assert "<script>" in drawn


def test_no_word_of_a_plot_is_cut_off(browser, pages):
    for width in (1200, 375):
        show(browser, pages["found"], width)
        cut = browser.execute_script(
            """
            return [...document.querySelectorAll('svg text')].filter(e => {
              const [a, b] = [e.getBoundingClientRect(),
                              e.closest('svg').getBoundingClientRect()];
              return a.left < b.left - 1 || a.right > b.right + 1
                  || a.top < b.top - 1 || a.bottom > b.bottom + 1;
            }).map(e => e.textContent);
            """
        )
        assert cut == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_what_is_behind_it(browser, pages, dark):
    show(browser, pages["found"], 1200, dark)
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(numbers(background)) < 0.1) == dark
    pairs = browser.execute_script(
        """
        const behind = element => {
          for (let e = element; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if (colour !== 'rgba(0, 0, 0, 0)') return colour;
          }
        };
        return [...document.querySelectorAll(
            'h1, h2, p, a, th, td, caption, .quiet, .badge, svg text')].map(
          e => [e.closest('svg') ? getComputedStyle(e).fill : getComputedStyle(e).color,
                behind(e), e.outerHTML.slice(0, 80)]);
        """
    )
    assert len(pairs) > 300
    low = {pair[2] for pair in pairs if contrast(numbers(pair[0]), numbers(pair[1])) < 4.5}
    assert low == set()
