"""Text out of HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass

from data_prep.steps._kinds import settled

# Only what is an element of HTML is a tag: List<String> and <url> stay.
BLOCKS = (
    "address article aside blockquote body br caption center dd details dialog div dl dt fieldset "
    "figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav "
    "ol optgroup option p pre section select summary table tbody td tfoot th thead title tr ul"
)
INLINE = (
    "abbr acronym area audio a base bdi bdo big button b canvas cite code colgroup col datalist "
    "data del dfn embed em font iframe img input ins i kbd label link map mark meta meter noscript "
    "object output param picture progress q rp rt ruby samp script small source span strike strong "
    "style sub sup svg s template textarea time track tt u var video wbr"
)
#: What each element leaves behind.
GAPS = dict.fromkeys(BLOCKS.split(), "\n") | dict.fromkeys(INLINE.split(), "")
# No part of it looks beyond the next "<", and nothing is tried twice: the time is linear.
REST = r"""(?=[\s/>])(?:[^<>"']++|"[^"<]*+"|'[^'<]*+'|["'])*+>"""
TAG = re.compile(rf"</?([a-z][a-z0-9]{{0,9}}+){REST}|<!doctype\b[^<>]*+>", re.IGNORECASE)
HIDDEN = tuple(
    (re.compile(f"{start}.*?{end}", re.DOTALL | re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for start, end in (
        ("<!--", "-->"),
        (f"<script{REST}", r"</script\s*>"),
        (f"<style{REST}", r"</style\s*>"),
    )
)


@dataclass(frozen=True)
class Html:
    """Take HTML tags, comments, scripts and styles away, and turn entities into characters.

    A paragraph, a list item or a table cell begins a line of its own. Text that was escaped twice
    is stripped as well; so a text *about* tags loses them.

    Attributes:
        entities: Turn ``&amp;`` and its like into characters.

    >>> Html().rewrite(["<p>One <b>cat</b> &amp; a dog</p>", "if a < b and c > d"])
    ['One cat & a dog', 'if a < b and c > d']
    """

    entities: bool = True

    def rewrite(self, texts: list[str]) -> list[str]:
        """Strip each text."""
        return [
            settled(self._once, text) if "<" in text or (self.entities and "&" in text) else text
            for text in texts
        ]

    def _once(self, text: str) -> str:
        stripped = text
        if "<" in text:
            for pattern, end in HIDDEN:
                stripped = _without(stripped, pattern, end)
            stripped = TAG.sub(_gap, stripped)
        if self.entities and "&" in stripped:
            from ftfy.fixes import unescape_html

            stripped = unescape_html(stripped)
        return text if stripped == text else stripped.strip("\n")


def _gap(found: re.Match[str]) -> str:
    """What a tag leaves behind; what is no tag leaves itself."""
    name = found[1]
    return GAPS.get(name.lower(), found[0]) if name else ""


def _without(text: str, pattern: re.Pattern[str], end: re.Pattern[str]) -> str:
    """Take the pattern out, looking no further than its last end, so that time is linear.

    >>> _without("a<!-- b -->c<!-- d", *HIDDEN[0])
    'ac<!-- d'
    """
    stop = max((found.end() for found in end.finditer(text)), default=0)
    return pattern.sub("", text[:stop]) + text[stop:]
