"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from hfpipe.errors import UserError


@contextmanager
def written_whole(path: str | Path) -> Iterator[TextIO]:
    """Open a text file that takes its name only when the block ends without an error.

    Until then it has a temporary name in the same folder; folders are made as needed.

    >>> folder = tempfile.mkdtemp()
    >>> with written_whole(f"{folder}/a.txt") as file:
    ...     _ = file.write("all of it")
    >>> os.listdir(folder)
    ['a.txt']

    Args:
        path: Where the file will be; what is there is replaced.

    Yields:
        The open file, UTF-8 with plain newlines.

    Raises:
        UserError: The folder cannot be written to.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}); choose another") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
        # mkstemp gives 0600; a result file is as readable as any other new file.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def write_text(path: str | Path, text: str) -> Path:
    """Write ``text`` to ``path``, whole or not at all; gives the path."""
    with written_whole(path) as file:
        file.write(text)
    return Path(path)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
