"""The report in a real Chromium: desktop, phone, dark; no error, nothing loaded, nothing run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from hfpipe.reports.report import write_report
from hfpipe.reports.rows import error_ids
from tests.reports.conftest import ATTACKS
from tests.reports.support import calibrated, complete, picture

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="no chromium or chromedriver here: apt-get install chromium chromium-driver",
    ),
]
FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync disable-dev-shm-usage"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, topics, attack, evaluations, attacks):
    folder = tmp_path_factory.mktemp("report")
    made = {}
    for name, found in {"topics": topics, "attack": attack}.items():
        title = None if name == "topics" else attack.labels[2]
        path = write_report(
            folder / f"{name}.html",
            found.record,
            found.rows,
            curves=found.curves,
            provenance={"command": found.labels[0]},
            title=title,
        )
        made[name] = path.as_uri()
    of_tasks = {**evaluations, **{f"{name} attack": found for name, found in attacks.items()}}
    for name, found in of_tasks.items():
        path = write_report(folder / f"{name}.html", found.record, found.rows, curves=found.curves)
        made[name] = path.as_uri()
    for name, each in {"": evaluations["binary"], " attack": attacks["binary"]}.items():
        path = write_report(folder / f"complete{name}.html", **everything(each, bool(name)))
        made[f"complete{name}"] = path.as_uri()
    return made


def everything(found, attacked: bool) -> dict[str, Any]:
    """All that a report can be made of; with attacks, in every text that comes from outside."""
    texts = ATTACKS if attacked else ["lang", "de", "it fits best", "fp32", "command"]
    record = complete(found.record.to_dict(), *texts[:3])
    record |= {"threshold_for": texts[3] if attacked else "cost=1:5", "dataset": texts[4]}
    ids = error_ids(record, found.rows)
    return {
        "record": record,
        "predictions": calibrated(found.rows),
        "curves": [{**each, "stage": 1 + at % 2} for at, each in enumerate(found.curves)],
        "stages": texts[:2],
        "provenance": {"command": texts[0], texts[1]: {texts[2]: texts[3]}},
        "pictures": {row_id: picture((9 * at, 90, 120)) for at, row_id in enumerate(ids[:5])},
    }


def show(browser, url: str, width: int, dark: bool = False) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get_log("browser")
    browser.get(url)


OTHERS = ["binary", "multi_label", "regression"]
COMPLETE = ["complete", "complete attack"]
NAMES = ["topics", "attack", *OTHERS, *(f"{name} attack" for name in OTHERS), *COMPLETE]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [1200, 390])
def test_no_error_and_no_sideways_scrolling(browser, pages, name, width):
    show(browser, pages[name], width)
    assert browser.get_log("browser") == []
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
    inside = browser.execute_script(
        "return [...document.querySelectorAll('main > *')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML)"
    )
    assert inside == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("name", COMPLETE)
def test_nothing_is_cut_off_where_text_is_enlarged_to_a_third(browser, pages, name):
    # WCAG 1.4.10: 320 pixels, which is 1280 at 400 %.
    show(browser, pages[name], 320)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("name", COMPLETE)
def test_pictures_are_shown_beside_their_errors(browser, pages, name):
    show(browser, pages[name], 390)
    shown = browser.execute_script(
        "return [...document.images].map(e => [e.naturalWidth, e.getBoundingClientRect().width])"
    )
    assert shown == [[40, 42]] * 5  # with a border of one pixel


def test_attacks_in_everything_are_inert_text(browser, pages, attacks):
    show(browser, pages["complete attack"], 1200)
    assert browser.title == f"Evaluation of {ATTACKS[0]}"
    made = browser.execute_script(
        'return document.querySelectorAll(\'script, iframe, img:not([src^="data:"]), [onload], '
        "[onerror], a').length"
    )
    assert made == 0
    shown = browser.execute_script("return document.body.innerText")
    for attack in ATTACKS[:3]:
        assert shown.count(attack) >= 3
    reasons = browser.execute_script(
        "return [...document.querySelectorAll('.n[title]')].map(e => e.title)"
    )
    assert reasons == [ATTACKS[2]]


def test_attacks_are_inert_text(browser, pages, attack):
    show(browser, pages["attack"], 1200)
    assert browser.title == attack.labels[2]
    made = browser.execute_script(
        "return document.querySelectorAll('script, img, [onload]').length"
    )
    assert made == 0
    shown = browser.execute_script("return document.body.innerText")
    assert attack.labels[0] in shown
    assert attack.labels[1] in shown


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("name", "least"),
    [("topics", 300), ("complete", 200), ("multi_label", 200), ("regression", 200)],
)
def test_text_stands_out_from_what_is_behind_it(browser, pages, dark, name, least):
    show(browser, pages[name], 1200, dark)
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
        const all = 'h1, h2, p, th, td, caption, figcaption, .quiet, .range, .tag, span, svg text';
        const stars = [...document.querySelectorAll('.best')].map(
          e => [getComputedStyle(e, '::after').color, behind(e), 'star']);
        return stars.concat([...document.querySelectorAll(all)].map(
          e => [e.closest('svg') ? getComputedStyle(e).fill : getComputedStyle(e).color,
                behind(e), e.outerHTML.slice(0, 80)]));
        """
    )
    assert len(pairs) > least
    low = {pair[2] for pair in pairs if contrast(numbers(pair[0]), numbers(pair[1])) < 4.5}
    assert low == set()


def test_numbers_in_the_darkest_cells_can_be_read(browser, pages):
    for dark in (False, True):
        show(browser, pages["topics"], 1200, dark)
        text, *fills = browser.execute_script(
            "const of = s => getComputedStyle(document.querySelector(s)).fill;"
            "return [of('svg .cell'), of('svg .hit'), of('svg .miss')]"
        )
        assert all(contrast(numbers(text), numbers(fill)) >= 4.5 for fill in fills)


def test_scroll_regions_are_reached_by_keyboard(browser, pages):
    show(browser, pages["topics"], 375)
    regions = browser.execute_script(
        "return [...document.querySelectorAll('.scroll')]"
        ".map(e => [e.tabIndex, e.getAttribute('role'), e.getAttribute('aria-label')])"
    )
    assert len(regions) == 6
    assert all(index == 0 and role == "region" and name for index, role, name in regions)


def numbers(colour: str) -> list[float]:
    """``rgb(1, 2, 3)`` as numbers."""
    return [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]


def luminance(colour: list[float]) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(first: list[float], second: list[float]) -> float:
    """Contrast ratio as WCAG defines it, 1 to 21."""
    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)
