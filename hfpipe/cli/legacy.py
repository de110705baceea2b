"""The original scripts' flags that differ from ours in more than their name."""

from __future__ import annotations

from collections.abc import Sequence


def modern_arguments(arguments: Sequence[str]) -> list[str]:
    """Rewrite a command line that uses the original scripts' way of writing.

    ``--examples`` stood for "classify the file's rows" when given alone and took a number of
    rows otherwise; Typer options cannot have an optional value, so ``--examples`` alone gets
    ``all``.

    >>> modern_arguments(["evaluate", "--examples", "--filename", "rows.jsonl"])
    ['evaluate', '--examples', 'all', '--filename', 'rows.jsonl']
    >>> modern_arguments(["evaluate", "--examples", "100"])
    ['evaluate', '--examples', '100']
    """
    modern: list[str] = []
    for position, argument in enumerate(arguments):
        modern.append(argument)
        following = arguments[position + 1] if position + 1 < len(arguments) else "--"
        if argument == "--examples" and not (following.isdigit() or following == "all"):
            modern.append("all")
    return modern
