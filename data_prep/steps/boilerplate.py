"""Text that says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from hfpipe.errors import UserError

#: A longer piece says something.
LONGEST = 300
PIECE = re.compile(r"[^\n.!?|•·]+(?:\.(?=\w)[^\n.!?|•·]+)*+")
ALIKE = str.maketrans("\u2019\u00a0", "' ")
SIGNS = " \t\r,;:-\u2013\u2014*_>\u00bb\u00ab\"'"
# What a whole line or sentence may be. The families of the lines that Raffel et al. (2020, C4)
# take out: scripts, cookies and policies, placeholders; and the buttons and errors of a page.
SAYS_NOTHING = tuple(
    phrase.replace(" ", r"\s+")
    for phrase in (
        r"(?:please )?(?:enable|turn on|activate) (?:java ?script|cookies)\b.{0,150}",
        r".{0,60}\bjava ?script (?:is|seems to be|must be|has been|needs to be) "
        r"(?:currently )?(?:disabled|not enabled|enabled|required|turned off)(?: .{0,120})?",
        r"(?:your browser does not|this (?:page|site|app) requires|you need to enable) .{0,150}",
        r"(?:we|(?:this|our) (?:web ?)?(?:site|page|app)) uses? (?:our own |third-party )?cookies\b"
        r".{0,200}",
        r"by (?:continuing|using|visiting|browsing|clicking)\b.{0,80}\byou (?:agree|accept|consent)"
        r"\b.{0,150}",
        r"(?:accept|reject|manage|allow|decline)(?: all)?(?: cookies?)?(?: settings)?",
        r"(?:cookie|privacy|legal)(?: and cookie)? (?:policy|settings|preferences|notice)",
        r"terms (?:of (?:use|service)|and conditions)(?: (?:and|&) privacy policy)?",
        r"(?:copyright\b|©|\(c\)).{0,120}",
        r".{0,60}\ball rights reserved",
        r"lorem ipsum\b.{0,250}",
        r"(?:click|tap) here(?: (?:to|for) .{0,60})?",
        r"(?:read|learn|show|load|see|view) more",
        r"(?:sign|log) (?:in|up|out)(?: (?:to|for) .{0,60})?",
        r"subscribe(?: (?:now|today))?(?: to our newsletter)?",
        r"(?:share|follow us)(?: (?:this|on) .{0,60})?",
        r"(?:skip to (?:main )?content|back to top|main menu|home ?page|sitemap|advertisement)",
        r"(?:error )?(?:404|403|500|502|503)(?: |:|-)*(?:page |file )?(?:error|not found|forbidden|"
        r"bad gateway|internal server error|service unavailable)",
        r"(?:page|file) not found",
        r"access denied",
        r"(?:just a moment|loading|please wait)(?: while .{0,100})?",
        r"(?:please )?(?:verify|confirm|prove) (?:that )?you are (?:not a robot|(?:a )?human)",
    )
)


@dataclass(frozen=True)
class Boilerplate:
    """Drop texts that say nothing but what every web page says.

    A text goes if each of its lines and sentences is such a phrase from beginning to end (a cookie
    notice, "JavaScript is disabled", "All rights reserved"), so that an article *about* cookies
    stays; or if it has a placeholder in it.

    Attributes:
        phrases: Drop a text that has one of these anywhere; case does not matter.
        patterns: More regular expressions for a line or sentence that says nothing; one must match
            it wholly, and case does not matter.
        built_in: Use the phrases that hfpipe knows (they are English) for lines and sentences.

    >>> Boilerplate().judge(["We use cookies. Accept all", "Cookies are small files"])
    ['boilerplate', None]
    """

    phrases: tuple[str, ...] = ("lorem ipsum dolor",)
    patterns: tuple[str, ...] = ()
    built_in: bool = True

    reasons: ClassVar[dict[str, str]] = {"boilerplate": "nothing but what every page says"}

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UserError(
                    f"patterns: '{pattern}' is no regular expression: {error}"
                ) from None
        if any(not phrase.strip() for phrase in self.phrases):
            raise UserError("phrases: an empty one is in every text")

    def judge(self, texts: list[str]) -> list[str | None]:
        """Look for a line that says something."""
        phrases = tuple(phrase.lower() for phrase in self.phrases)
        return [
            "boilerplate"
            if self._says_nothing(text) or any(phrase in text.lower() for phrase in phrases)
            else None
            for text in texts
        ]

    def _says_nothing(self, text: str) -> bool:
        nothing = self._nothing.fullmatch
        pieces = (len(piece) <= LONGEST and bool(nothing(piece)) for piece in _pieces(text))
        return next(pieces, False) and all(pieces)

    @cached_property
    def _nothing(self) -> re.Pattern[str]:
        patterns = (*self.patterns, *(SAYS_NOTHING if self.built_in else ()), r"(?!)")
        return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


def _pieces(text: str) -> Iterator[str]:
    r"""Lines and sentences, without the signs around them.

    >>> list(_pieces("See a.org. © Me\n--\n"))
    ['See a.org', '© Me']
    """
    for found in PIECE.finditer(text.translate(ALIKE) if not text.isascii() else text):
        piece = found.group().strip(SIGNS)
        if piece:
            yield piece
