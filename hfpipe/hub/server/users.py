"""Who may use a hub: names with the sha256 of their tokens, never the tokens."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hfpipe.errors import UserError
from hfpipe.hub.server.errors import Refusal
from hfpipe.hub.server.files import write_json
from hfpipe.hub.server.names import check_namespace


def new_token() -> str:
    """Make a token that nobody can guess, in the shape that the clients expect.

    >>> new_token().startswith("hf_")
    True
    """
    return "hf_" + secrets.token_urlsafe(32)


def find(path: Path, token: str) -> str | None:
    """Say whose ``token`` it is, None where it is nobody's."""
    wanted = hashlib.sha256(token.encode()).hexdigest()
    for name, about in _load(path).items():
        if secrets.compare_digest(str(about.get("token_sha256")), wanted):
            return name
    return None


def add(path: Path, name: str) -> str:
    """Add user ``name`` and return the token, whose sha256 alone is kept.

    Raises:
        UserError: For a name that is taken or that cannot be one.
    """
    try:
        check_namespace(name)
    except Refusal as refusal:
        raise UserError(refusal.message) from None
    known = _load(path)
    if name in known:
        raise UserError(f"There is a user {name!r} already; choose another name")
    token = new_token()
    known[name] = {
        "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(path, known)
    return token


def names(path: Path) -> list[str]:
    """Name the users in alphabetical order."""
    return sorted(_load(path))


def _load(path: Path) -> dict[str, dict[str, Any]]:
    try:
        loaded: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return loaded
