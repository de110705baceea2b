"""What the server answers when it refuses: a status, a line, and the Hub's error code.

The real clients choose their exception by the ``X-Error-Code`` header, so the
codes here are the Hub's own; the line goes into ``X-Error-Message`` and the body.
"""

from __future__ import annotations

from collections.abc import Mapping

BAD_TOKEN = "Invalid credentials in Authorization header"


class Refusal(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        message: One line for the person at the other end.
        code: The Hub's ``X-Error-Code``, where the clients know one.
        headers: Further response headers.
        body: Further keys of the JSON body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})
        self.body = dict(body or {})

    def all_headers(self) -> dict[str, str]:
        """Give the response headers, the error code and message included.

        >>> Refusal(404, "no such file", "EntryNotFound").all_headers()
        {'X-Error-Message': 'no such file', 'X-Error-Code': 'EntryNotFound'}
        """
        line = "".join(char if char.isprintable() else " " for char in self.message)
        line = line.encode("latin-1", "replace").decode("latin-1")
        code = {"X-Error-Code": self.code} if self.code else {}
        return {"X-Error-Message": line, **code, **self.headers}


def bad_request(message: str) -> Refusal:
    """Refuse a request that cannot be understood or is not allowed in this form (400)."""
    return Refusal(400, message)


def bad_token() -> Refusal:
    """Refuse a token that no user has (401, with the very message the clients look for)."""
    return Refusal(401, BAD_TOKEN)


def sign_in_first() -> Refusal:
    """Refuse an anonymous request for something that needs a user (401)."""
    return Refusal(401, "This needs a token: send it as 'Authorization: Bearer TOKEN'")


def forbidden(message: str) -> Refusal:
    """Refuse a user who may read but not do this (403)."""
    return Refusal(403, message, "Forbidden")


def repo_not_found(repo: str, anonymous: bool) -> Refusal:
    """Refuse a repo that is not there, or not there for this caller.

    Missing and private repos are answered alike, so that nobody learns which
    private names exist. Over plain http the clients know a missing repo only by
    its code, hence the code on the 401 too.
    """
    return Refusal(401 if anonymous else 404, f"Repository not found: {repo}", "RepoNotFound")


def revision_not_found(repo: str, revision: str) -> Refusal:
    """Refuse a branch, tag or commit that the repo does not have."""
    return Refusal(404, f"Invalid rev id: {revision} (in {repo})", "RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> Refusal:
    """Refuse a path that the revision does not have, naming the commit looked at."""
    headers = {"X-Repo-Commit": commit} if commit else {}
    return Refusal(404, f"Entry not found: {path}", "EntryNotFound", headers)
