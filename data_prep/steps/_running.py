"""Several steps, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.steps._kinds import Rewriter, Step


def run_steps(steps: Sequence[Step], texts: Sequence[str]) -> tuple[list[str], list[str | None]]:
    """Put texts through steps in their order.

    A judge sees the texts as the steps before it left them. The first reason counts: a text that
    has one is put through no further step.

    Args:
        steps: As ``build_steps`` gives them.
        texts: The texts.

    Returns:
        The texts as they are now (the same object where nothing changed), and the reason to drop
        each, or None.

    >>> from data_prep.steps import build_steps
    >>> run_steps(build_steps(["whitespace", "length:min_characters=3"]), ["a  cat", " a "])
    (['a cat', 'a'], [None, 'too_short'])
    """
    now = list(texts)
    reasons: list[str | None] = [None] * len(now)
    alive = list(range(len(now)))
    for step in steps:
        given = now if len(alive) == len(now) else [now[i] for i in alive]
        if isinstance(step, Rewriter):
            for i, text in zip(alive, step.rewrite(given), strict=True):
                now[i] = text
        else:
            for i, reason in zip(alive, step.judge(given), strict=True):
                reasons[i] = reason
            alive = [i for i in alive if reasons[i] is None]
    return now, reasons
