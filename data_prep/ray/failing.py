"""What a cluster reports, in one clear line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hfpipe.errors import HfpipeError, RunError

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Turn what a cluster reports into one clear line.

    Raises:
        HfpipeError: What a task raised.
        RunError: The cluster failed.
    """
    import ray
    from ray.data.exceptions import SystemException

    try:
        yield
    except (ray.exceptions.RayError, SystemException) as error:
        raise _said(error) from error


def _said(error: BaseException) -> HfpipeError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HfpipeError):
            return type(cause)(*cause.args)
        cause = getattr(cause, "cause", None) or cause.__cause__
    return RunError(f"the Ray cluster failed: {_last_line(error)}; nothing was written")


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return (_lines(error) or [type(error).__name__])[0]


def _last_line(error: BaseException) -> str:
    """Where a task's traceback says what was wrong."""
    return (_lines(error) or [type(error).__name__])[-1]


def _lines(error: BaseException) -> list[str]:
    return [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
