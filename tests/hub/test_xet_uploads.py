"""Large files through the client's default way: Xet, with no setting on the client's side."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, snapshot_download

from hfpipe.hub.server.xorbs import read_index


def xorb_files(directory: Path) -> set[Path]:
    """List the stored xorbs."""
    return {path for path in (directory / "xorbs" / "local").rglob("*") if path.is_file()}


def schemes(paths: set[Path]) -> Counter[int]:
    """Count the compression schemes of the chunks in xorbs."""
    found: Counter[int] = Counter()
    for path in paths:
        with path.open("rb") as file:
            found.update(chunk.scheme for chunk in read_index(file))
    return found


def contents() -> dict[str, bytes]:
    """Make one file for each way in which the client packs chunks, and small ones."""
    random = np.random.default_rng(7)
    weights = (random.standard_normal(2_600_001) * 0.02).astype(np.float32)
    return {
        "noise.bin": random.bytes(10_500_000),
        "model.safetensors": weights.tobytes() + b"abc",
        "rows.txt": b"".join(b"row number %d of the text\n" % i for i in range(400_000)),
        "config.json": b'{"hidden_size": 3}',
        "folder/empty.txt": b"",
    }


def test_files_of_every_packing_come_back_the_same(server, api: HfApi, repo: str, tmp_path) -> None:
    files = contents()
    before = xorb_files(server.directory)
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    commit = api.create_commit(repo, operations, commit_message="Every packing")

    used = schemes(xorb_files(server.directory) - before)
    assert used[0] > 0, "no plain chunk"
    assert used[1] > 0, "no LZ4 chunk"
    assert used[2] > 0, "no byte-grouped chunk"

    folder = snapshot_download(
        repo, endpoint=server.url, token=server.token, local_dir=tmp_path / "copy"
    )
    for path, data in files.items():
        assert (Path(folder) / path).read_bytes() == data
    info = api.model_info(repo, files_metadata=True)
    assert info.sha == commit.oid
    sizes = {file.rfilename: (file.size, file.lfs is not None) for file in info.siblings or []}
    assert sizes["noise.bin"] == (10_500_000, True)
    assert sizes["rows.txt"] == (len(files["rows.txt"]), True)
    assert sizes["config.json"] == (18, False)
    assert sizes["folder/empty.txt"] == (0, False)


def test_large_file_is_stored_once_under_its_sha256(server, api: HfApi, repo: str) -> None:
    data = np.random.default_rng(8).bytes(300_000)
    sha256 = hashlib.sha256(data).hexdigest()
    stored = server.directory / "objects" / sha256[:2] / sha256[2:4] / sha256
    api.upload_file(path_or_fileobj=data, path_in_repo="one.bin", repo_id=repo)
    born = stored.stat().st_mtime_ns
    before = xorb_files(server.directory)
    api.upload_file(path_or_fileobj=data, path_in_repo="two.bin", repo_id=repo)
    assert stored.read_bytes() == data
    assert stored.stat().st_mtime_ns == born
    assert xorb_files(server.directory) == before
    assert {info.lfs.sha256 for info in api.get_paths_info(repo, ["one.bin", "two.bin"])} == {
        sha256
    }


def test_near_identical_file_sends_only_its_new_chunks(server, api: HfApi, repo: str) -> None:
    data = np.random.default_rng(9).bytes(6_000_000)
    api.upload_file(path_or_fileobj=data, path_in_repo="a.bin", repo_id=repo)
    before = xorb_files(server.directory)
    changed = data[:3_000_000] + b"a few bytes in the middle" + data[3_000_000:]
    api.upload_file(path_or_fileobj=changed, path_in_repo="b.bin", repo_id=repo)
    sent = sum(path.stat().st_size for path in xorb_files(server.directory) - before)
    assert 0 < sent < 600_000
    path = api.hf_hub_download(repo, "b.bin")
    assert Path(path).read_bytes() == changed


def test_file_of_another_hash_is_refused(server, api: HfApi, repo: str) -> None:
    data = np.random.default_rng(10).bytes(200_000)
    operation = CommitOperationAdd("wrong.bin", data)
    operation.upload_info.sha256 = bytes(32)
    head = api.model_info(repo).sha
    with pytest.raises(Exception, match="400"):
        api.create_commit(repo, [operation], commit_message="Wrong")
    assert api.model_info(repo).sha == head
    assert not (server.directory / "objects" / "00" / "00" / ("00" * 32)).exists()
    assert not list((server.directory / "tmp").iterdir())


def test_removed_xorbs_are_sent_again(tmp_path, run_server) -> None:
    import shutil

    data = np.random.default_rng(11).bytes(500_000)
    with run_server(tmp_path / "hub") as (url, _):
        api = HfApi(endpoint=url, token="hf_test")
        api.create_repo("local/again")
        api.upload_file(path_or_fileobj=data, path_in_repo="a.bin", repo_id="local/again")
        shutil.rmtree(tmp_path / "hub" / "xorbs")
        more = data + b"more"
        api.upload_file(path_or_fileobj=more, path_in_repo="b.bin", repo_id="local/again")
        info = api.get_paths_info("local/again", "b.bin")[0]
        assert info.size == 500_004
