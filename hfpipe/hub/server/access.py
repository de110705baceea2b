"""Who is asking, and what may they see and change."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from urllib.parse import unquote

from starlette.requests import Request

from hfpipe.hub.server.directory import Hub
from hfpipe.hub.server.errors import (
    Refusal,
    bad_token,
    forbidden,
    repo_not_found,
    sign_in_first,
)
from hfpipe.hub.server.names import KINDS, Kind, check_kind, split_repo_id
from hfpipe.hub.server.repository import Repo


def hub_of(request: Request) -> Hub:
    """Give the hub that the application serves."""
    hub: Hub = request.app.state.hub
    return hub


def param(request: Request, name: str) -> str:
    """Give one part of the address, unquoted.

    Addresses are matched as they were sent, since a quoted slash belongs to a
    revision's name (``refs%2Fpr%2F1``) and a plain one does not.
    """
    return unquote(request.path_params[name])


def caller(request: Request) -> str | None:
    """Name the user whose token was sent, None for an anonymous request.

    A token that nobody has is refused, even where no token is needed: the person
    should hear of it, not find a repo missing.
    """
    token = _token(request.headers.get("authorization", ""))
    if token is None:
        return None
    user = hub_of(request).user_of(token)
    if user is None:
        raise bad_token()
    return user


def _token(header: str) -> str | None:
    """Read the token of an Authorization header; git sends it as a password."""
    scheme, _, value = header.partition(" ")
    if not value.strip():
        return None
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            raise bad_token() from None
    raise bad_token()


def signed_in(request: Request) -> str:
    """Name the user, refusing an anonymous request."""
    user = caller(request)
    if user is None:
        raise sign_in_first()
    return user


def kind_of(request: Request) -> Kind:
    """Read the repo type from the address; one without a type means a model."""
    first = request.scope["path"].split("/", 2)[1]
    kind = request.path_params.get("kind", first if first in KINDS[1:] else KINDS[0])
    try:
        return check_kind(kind)
    except Refusal:
        raise Refusal(404, f"There is nothing at {request.url.path}") from None


def readable(request: Request) -> Repo:
    """Find the repo that the address names, for a caller who may see it."""
    user = caller(request)
    namespace, name = param(request, "namespace"), param(request, "name")
    return visible(hub_of(request), kind_of(request), f"{namespace}/{name}", user)


def visible(hub: Hub, kind: Kind, repo_id: str, user: str | None) -> Repo:
    """Find a repo for ``user``; a private one of somebody else is as good as missing."""
    try:
        namespace, name = split_repo_id(repo_id)
    except Refusal:  # what cannot be a repo's name is no repo's name
        raise repo_not_found(repo_id, anonymous=user is None) from None
    repo = hub.find(kind, namespace, name)
    if repo is None or (repo.private and user != namespace):
        raise repo_not_found(repo_id, anonymous=user is None)
    return repo


def writable(request: Request) -> tuple[Repo, str]:
    """Find the repo that the address names, for a caller who may change it."""
    user = signed_in(request)
    repo = readable(request)
    check_owner(user, repo.namespace)
    return repo, user


def check_owner(user: str, namespace: str) -> None:
    """Refuse to change what belongs to another namespace."""
    if user != namespace:
        raise forbidden(
            f"User '{user}' may not write to the namespace '{namespace}', only to '{user}'"
        )


def sign(hub: Hub, purpose: str, user: str, seconds: int) -> str:
    """Make a short-lived token that is good for one purpose, with nothing stored.

    Args:
        hub: Whose secret signs; every server of the directory can check it.
        purpose: What it is good for; checked again, never sent.
        user: Whom it speaks for.
        seconds: How long it lasts.
    """
    expires = int(time.time()) + seconds
    return f"{user}~{expires}~{_mac(hub, purpose, user, expires)}"


def check_signature(hub: Hub, purpose: str, token: str) -> str:
    """Check a token of :func:`sign` and name its user."""
    user, _, rest = token.partition("~")
    expires, _, mac = rest.partition("~")
    if not expires.isdecimal() or not hmac.compare_digest(
        mac.encode(), _mac(hub, purpose, user, int(expires)).encode()
    ):
        raise forbidden("This upload address or token is not valid")
    if int(expires) < time.time():
        raise Refusal(401, "This upload address or token has expired; ask for a new one")
    return user


def _mac(hub: Hub, purpose: str, user: str, expires: int) -> str:
    text = "\n".join((purpose, user, str(expires))).encode()
    return hmac.new(hub.secret, text, hashlib.sha256).hexdigest()


def base_url(request: Request) -> str:
    """Give the address at which this client reached the hub, without a slash at the end."""
    return str(request.base_url).rstrip("/")
