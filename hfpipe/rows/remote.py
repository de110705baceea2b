"""Inputs that lie elsewhere: on a Hub, in S3, wherever fsspec reaches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from hfpipe.rows.sources import Source


class HubLike(Protocol):
    """A Hub and who we are on it."""

    @property
    def url(self) -> str:
        """Its address."""

    @property
    def token(self) -> str | None:
        """An access token."""


def find_in_hub(url: str, endpoint: HubLike | None) -> list[Source]:
    """Find the data files of a dataset repo."""
    raise NotImplementedError


def find_remote(url: str) -> Iterator[Source]:
    """Find files through fsspec."""
    raise NotImplementedError


def shown_url(url: str) -> str:
    """The address without credentials."""
    return url
