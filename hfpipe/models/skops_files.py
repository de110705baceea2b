"""scikit-learn parts on disk: skops files, whose types are checked before anything is built."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hfpipe.errors import RunError, UserError


def save_skops(part: Any, path: Path, trusted: Collection[str]) -> None:
    """Write a fitted scikit-learn part.

    Args:
        part: An estimator, pipeline or transformer.
        path: ``….skops``.
        trusted: The types beyond skops' own list that it may hold: those the loader lets in.

    Raises:
        RunError: It holds another type, and could not be loaded back.
    """
    from skops import io

    content = io.dumps(part)
    strange = sorted(set(io.get_untrusted_types(data=content)) - set(trusted))
    if strange:
        raise RunError(f"{path.name} would hold {strange[0]}, which is not in the trusted types")
    path.write_bytes(content)


def load_skops(path: Path, trusted: Collection[str]) -> Any:
    """Read a part back; no code of the file runs, and no type that is not listed is built.

    Args:
        path: ``….skops``.
        trusted: The types beyond skops' own list that are let in.

    Raises:
        UserError: No such file, not a skops file, or one with a type that is not listed.
    """
    from skops import io

    if not path.is_file():
        raise UserError(f"{path}: no such file; the model repo lacks its scikit-learn part")
    try:
        strange = sorted(set(io.get_untrusted_types(file=path)) - set(trusted))
        if strange:
            raise UserError(
                f"{path.name} holds {', '.join(strange[:3])}: not among the types that hfpipe "
                "trusts in it; it was not made by this version of hfpipe, and is not loaded"
            )
        return io.load(path, trusted=list(trusted))
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, ImportError) as error:
        cause = " ".join(str(error).split())[:160]
        raise UserError(f"{path.name} is no skops file that loads here: {cause}") from error
