"""Neither too short nor too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hfpipe.errors import UserError


@dataclass(frozen=True)
class Length:
    """Drop texts that are too short or too long.

    Attributes:
        min_characters: At least so many characters.
        max_characters: At most so many characters.
        min_words: At least so many words, which are what stands between white space (so a Chinese
            sentence is one).
        max_words: At most so many words.

    >>> Length(min_words=2, max_characters=9).judge(["cat", "a cat", "a black cat"])
    ['too_short', None, 'too_long']
    """

    min_characters: int = 1
    max_characters: int | None = 100_000
    min_words: int = 0
    max_words: int | None = None

    reasons: ClassVar[dict[str, str]] = {
        "too_short": "shorter than the bound",
        "too_long": "longer than the bound",
    }

    def __post_init__(self) -> None:
        for unit in ("characters", "words"):
            low, high = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if low < 0:
                raise UserError(f"min_{unit} {low} is below 0")
            if high is not None and high < low:
                raise UserError(f"max_{unit} {high} is below min_{unit} {low}")

    def judge(self, texts: list[str]) -> list[str | None]:
        """Measure each text."""
        low, high = self.min_characters, self.max_characters
        most = float("inf") if high is None else high
        reasons = [
            None if low <= length <= most else "too_short" if length < low else "too_long"
            for length in map(len, texts)
        ]
        if self.min_words or self.max_words is not None:
            return [
                reason or self._by_words(text) for reason, text in zip(reasons, texts, strict=True)
            ]
        return reasons

    def _by_words(self, text: str) -> str | None:
        words = len(text.split())
        if words < self.min_words:
            return "too_short"
        return "too_long" if self.max_words is not None and words > self.max_words else None
