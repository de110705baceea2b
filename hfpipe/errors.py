"""The errors a person sees: one clear line that names the place and the fix.

The command line prints ``str(error)`` and leaves with ``error.exit_code``; a
traceback appears only under ``--debug``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HfpipeError(Exception):
    r"""Base of every error that hfpipe raises on purpose.

    Args:
        message: Made one line, whatever values of the user's it quotes.

    >>> str(UserError("no label 'a\nb'"))
    "no label 'a b'"
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(" ".join(str(message).splitlines()))


class UserError(HfpipeError):
    """What the user gave is wrong: a file, column, key, repo id or token. Exit code 2."""

    exit_code = 2


class RunError(HfpipeError):
    """What was asked for was right, but it failed: network, disk, server. Exit code 1."""

    exit_code = 1


def nearest(name: str, options: Iterable[str], limit: int = 3) -> str:
    """Say which known names look like ``name``, ready to be put behind a message.

    Args:
        name: What the user wrote.
        options: The names that exist.
        limit: At most so many suggestions.

    Returns:
        ``"; did you mean 'a' or 'b'?"``, or, where nothing is near, the options
        themselves: ``"; there is 'x', 'y'"``. Empty where there are no options.

    >>> nearest("definitoin", ["id", "definition", "subject"])
    "; did you mean 'definition'?"
    >>> nearest("zzz", ["id", "subject"])
    "; there is 'id', 'subject'"
    """
    known = [str(option) for option in options]
    if not known:
        return ""
    close = difflib.get_close_matches(str(name), known, n=limit, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(f"'{match}'" for match in close) + "?"
    shown = known[:12]
    rest = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    return "; there is " + ", ".join(f"'{option}'" for option in shown) + rest
