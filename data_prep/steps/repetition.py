"""Text that repeats itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from hfpipe.errors import UserError

#: Shortest run of one character, and fewest words, that can be called repetitive.
SHORTEST_RUN = 10
FEWEST_WORDS = 10


@dataclass(frozen=True)
class Repetition:
    """Drop texts that repeat themselves.

    The rules and numbers of Rae et al. (2021, "Scaling Language Models: Methods, Analysis &
    Insights from Training Gopher", table A1) for texts of ``min_words`` or more; they are about
    documents, and a paragraph may break them by chance. Two rules of our own are for shorter texts
    too: more than half of a text is one character in a row, or a short text says few words over
    and over.

    Attributes:
        min_words: The paper's rules are for texts of so many words (its documents have 50 or more).
        lines: Largest share of lines that an earlier line says too.
        line_characters: Largest share of characters in such lines.
        paragraphs: Largest share of paragraphs that an earlier one says too.
        paragraph_characters: Largest share of characters in such paragraphs.
        top_2: Largest share of characters in the most frequent pair of words.
        top_3: The same of three words.
        top_4: The same of four words.
        repeated_5: Largest share of characters in what five words say again; for six to ten words
            it is 0.01 less for each word more.
        run: Largest share of one character in a row, from 10 characters.
        distinct: Smallest share of distinct words, for texts of 10 words up to ``min_words``.

    >>> Repetition().judge(["a rose is a rose is a rose", "buy now " * 9, "aaaaaaaaaaargh"])
    [None, 'repetitive', 'repetitive']
    """

    min_words: int = 100
    lines: float = 0.30
    line_characters: float = 0.20
    paragraphs: float = 0.30
    paragraph_characters: float = 0.20
    top_2: float = 0.20
    top_3: float = 0.18
    top_4: float = 0.16
    repeated_5: float = 0.15
    run: float = 0.5
    distinct: float = 0.2

    reasons: ClassVar[dict[str, str]] = {"repetitive": "repeats itself"}

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "min_words" and value < 1:
                raise UserError(f"min_words {value} is below 1")
            if name == "run" and not 0.5 <= value <= 1:
                raise UserError(f"run {value:g} is not between 0.5 and 1")
            if not 0 <= value <= 1 and name != "min_words":
                raise UserError(f"{name} {value:g} is not between 0 and 1")

    def judge(self, texts: list[str]) -> list[str | None]:
        """Look for repetition in each text."""
        return ["repetitive" if self._repeats(text) else None for text in texts]

    def _repeats(self, text: str) -> bool:
        if len(text) >= SHORTEST_RUN and _middle_run(text) > self.run * len(text):
            return True
        # A word has a character and a space, so few characters settle it without counting words.
        if len(text) < 2 * FEWEST_WORDS - 1:
            return False
        words = text.split()
        if len(words) < FEWEST_WORDS:
            return False
        if len(words) < self.min_words:
            return len(set(words)) < self.distinct * len(words)
        return self._repeats_lines(text) or self._repeats_words(words)

    def _repeats_lines(self, text: str) -> bool:
        if "\n" not in text:
            return False
        lines = [line.strip() for line in text.split("\n")]
        paragraphs = [part.strip() for part in "\n".join(lines).split("\n\n")]
        return _too_many_again(lines, self.lines, self.line_characters) or _too_many_again(
            paragraphs, self.paragraphs, self.paragraph_characters
        )

    def _repeats_words(self, words: list[str]) -> bool:
        total = sum(map(len, words))
        for size, most in ((2, self.top_2), (3, self.top_3), (4, self.top_4)):
            counts = Counter(grams(words, size))
            if len(counts) == len(words) - size + 1:
                return False  # no words are said twice, so no more of them are either
            if _top_characters(words, counts, size, most * total) > most * total:
                return True
        for size in range(5, 11):
            characters = repeated_characters(words, size)
            # What ten words say again, nine do: it can only become less.
            if characters <= self._most_again(10) * total:
                return False
            if characters > self._most_again(size) * total:
                return True
        return False

    def _most_again(self, size: int) -> float:
        return max(0.0, round(self.repeated_5 - (size - 5) / 100, 9))


def grams(words: Sequence[str], size: int) -> zip[tuple[str, ...]]:
    """All runs of ``size`` words.

    >>> list(grams(["a", "b", "c"], 2))
    [('a', 'b'), ('b', 'c')]
    """
    return zip(*(islice(words, start, None) for start in range(size)), strict=False)


def repeated_characters(words: Sequence[str], size: int) -> int:
    """Characters of the words in runs of ``size`` words that began before; each counts once.

    >>> repeated_characters(["so", "it", "goes", "so", "it", "goes"], 3)
    8
    """
    seen: set[tuple[str, ...]] = set(grams(words, size))
    if len(seen) == max(0, len(words) - size + 1):
        return 0
    seen.clear()
    characters, counted = 0, 0  # all words before position `counted` are settled
    for start, gram in enumerate(grams(words, size)):
        if gram in seen:
            characters += sum(map(len, words[max(start, counted) : start + size]))
            counted = start + size
        else:
            seen.add(gram)
    return characters


def _top_characters(
    words: Sequence[str], counts: Counter[tuple[str, ...]], size: int, limit: float
) -> int:
    """Characters in all occurrences of the most frequent run of words, the longest such run.

    Where they cannot exceed the limit even if none overlapped, what they could be is told.
    """
    times = max(counts.values())
    top = max((gram for gram, count in counts.items() if count == times), key=_length)
    if times == 1:
        return 0
    if times * _length(top) <= limit:
        return times * _length(top)
    characters, counted = 0, 0
    for start, gram in enumerate(grams(words, size)):
        if gram == top:
            characters += sum(map(len, words[max(start, counted) : start + size]))
            counted = start + size
    return characters


def _length(gram: tuple[str, ...]) -> int:
    return sum(map(len, gram))


def _too_many_again(parts: Sequence[str], most: float, most_characters: float) -> bool:
    """Whether too many parts, or too much of the text, is what an earlier part says."""
    counts = Counter(filter(None, parts))
    again = counts.total() - len(counts)
    if not again:
        return False
    characters = sum(len(part) * count for part, count in counts.items())
    repeated = characters - sum(map(len, counts))
    return again > most * counts.total() or repeated > most_characters * characters


def _middle_run(text: str) -> int:
    """Length of the run of one character in the middle, which a run of more than half covers.

    >>> _middle_run("oh nooooo"), _middle_run("abc")
    (5, 1)
    """
    middle = len(text) // 2
    character = text[middle]
    if character not in text[middle - 1 : middle] + text[middle + 1 : middle + 2]:
        return 1
    before, after = text[:middle], text[middle:]
    left = len(before) - len(before.rstrip(character))
    return left + len(after) - len(after.lstrip(character))
