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
#: So many points make a text one that says nothing: one notice, or two buttons.
ENOUGH = 2
# Not `)*+`: before Python 3.11.5 a possessive group that can backtrack within matches too much.
PIECE = re.compile(r"[^\n.!?|•·]++(?:\.(?=\w)[^\n.!?|•·]++)*")
SIGNS = " \t\r,;:-\u2013\u2014*_>\u00bb\u00ab\"'"
# What a whole line or sentence may be, in lower case. The families of the lines that Raffel et al.
# (2020, C4) take out: scripts, cookies and policies, placeholders; and a page's errors and buttons.
NOTICES = (
    r"(?:please )?(?:enable|turn on|activate) (?:java ?script|cookies)"
    r"(?: (?:in|on|to|for|and) .{0,150})?",
    r"java ?script (?:is|seems to be|must be|has been|needs to be) (?:currently )?"
    r"(?:disabled|not enabled|enabled|required|turned off)"
    r"(?: (?:in|on) (?:your|this) (?:browser|page|site|app)| to (?:use|view|run) .{0,80})?",
    r"(?:your browser does not support|you need to enable) (?:java ?script|cookies|html5).{0,120}",
    r"(?:we|(?:this|our) (?:web ?)?(?:site|page|app)) uses? (?:our own |third-party )?cookies"
    r"(?: (?:to|for|and|on|in) .{0,200})?",
    r"by (?:continuing|using|visiting|browsing|clicking)\b.{0,80}\byou (?:agree|accept|consent)"
    r"\b.{0,150}",
    r"(?:copyright )?(?:©|\(c\)).{0,120}",
    r"copyright \d{4}.{0,120}",
    r"all rights reserved",
    r"lorem ipsum\b.{0,250}",
    r"(?:subscribe|sign up) (?:to|for) our newsletter",
    r"(?:error )?(?:404|403|500|502|503)[ :-]*(?:page |file )?(?:error|not found|forbidden|"
    r"bad gateway|internal server error|service unavailable)",
    r"(?:page|file) not found",
    r"access denied",
    r"please wait while (?:we|your|the page) .{0,80}",
    r"(?:please )?(?:verify|confirm|prove) (?:that )?you are (?:not a robot|(?:a )?human)",
)
BUTTONS = (
    r"(?:accept|reject|manage|allow|decline)(?: all)?(?: cookies?)?(?: settings)?",
    r"(?:cookie|privacy|legal)(?: and cookie)? (?:policy|settings|preferences|notice)",
    r"terms (?:of (?:use|service)|and conditions)(?: (?:and|&) privacy policy)?",
    r"(?:click|tap) here(?: (?:to|for) .{0,60})?",
    r"(?:read|learn|show|load|see|view) more",
    r"(?:sign|log) (?:in|up|out)(?: to (?:continue|comment|your account))?",
    r"subscribe(?: (?:now|today))?",
    r"share(?: (?:this|on)(?: (?:page|post|article|facebook|twitter|linkedin|whatsapp))?)?",
    r"follow us(?: on \w+)?",
    r"skip to (?:main )?content|back to top|main menu|home ?page|sitemap|advertisement",
    r"just a moment|loading|please wait",
)


@dataclass(frozen=True)
class Boilerplate:
    """Drop texts that say nothing but what every web page says.

    A text goes if each of its lines and sentences is such a phrase from beginning to end: a notice
    (cookies, "JavaScript is disabled", "All rights reserved") or the words of a button, where one
    button alone does not count ("Log out" may be what the data is about). So an article *about*
    cookies stays. A text also goes if it has a placeholder in it.

    Attributes:
        phrases: Drop a text that has one of these anywhere; case does not matter.
        patterns: More regular expressions for a notice; one must match the whole line or sentence,
            and case does not matter.
        built_in: Use the notices and buttons that hfpipe knows, which are English.

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
                re.compile(f"(?i:{pattern})")
            except re.error as error:
                raise UserError(
                    f"patterns: '{pattern}' is no regular expression: {error}"
                ) from None
        if any(not phrase.strip() for phrase in self.phrases):
            raise UserError("phrases: an empty one is in every text")

    def judge(self, texts: list[str]) -> list[str | None]:
        """Look for a line that says something."""
        reasons = ["boilerplate" if self._says_nothing(text) else None for text in texts]
        for phrase in map(str.lower, self.phrases):
            for i, text in enumerate(texts):
                if phrase in text.lower():
                    reasons[i] = "boilerplate"
        return reasons

    def _says_nothing(self, text: str) -> bool:
        points = 0
        for piece in _pieces(text):
            worth = self._worth(piece)
            if not worth:
                return False
            points += worth
        return points >= ENOUGH

    def _worth(self, piece: str) -> int:
        if len(piece) <= LONGEST:
            small = piece.lower()
            for pattern, points in self._patterns:
                if pattern.fullmatch(small):
                    return points
        return 0

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], int]]:
        found = [(re.compile(f"(?i:{pattern})"), ENOUGH) for pattern in self.patterns]
        if self.built_in:
            found.append((re.compile("|".join(NOTICES)), ENOUGH))
            found.append((re.compile("|".join(BUTTONS)), 1))
        return found


def _pieces(text: str) -> Iterator[str]:
    r"""Lines and sentences, without the signs around them.

    >>> list(_pieces("See a.org. © Me\n--\n"))
    ['See a.org', '© Me']
    """
    for found in PIECE.finditer(text):
        piece = found.group().strip(SIGNS)
        if piece:
            yield piece
