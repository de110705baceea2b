"""The two kinds of steps, and what steps share."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

#: A text that still changes after so many rounds was made to do so.
ROUNDS = 8


@runtime_checkable
class Rewriter(Protocol):
    """A step that changes texts."""

    def rewrite(self, texts: list[str]) -> list[str]:
        """Give each text as it shall be: the very same object where nothing changes."""


@runtime_checkable
class Judge(Protocol):
    """A step that says which texts to drop.

    Attributes:
        reasons: Reason to its words in the account of rows.
    """

    reasons: ClassVar[dict[str, str]]

    def judge(self, texts: list[str]) -> list[str | None]:
        """Give each text the reason to drop it, or None to keep it."""


Step = Rewriter | Judge


def settled(rewrite: Callable[[str], str], text: str) -> str:
    """Rewrite a text until that changes nothing any more, so that doing it again would not either.

    Args:
        rewrite: One round.
        text: The text; given back as it is if it has not settled after eight rounds.

    >>> settled(lambda text: text.replace("aa", "a"), "aaaa")
    'a'
    """
    now = text
    for _ in range(ROUNDS):
        before, now = now, rewrite(now)
        if now == before:
            return text if now == text else now
    return text
