"""What may be the name of a user, a repo, a branch or a file in a repo."""

from __future__ import annotations

import re
from typing import Literal, get_args

from hfpipe.hub.server.errors import bad_request

Kind = Literal["models", "datasets", "spaces"]

KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_MAX_PATH = 1024


def check_kind(text: str) -> Kind:
    """Read ``models``, ``datasets`` or ``spaces``; the singular is right too.

    >>> check_kind("dataset")
    'datasets'
    """
    plural = text if text.endswith("s") else text + "s"
    if plural not in KINDS:
        raise bad_request(f"There is no repo type {text!r}: it is model, dataset or space")
    return plural


# Names that begin other addresses of the server.
_RESERVED = {"api", "datasets", "lfs", "models", "spaces", "xet"}


def check_name(text: str, what: str = "name") -> str:
    """Check the name of a user or of a repo; it becomes a folder, so it is kept strict.

    >>> check_name("all-MiniLM-L6-v2")
    'all-MiniLM-L6-v2'
    """
    bad_end = text.lower().endswith((".git", ".ipynb", ".lock"))
    if not _NAME.match(text) or ".." in text or "--" in text or bad_end:
        raise bad_request(
            f"{text!r} cannot be a {what}: use at most 96 letters, digits, '-', '_' and '.',"
            " starting with a letter or digit, without '--', '..', '.git' or '.ipynb'"
        )
    return text


def split_repo_id(repo_id: str) -> tuple[str, str]:
    """Split ``namespace/name`` and check both halves.

    >>> split_repo_id("local/topics")
    ('local', 'topics')
    """
    namespace, slash, name = repo_id.partition("/")
    if not slash:
        raise bad_request(f"{repo_id!r} is not a repo id: it is NAMESPACE/NAME")
    return check_namespace(namespace), check_name(name, "repo name")


def check_namespace(text: str) -> str:
    """Check the name of a user; some names begin other addresses and are not to be had.

    >>> check_namespace("local")
    'local'
    """
    if text.lower() in _RESERVED:
        raise bad_request(f"{text!r} is a reserved name; choose another")
    return check_name(text, "namespace")


def check_path(text: str) -> str:
    """Check a file's path in a repo: relative, plain and nothing that git gives a meaning.

    >>> check_path("data/train.parquet")
    'data/train.parquet'
    >>> check_path("../secret")
    Traceback (most recent call last):
    ...
    hfpipe.hub.server.errors.Refusal: Invalid path '../secret': '..' is not allowed in it
    """
    parts = text.split("/")
    reason = _path_fault(text, parts)
    if reason:
        raise bad_request(f"Invalid path {text!r}: {reason}")
    return text


def _path_fault(text: str, parts: list[str]) -> str | None:
    """Say what is wrong with a path, None where nothing is."""
    if not text or len(text.encode("utf-8", "replace")) > _MAX_PATH:
        return f"it must have between 1 and {_MAX_PATH} bytes"
    if text.startswith("/"):
        return "it must be relative to the repo"
    if "\\" in text or any(ord(char) < 32 or ord(char) == 127 for char in text):
        return "backslashes and control characters are not allowed in it"
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        return "it is not valid Unicode"
    for part in parts:
        if part in (".", ".."):
            return f"{part!r} is not allowed in it"
        # Git itself refuses these spellings too: some file systems read them as ".git".
        if part.lower().rstrip(" .") == ".git" or part.lower().startswith("git~"):
            return "'.git' is not allowed in it"
        if not part:
            return "it has an empty folder name"
    return None


def check_sha256(text: object) -> str:
    """Check a sha256 in lowercase hexadecimal."""
    if not isinstance(text, str) or not _SHA256.match(text):
        raise bad_request(f"{text!r} is not a sha256 in lowercase hexadecimal")
    return text
