"""The languages that are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

from hfpipe.errors import UserError, nearest

#: What the library calls text in no language: numbers, addresses.
NONE = "zxx"
#: Enough to tell a language; a longer text is known by its beginning.
LOOKED_AT = 2_000


@dataclass(frozen=True)
class Language:
    """Drop texts that are surely in another language (needs ``hfpipe[language]``).

    A text stays unless another language is far likelier than every one of those kept; so a short
    text, of which little can be told, stays. A single word of ASCII letters always does, and so
    does what is in no language, such as a number.

    Attributes:
        keep: Codes of the languages to keep (ISO 639-1, where there is none 639-3).
        confidence: Drop where the likeliest other language holds at least this share of the
            probability of the two, itself and the likeliest one kept (0.95: nineteen to one).

    >>> Language().judge(["a small cat", "Der Hund läuft über die Straße"])
    [None, 'other_language']
    """

    keep: tuple[str, ...] = ("en",)
    confidence: float = 0.95

    reasons: ClassVar[dict[str, str]] = {"other_language": "in a language that is not kept"}

    def __post_init__(self) -> None:
        if find_spec("py3langid") is None:
            raise UserError("it needs py3langid: pip install 'hfpipe[language]'")
        if not 0.5 <= self.confidence <= 1:
            raise UserError(f"confidence {self.confidence:g} is not between 0.5 and 1")
        if not self.keep:
            raise UserError("keep names no language, as keep: [en]")
        known = _identifier().labels
        for code in self.keep:
            if code not in known:
                raise UserError(f"no language '{code}'{nearest(code, known)}")

    def judge(self, texts: list[str]) -> list[str | None]:
        """Tell each text's language."""
        return [self._judged(text) for text in texts]

    def _judged(self, text: str) -> str | None:
        start = text[:LOOKED_AT]
        if start.isascii() and len(start.split()) < 2:
            return None
        guess, _ = _identifier().classify(start)
        if guess in self.keep or guess == NONE:
            return None
        chances = dict(_identifier().rank(start))
        kept = max(chances[code] for code in self.keep)
        other = chances[guess]
        return "other_language" if other >= self.confidence * (other + kept) else None


@cache
def _identifier() -> Any:
    """The library's own model, which comes with it and is no pickle."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
