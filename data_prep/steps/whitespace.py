"""One space where there were several."""

from __future__ import annotations

import re
from dataclasses import dataclass

BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Whitespace:
    r"""Make a run of spaces one space, and take those at either end of a line or text away.

    Attributes:
        lines: Keep line breaks, with at most one blank line between two lines; else a text
            becomes one line.

    >>> Whitespace().rewrite([" a   cat\t\n\n\n\nand a dog "])
    ['a cat\n\nand a dog']
    """

    lines: bool = True

    def rewrite(self, texts: list[str]) -> list[str]:
        """Tidy each text."""
        # Of all white space only the plain space is printable.
        return [
            text
            if text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " "
            else self._tidy(text)
            for text in texts
        ]

    def _tidy(self, text: str) -> str:
        if self.lines and "\n" in text:
            lines = [" ".join(line.split()) for line in text.split("\n")]
            tidy = BLANK_LINES.sub("\n\n", "\n".join(lines).strip())
        else:
            tidy = " ".join(text.split())
        return text if tidy == text else tidy
