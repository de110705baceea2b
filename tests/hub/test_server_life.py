"""A server starts fast, ends with its block, survives restarts, kills and a second server."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import httpx2
import pygit2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from hfpipe.errors import UserError
from hfpipe.hub.embedded import default_directory, serve_embedded


def alive(pid: int) -> bool:
    """Say whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_starts_within_two_seconds_and_ends_with_its_block(tmp_path) -> None:
    start = time.monotonic()
    with serve_embedded(tmp_path / "hub") as (url, token):
        took = time.monotonic() - start
        assert HfApi(endpoint=url, token=token).whoami()["name"] == "local"
    assert took < 2
    with pytest.raises(Exception, match="refused"):
        HfApi(endpoint=url, token=token).whoami()


def test_content_outlives_the_server(tmp_path) -> None:
    large = random.Random(1).randbytes(400_000)
    with serve_embedded(tmp_path / "hub") as (url, token):
        api = HfApi(endpoint=url, token=token)
        api.create_repo("local/kept", private=True)
        files = {"a.txt": b"small", "w.bin": large}
        operations = [CommitOperationAdd(*item) for item in files.items()]
        oid = api.create_commit("local/kept", operations, commit_message="Keep").oid
    with serve_embedded(tmp_path / "hub") as (url, new_token):
        assert new_token != token
        api = HfApi(endpoint=url, token=new_token)
        info = api.model_info("local/kept")
        assert (info.sha, info.private) == (oid, True)
        path = api.hf_hub_download("local/kept", "w.bin", local_dir=tmp_path / "copy")
        assert Path(path).read_bytes() == large


def test_ends_when_its_parent_is_killed(tmp_path) -> None:
    script = """
        import sys, time, urllib.request
        from pathlib import Path
        from hfpipe.hub.embedded import serve_embedded
        with serve_embedded(Path(sys.argv[1])) as (url, token):
            import psutil
            print(psutil.Process().children()[0].pid, flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "hub")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    limit = time.monotonic() + 5
    while alive(child) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not alive(child)


def test_two_servers_on_one_directory_lose_no_commit(tmp_path, run_server) -> None:
    with (
        run_server(tmp_path / "hub") as (one, _),
        run_server(tmp_path / "hub") as (two, _),
    ):
        HfApi(endpoint=one, token="hf_test").create_repo("local/shared")
        errors: list[Exception] = []

        def write(url: str, name: str) -> None:
            api = HfApi(endpoint=url, token="hf_test")
            try:
                for i in range(8):
                    operation = CommitOperationAdd(f"{name}/{i}.txt", f"{name} {i}".encode())
                    api.create_commit("local/shared", [operation], commit_message=f"{name} {i}")
            except Exception as error:
                errors.append(error)

        writers = [(url, f"w{i}{j}") for i, url in enumerate((one, two)) for j in range(2)]
        threads = [threading.Thread(target=write, args=writer) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        api = HfApi(endpoint=two, token="hf_test")
        assert len(api.list_repo_commits("local/shared")) == 1 + 32
        assert len(api.list_repo_files("local/shared")) == 1 + 32


def write_until_killed(url: str, attempt: int, finished: list[int], first: threading.Event) -> None:
    """Make commits of twenty files each until the server is gone."""
    headers = {"Authorization": "Bearer hf_test"}
    address = f"{url}/api/models/local/tough/commit/main"
    for i in range(1000):
        texts = {f"{n}.txt": f"{attempt} {i} {n} " * 9000 for n in range(20)}
        lines: list[object] = [{"key": "header", "value": {"summary": f"{attempt} {i}"}}]
        for path, text in texts.items():
            lines.append({"key": "file", "value": {"path": path, "content": text}})
        body = "\n".join(map(json.dumps, lines))
        try:
            httpx2.post(address, content=body, headers=headers).raise_for_status()
        except httpx2.HTTPError:
            return
        finished.append(i)
        first.set()


def test_kill_in_the_middle_of_commits_leaves_a_whole_repo(tmp_path, run_server) -> None:
    directory = tmp_path / "hub"
    path = directory / "repos" / "models" / "local" / "tough"
    pause = random.Random(3)
    expected = 1
    for attempt in range(5):
        finished: list[int] = []
        first = threading.Event()
        with run_server(directory) as (url, process):
            HfApi(endpoint=url, token="hf_test").create_repo("local/tough", exist_ok=True)
            arguments = (url, attempt, finished, first)
            writer = threading.Thread(target=write_until_killed, args=arguments)
            writer.start()
            assert first.wait(20)
            time.sleep(pause.random() * 0.3)
            process.send_signal(signal.SIGKILL)
            writer.join()
        git = pygit2.Repository(str(path))
        head = git.references["refs/heads/main"].peel(pygit2.Commit)
        history = list(git.walk(head.id))
        # The commit that was in the making is there whole or not at all.
        assert finished
        assert len(history) - expected - len(finished) in (0, 1)
        for entry in head.tree:
            assert isinstance(git[entry.id], pygit2.Blob)
        expected = len(history)
    (path / "refs" / "heads" / "main.lock").touch()  # git's own lock, as a kill may leave it
    with run_server(directory) as (url, _):
        api = HfApi(endpoint=url, token="hf_test")
        api.upload_file(path_or_fileobj=b"x", path_in_repo="after.txt", repo_id="local/tough")
        assert len(api.list_repo_commits("local/tough")) == expected + 1


def test_bad_directory_and_bad_port_are_said_in_a_line(tmp_path, server) -> None:
    (tmp_path / "file.txt").write_text("not a hub")
    with pytest.raises(UserError, match="not a hub directory and not empty"):  # noqa: SIM117
        with serve_embedded(tmp_path):
            pass
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(UserError, match=f"--port {port}: it is in use"):  # noqa: SIM117
        with serve_embedded(tmp_path / "hub", port=port):
            pass
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "hub.json").write_text("{")
    with pytest.raises(UserError, match="hub.json is damaged"):  # noqa: SIM117
        with serve_embedded(tmp_path / "broken"):
            pass


def test_server_imports_nothing_heavy() -> None:
    code = "import hfpipe.hub.server.serving, sys; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    heavy = {"torch", "transformers", "datasets", "numpy", "pandas", "huggingface_hub", "yaml"}
    assert heavy & set(output.stdout.split()) == set()


def test_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFPIPE_HUB_DIR", "/srv/hub")
    assert default_directory() == Path("/srv/hub")
    monkeypatch.delenv("HFPIPE_HUB_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_directory() == Path("/data/hfpipe/hub")
