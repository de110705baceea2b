"""Take out what is not seen."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What other programs took for the end of a line: as str.splitlines has it.
LINE_ENDS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
TERMINAL = re.compile("\x1b\\[[0-9;]*+[a-zA-Z]")
# C0 but tab and the line ends, C1, soft hyphen, marks and switches of direction, zero-width space,
# word joiner, invisible operators, byte order mark, interlinear notes, surrogates, noncharacters.
UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]+"
)
JOINERS = re.compile("[\u200c\u200d]+")
# Tags spell out the region of a flag.
TAGS = re.compile("(?<![\U0001f3f4\U000e0000-\U000e007f])[\U000e0000-\U000e007f]++")


@dataclass(frozen=True)
class ControlCharacters:
    r"""Take out control, zero-width and direction characters; make every line end a line feed.

    Tab and line feed stay. Joiners stay where letters of other scripts and emoji need them: with a
    character that is not ASCII on either side; so do the tags in a flag.

    Attributes:
        line_ends: Make every kind of line end (CR, form feed, U+2028 …) a line feed; else they
            stay as they are.
        joiners: Keep joiners where they are needed; else they all go.

    >>> ControlCharacters().rewrite(["a\x00b\r\nc", "a cat"])
    ['ab\nc', 'a cat']
    """

    line_ends: bool = True
    joiners: bool = True

    def rewrite(self, texts: list[str]) -> list[str]:
        """Clean each text."""
        # All that goes is not printable; of what stays, line feeds are not either.
        return [
            text
            if text.isprintable() or text.replace("\n", "").isprintable()
            else self._cleaned(text)
            for text in texts
        ]

    def _cleaned(self, text: str) -> str:
        cleaned = TERMINAL.sub("", text) if "\x1b" in text else text
        cleaned = UNSEEN.sub("", cleaned)
        if self.line_ends:
            cleaned = LINE_ENDS.sub("\n", cleaned)
        if not cleaned.isascii():
            cleaned = JOINERS.sub(self._joiner, TAGS.sub("", cleaned))
        return text if cleaned == text else cleaned

    def _joiner(self, found: re.Match[str]) -> str:
        text, start, end = found.string, found.start(), found.end()
        joined = not (text[start - 1 : start].isascii() or text[end : end + 1].isascii())
        return found.group() if joined and self.joiners else ""
