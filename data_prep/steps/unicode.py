"""Mend broken Unicode."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from unicodedata import is_normalized

from data_prep.steps._kinds import settled


@dataclass(frozen=True)
class Unicode:
    """Mend text that was decoded wrongly, and give every character its one usual form.

    What ``ftfy`` is sure about: mojibake (``Ã©`` for ``é``), C1 codes that stand for Windows-1252
    characters, surrogates, Latin ligatures. What it could also do to text that is not broken (curly
    quotes, full-width characters, entities) is left to the options.

    Attributes:
        form: Normal form of the result.
        html_entities: Also turn ``&amp;`` and its like into characters.
        straight_quotes: Also make curly quotation marks straight.
        width: Also give full-width Latin and half-width Katakana their usual width.

    >>> Unicode().rewrite(["cafÃ©", "a cat"])
    ['café', 'a cat']
    """

    form: Literal["NFC", "NFKC", "NFD", "NFKD"] = "NFC"
    html_entities: bool = False
    straight_quotes: bool = False
    width: bool = False

    def rewrite(self, texts: list[str]) -> list[str]:
        """Mend each text."""
        entities = self.html_entities
        # Nothing but an entity can be wrong with ASCII.
        return [
            text if text.isascii() and not (entities and "&" in text) else self._mended(text)
            for text in texts
        ]

    def _mended(self, text: str) -> str:
        return text if self._is_sound(text) else settled(self._once, text)

    def _once(self, text: str) -> str:
        from ftfy import fix_text
        from ftfy.fixes import unescape_html

        if self.html_entities:
            text = unescape_html(text)
        return fix_text(text, self._config)

    def _is_sound(self, text: str) -> bool:
        """Whether ftfy would leave the text alone; quicker than having it try all its repairs."""
        from ftfy.badness import is_bad

        return (
            is_normalized(self.form, text)
            and not is_bad(text)
            and not self._touched.search(text)
            and not (self.html_entities and "&" in text)
        )

    @cached_property
    def _touched(self) -> Any:
        """Finds a character that a repair without context would replace."""
        import re

        from ftfy.chardata import LIGATURES, WIDTH_MAP

        codes = {*LIGATURES, *range(0xD800, 0xE000)}
        codes.update(WIDTH_MAP if self.width else ())
        if self.straight_quotes:
            codes.update((0x02BC, *range(0x2018, 0x2020)))
        return re.compile("[" + "".join(map(chr, sorted(codes))) + "]")

    @cached_property
    def _config(self) -> Any:
        from ftfy import TextFixerConfig

        return TextFixerConfig(
            unescape_html=False,
            remove_terminal_escapes=False,
            fix_character_width=self.width,
            uncurl_quotes=self.straight_quotes,
            fix_line_breaks=False,
            remove_control_chars=False,
            normalization=self.form,
            explain=False,
        )
