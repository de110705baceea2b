"""A served Hub for the tests of this folder, and the real client on it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# The client reads these when it is first imported, and remembers Xet uploads in HF_HOME.
if "huggingface_hub" not in sys.modules:
    os.environ.setdefault("HF_HOME", tempfile.mkdtemp(prefix="hfpipe-tests-"))
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from huggingface_hub import HfApi

from hfpipe.hub.embedded import serve_embedded
from hfpipe.hub.server.directory import open_hub


@dataclass
class Server:
    """A served hub directory with two users, and a client of each."""

    url: str
    token: str
    ada_token: str
    directory: Path

    def api(self, token: str | bool | None = None) -> HfApi:
        """Give a client: user ``local`` unless another token is given, False for nobody."""
        return HfApi(endpoint=self.url, token=self.token if token is None else token)

    @property
    def environment(self) -> dict[str, str]:
        """Give what a stranger's process needs, and nothing more."""
        mine = {"HF_ENDPOINT": self.url, "HF_TOKEN": self.token}
        return {**os.environ, "HF_HOME": tempfile.mkdtemp(), **mine}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve one directory for all tests of this process."""
    directory = tmp_path_factory.mktemp("served") / "hub"
    with serve_embedded(directory) as (url, token):
        ada = open_hub(directory).add_user("ada")
        yield Server(url, token, ada, directory)


_NUMBERS = itertools.count(1)


@pytest.fixture
def api(server: Server) -> HfApi:
    """Give the client of user ``local``."""
    return server.api()


@pytest.fixture
def repo(api: HfApi, request: pytest.FixtureRequest) -> str:
    """Make a private model repo of the test's own."""
    name = request.node.originalname.removeprefix("test_")
    repo_id = f"local/{name[:60]}-{next(_NUMBERS)}"
    api.create_repo(repo_id, private=True)
    return repo_id


@contextmanager
def running(directory: Path, token: str = "hf_test") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a server process that a test may kill; yields its address and itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hfpipe.hub.server", "--dir", str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HFPIPE_HUB_TOKEN": token},
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def run_server() -> Callable[..., object]:
    """Give :func:`running`."""
    return running
