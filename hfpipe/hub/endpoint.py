"""Which Hub a command talks to: the public one, another address, or the embedded one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hfpipe.errors import UserError

PUBLIC_HUB = "https://huggingface.co"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


@dataclass(frozen=True)
class Endpoint:
    """A Hub and who we are on it.

    Attributes:
        url: Address without a trailing slash.
        token: Access token, or None for anonymous use. Never shown.
        namespace: Put before a repo id that has none; None where it is not known yet.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    namespace: str | None = None

    def repo_id(self, name: str) -> str:
        """Give ``name`` its namespace, where it has none and one is known.

        >>> Endpoint("http://127.0.0.1:1", namespace="local").repo_id("topics")
        'local/topics'
        >>> Endpoint("http://127.0.0.1:1", namespace="local").repo_id("ada/topics")
        'ada/topics'
        """
        return name if "/" in name or not self.namespace else f"{self.namespace}/{name}"


@contextmanager
def connect(hub: str | None = None, token: str | None = None) -> Iterator[Endpoint]:
    """Settle which Hub is meant and make every client in this process use it.

    ``huggingface_hub`` reads its environment when it is first imported, so this sets
    ``HF_ENDPOINT``, ``HF_TOKEN`` and (embedded Hub only) ``HF_HOME`` before that.

    Args:
        hub: ``None`` (``HFPIPE_HUB``, else ``HF_ENDPOINT``, else the public Hub), an
            ``http(s)://`` address, or ``local[:DIR]``: an embedded Hub that lives as long as
            the block.
        token: An access token; by default the one of ``HF_TOKEN`` or of the token file.

    Yields:
        The endpoint.

    Raises:
        UserError: ``hub`` is none of these, the token cannot be one, or the clients were imported
            for another Hub.
    """
    wanted = hub or os.environ.get("HFPIPE_HUB") or os.environ.get("HF_ENDPOINT") or PUBLIC_HUB
    if wanted == "local" or wanted.startswith("local:"):
        with _embedded(wanted.removeprefix("local").removeprefix(":")) as endpoint:
            yield endpoint
    elif wanted.startswith(("http://", "https://")):
        url = wanted.rstrip("/")
        token = _sendable(token)
        _point_clients_at(url, token, home=None)
        yield Endpoint(url, token or _sendable(_known_token()))
    else:
        raise UserError(
            f"--hub {wanted}: not a Hub; give an http(s):// address, 'local' or 'local:DIR'"
        )


@contextmanager
def _embedded(directory: str) -> Iterator[Endpoint]:
    from hfpipe.hub.embedded import default_directory, serve_embedded

    root = Path(directory).expanduser() if directory else default_directory()
    with serve_embedded(root) as (url, token):
        # The clients' caches are keyed by repo id, not by address: a cache of its own keeps
        # a repo of this Hub and its namesake on the public one apart.
        _point_clients_at(url, token, home=root / "client")
        yield Endpoint(url, token, namespace="local")


def _point_clients_at(url: str, token: str | None, home: Path | None) -> None:
    os.environ["HF_ENDPOINT"] = url
    if token:
        os.environ["HF_TOKEN"] = token
    if home is not None:
        os.environ["HF_HOME"] = str(home)
        for name in OFFLINE:  # offline means no network; loopback is none
            os.environ.pop(name, None)
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None and constants.ENDPOINT != url:
        raise UserError(
            f"this process already talks to the Hub at {constants.ENDPOINT}; "
            f"use {url} from a fresh process, or set HF_ENDPOINT before importing huggingface_hub"
        )


def _sendable(token: str | None) -> str | None:
    """The token without surrounding space; one that no header can hold is refused unseen.

    Raises:
        UserError: It would be named, whole, in the client's own error.
    """
    bare = (token or "").strip()
    if not all("!" <= character <= "~" for character in bare):
        raise UserError(
            "the Hub token has a space, a line break or a character beyond ASCII in it: copy it "
            "again, without what surrounds it"
        )
    return bare or None


def _known_token() -> str | None:
    from huggingface_hub import get_token

    return get_token()
