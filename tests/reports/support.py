"""A page taken apart, and a record with every key that there is."""

from __future__ import annotations

import html
import io
import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "br", "img", "rect", "line", "circle", "polyline"}


class Page(HTMLParser):
    """The tags of a page with their attributes, and whether they are nested well."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def words_of(markup: str) -> str:
    """The text of a piece of a page, in one line.

    >>> words_of("<td>0.836<br><span>0.824 to 0.848</span></td>")
    '0.836 0.824 to 0.848'
    """
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def line_of(page: str, heading: str) -> str:
    """The text of the table row that begins with a heading."""
    start = re.search(rf"<tr><th[^>]*>(<bdi>)?{re.escape(heading)}", page)
    assert start, heading
    return words_of(page[start.start() :].split("</tr>")[0])


def picture(colour: tuple[int, int, int] = (200, 30, 30), size=(40, 24), **options) -> bytes:
    """A small JPEG of one colour."""
    from PIL import Image

    target = io.BytesIO()
    Image.new("RGB", size, colour).save(target, "JPEG", **options)
    return target.getvalue()


def complete(
    record: dict[str, Any], name: str = "lang", value: str = "de", said: str = "it fits best"
) -> dict[str, Any]:
    """A record with every key that there is, written by hand.

    Args:
        record: One that has metrics, baselines and rows.
        name: Of a column: of the groups and of the worst slice.
        value: Of that column.
        said: Every reason.
    """
    metrics = dict(record["metrics"])
    metrics["mcc"] = None
    sides = {"clean": record["n"] - 40, "leaked": 40}
    told = {key: each for key, each in metrics.items() if each is not None}
    leak = {
        side: {
            "n": n,
            **{key: each + (0.04 if side == "leaked" else -0.01) for key, each in told.items()},
        }
        for side, n in sides.items()
    }
    first = next(iter(told))
    return {
        **record,
        "metrics": metrics,
        "intervals": {key: [each - 0.0123, each + 0.0134] for key, each in told.items()}
        | {"mcc": None},
        "interval_method": {"resamples": 2000, "confidence": 0.95, "groups": name, "seed": 0},
        "undefined": {"mcc": said},
        "calibration": {
            "method": "temperature",
            "parameters": {"temperature": 1.5},
            "reason": said,
            "rows": 1600,
            "before": {"log_loss": 0.6543, "brier": 0.4321, "ece": 0.0987},
            "after": {"log_loss": 0.5432, "brier": 0.4321, "ece": 0.1234},
        },
        "slices": {
            **record["slices"],
            "near-duplicate in train": leak,
            "length of text": {
                "1-9 words": {"n": 12, **told, "intervals": {first: [0.111, 0.222]}},
                "> 9 words": {"n": record["n"] - 12, **told},
            },
        },
        "worst_slices": [
            {"slice": {name: value, "rows of the group": "1"}, "n": 57, "metric": first,
             "value": 0.4567, "rest": 0.8765, "p": 0.00004},
        ],
        "differences": {
            baseline: {
                key: {"value": told[key] - values[key], "low": told[key] - values[key] - 0.0021,
                      "high": told[key] - values[key] + 0.0022, "p": 0.01}
                for key in told
                if values.get(key) is not None
            }
            for baseline, values in record["baselines"].items()
        },
    }  # fmt: skip


def calibrated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a calibrated model writes them."""

    def raw(row: dict[str, Any]) -> float:
        return min(1.0, 0.1 + 0.95 * (row["score"] if "score" in row else row["scores"][0]))

    return [
        {**row, "uncalibrated": raw(row), "group": f"group {at % 9}"} for at, row in enumerate(rows)
    ]
