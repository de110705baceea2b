"""For the tests of data preparation: the command line is put together once, not once a call."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
import typer.main


@pytest.fixture(scope="package", autouse=True)
def one_command() -> Iterator[None]:
    """Reading the types of all options takes longer than most calls, and gives the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        yield
