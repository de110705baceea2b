"""Inputs elsewhere: a Hub and an S3 service that really answer, and fsspec's own memory."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfpipe.errors import RunError, UserError
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_chunks
from tests.rows.support import jsonl, read_all, tar, write
from tests.s3 import SECRET, s3_service


@pytest.fixture(scope="module")
def repo(hub, tmp_path_factory):
    """A dataset repo with three splits, then a commit that adds a row to one of them."""
    from huggingface_hub import HfApi

    folder = tmp_path_factory.mktemp("repo")
    rows = {name: [{"text": f"{name} {i}", "n": i} for i in range(3)] for name in ("train", "dev")}
    write(folder / "data" / "train-00000-of-00001.jsonl", jsonl(rows["train"]))
    write(folder / "data" / "dev.jsonl.gz", jsonl(rows["dev"]))
    write(folder / "data" / "test.jsonl", jsonl([{"text": "t", "n": 9, "split": "own"}]))
    write(folder / "hfpipe" / "split_manifest.jsonl", jsonl([{"row_id": "x"}]))
    write(folder / "README.md", b"---\nlicense: mit\n---\n")
    client = HfApi(endpoint=hub.url, token=hub.token)
    repo_id = "local/rows-to-read"
    client.create_repo(repo_id, repo_type="dataset", private=True)
    first = client.upload_folder(repo_id=repo_id, folder_path=folder, repo_type="dataset").oid
    client.upload_file(
        path_or_fileobj=jsonl([{"text": "new", "n": 1}]),
        path_in_repo="data/test.jsonl",
        repo_id=repo_id,
        repo_type="dataset",
    )
    return repo_id, first


def test_a_dataset_repo_is_its_data_files_with_their_splits(hub, repo):
    repo_id, _ = repo
    found = read_all(f"hf://datasets/{repo_id}", endpoint=hub)
    assert [(row["text"], row["split"]) for row in found.table.to_pylist()] == [
        *((f"dev {i}", "validation") for i in range(3)),
        ("new", "test"),
        *((f"train {i}", "train") for i in range(3)),
    ]


def test_a_revision_a_folder_a_glob_and_a_file_can_be_named(hub, repo):
    repo_id, first = repo
    base = f"hf://datasets/{repo_id}"

    def texts(address):
        return read_all(address, endpoint=hub).table.column("text").to_pylist()

    assert texts(f"{base}@{first}/data/test.jsonl") == ["t"]
    assert read_all(f"{base}@{first}/data/test.jsonl", endpoint=hub).table["split"].to_pylist() == [
        "own"
    ]
    assert texts(f"{base}@main/data/test.jsonl") == ["new"]
    assert texts(f"{base}/data/t*.jsonl") == ["new", "train 0", "train 1", "train 2"]
    assert texts(f"{base}/data/{{dev.jsonl.gz,test.jsonl}}") == ["dev 0", "dev 1", "dev 2", "new"]
    assert len(texts(f"{base}/data")) == 7


def test_a_source_is_pinned_to_the_commit_and_hashed(hub, repo):
    repo_id, first = repo
    (source,) = find_inputs([f"hf://datasets/{repo_id}@{first}/data/test.jsonl"], hub)
    content = jsonl([{"text": "t", "n": 9, "split": "own"}])
    assert (source.revision, source.size) == (first, len(content))
    assert source.name == f"hf://datasets/{repo_id}@{first[:8]}/data/test.jsonl"
    assert [chunk.table.num_rows for chunk in read_chunks(source)] == [1]
    assert source.sha256 == hashlib.sha256(content).hexdigest()
    assert hub.token not in repr(source)


def test_the_wrong_repo_revision_path_and_token_are_told_in_one_line(hub, repo):
    repo_id, _ = repo
    base = f"hf://datasets/{repo_id}"
    stranger = replace(hub, token=None)
    cases = [
        ("hf://models/a/b", hub, "write hf://datasets/NAMESPACE/NAME"),
        ("hf://datasets/only", hub, "write hf://datasets/NAMESPACE/NAME"),
        ("hf://datasets/local/no-such-repo", hub, "does not exist or is not visible"),
        (f"{base}@no-such", hub, "has no revision 'no-such'"),
        (f"{base}/data/tset.jsonl", hub, "did you mean 'data/test.jsonl'"),
        (f"{base}/README.md", hub, "unknown kind of file"),
        ("hf://datasets/a b/c", hub, "is not a repo id"),
        (base, stranger, "does not exist or is not visible to you"),
        (base, replace(hub, url="http://127.0.0.1:1"), "cannot be reached"),
    ]
    for address, endpoint, said in cases:
        with pytest.raises(UserError) as refused:
            find_inputs([address], endpoint)
        assert said in str(refused.value), address
        assert "\n" not in str(refused.value)
        assert hub.token not in str(refused.value)
    with pytest.raises(UserError, match="named twice"):
        find_inputs([base, f"{base}/data/*.gz"], hub)


def test_a_repo_with_rows_in_two_kinds_of_files_is_not_read_twice(hub, tmp_path):
    from huggingface_hub import HfApi

    write(tmp_path / "a.csv", b"a\n1\n")
    write(tmp_path / "a.jsonl", b'{"a": 1}\n')
    client = HfApi(endpoint=hub.url, token=hub.token)
    client.create_repo("local/two-kinds", repo_type="dataset")
    client.upload_folder(repo_id="local/two-kinds", folder_path=tmp_path, repo_type="dataset")
    with pytest.raises(UserError, match=r"several kinds \(csv, jsonl\)"):
        find_inputs(["hf://datasets/local/two-kinds"], hub)
    assert len(find_inputs(["hf://datasets/local/two-kinds/*.csv"], hub)) == 1


@pytest.fixture(scope="module")
def s3():
    """An S3 service on the loopback address, with a bucket of files of every kind."""
    with s3_service("rows") as files:
        yield files


def test_files_folders_and_globs_of_a_bucket_are_read(s3, tmp_path):
    rows = [{"text": f"é {i}", "n": i} for i in range(400)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=50)
    write(tmp_path / "b.jsonl.gz", jsonl(rows))
    write(tmp_path / "c.csv.zst", b"text,n\n" + b"".join(b"x,%d\n" % i for i in range(400)))
    write(tmp_path / "d.tar", tar([(f"{i}.txt", b"x") for i in range(5)]))
    for path in (*tmp_path.iterdir(), write(tmp_path / "notes.md", b"x")):
        s3.put_file(str(path), f"rows/in/{path.name}")
    for address in ("s3://rows/in", "s3://rows/in/", "s3://rows/in/*", "s3://rows/{in,in}/[a-d].*"):
        if "{" in address:
            with pytest.raises(UserError, match="named twice"):
                find_inputs([address])
            continue
        found = find_inputs([address])
        assert [source.name for source in found] == [
            f"s3://rows/in/{name}" for name in ("a.parquet", "b.jsonl.gz", "c.csv.zst", "d.tar")
        ]
    for source in found:
        local = read_all(tmp_path / source.name.rpartition("/")[2], chunk_rows=100)
        remote = read_all(source.name, chunk_rows=100)
        assert remote.table == local.table
        assert remote.digests == local.digests
        content = (tmp_path / source.name.rpartition("/")[2]).read_bytes()
        assert source.size == len(content)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv.zst", "a.parquet", "a.tar"])
def test_a_file_that_goes_away_between_finding_and_reading_is_one_line(s3, tmp_path, name):
    path = write(tmp_path / name, b"x" * 5000)
    s3.put_file(str(path), f"rows/gone/{name}")
    (source,) = find_inputs([f"s3://rows/gone/{name}"])
    s3.rm(f"rows/gone/{name}")
    with pytest.raises(UserError, match=rf"^s3://rows/gone/{name} does not exist, or its bucket"):
        list(read_chunks(source))


def test_a_remote_source_is_hashed_and_counted(s3):
    content = jsonl([{"a": i} for i in range(5_000)])
    s3.pipe("rows/hash/a.jsonl", content)
    (source,) = find_inputs(["s3://rows/hash/a.jsonl"])
    steps: list[int] = []
    assert sum(c.table.num_rows for c in read_chunks(source, advance=steps.append)) == 5_000
    assert source.sha256 == hashlib.sha256(content).hexdigest()
    assert sum(steps) == source.size


def test_what_is_not_there_or_damaged_is_one_line_without_the_key(s3):
    s3.pipe("rows/bad/cut.parquet", b"PAR1")
    s3.pipe("rows/bad/cut.jsonl.gz", b"\x1f\x8b\x08\0")
    s3.pipe("rows/bad/a.xlsx", b"x")
    for address, said in (
        ("s3://rows/nothing.jsonl", "s3://rows/nothing.jsonl does not exist"),
        ("s3://no-such-bucket/a.jsonl", "does not exist, or its bucket"),
        ("s3://no-such-bucket/*.jsonl", "no file of a known kind"),
        ("s3://rows/bad/*.xlsx", "no file of a known kind"),
        ("s3://rows/bad/a.xlsx", "unknown kind of file"),
        ("s3://rows/bad/cut.parquet", "not a readable Parquet file"),
        ("s3://rows/bad/cut.jsonl.gz", "ends early"),
    ):
        with pytest.raises(UserError) as refused:
            read_all(address)
        assert said in str(refused.value), address
        assert "\n" not in str(refused.value)
        assert SECRET not in str(refused.value)


def test_without_credentials_access_is_denied_in_words(s3, monkeypatch):
    from s3fs import S3FileSystem

    s3.pipe("rows/secret/a.jsonl", b"{}")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(UserError, match="access denied: set AWS_ACCESS_KEY_ID"):
        find_inputs(["s3://rows/secret/a.jsonl"])
    S3FileSystem.clear_instance_cache()


def test_a_missing_library_is_named_with_what_installs_it():
    program = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from hfpipe.rows.paths import find_inputs\n"
        "find_inputs(['s3://rows/a.jsonl'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.stderr.strip().endswith("is not installed: pip install 'hfpipe[s3]'")
    with pytest.raises(UserError, match="no such kind of address as zzz://"):
        find_inputs(["zzz://rows/a.jsonl"])


def test_memory_is_a_filesystem_too():
    import fsspec

    files = fsspec.filesystem("memory")
    files.pipe({"/h3/b.csv": b"a\n1\n", "/h3/a.jsonl": b'{"a": 2}\n', "/h3/x.md": b""})
    assert read_all("memory://h3").table.column("a").to_pylist() == [2, 1]
    assert read_all("memory://h3/*.csv").table.column("a").to_pylist() == [1]
    with pytest.raises(UserError, match=r"memory://h3/c\.csv does not exist"):
        find_inputs(["memory://h3/c.csv"])


def test_an_address_of_the_web_is_shown_without_what_signs_it(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    address = f"http://ada:{SECRET}@127.0.0.1:1/a.csv?signature={SECRET}"
    with pytest.raises((UserError, RunError)) as refused:
        read_all(address)
    assert str(refused.value).startswith("http://127.0.0.1:1/a.csv")
    assert SECRET not in str(refused.value)


def test_the_command_prepares_rows_of_a_bucket_and_of_a_repo(s3, repo, cli):
    rows = [{"text": f"a{i} b{i} c{i}", "label": "xy"[i % 2]} for i in range(60)]
    s3.pipe("rows/cli/a.jsonl", jsonl(rows[:30]))
    s3.pipe("rows/cli/b.jsonl", jsonl(rows[30:]))
    columns = ("--text", "text", "--dry-run")
    ran = cli("prepare", "s3://rows/cli/*.jsonl", *columns, "--label", "label")
    assert (ran.code, ran.err) == (0, "")
    assert " 60 " in ran.out
    flags = ("--label", "split", "--drop-labels", "test", "--no-clean", "--no-clusters")
    ran = cli("prepare", f"hf://datasets/{repo[0]}", *columns, *flags)
    assert (ran.code, ran.err) == (0, "")
    assert ["train", "3", "3"] in [re.findall(r"\w+", line)[:3] for line in ran.out.splitlines()]
    ran = cli("prepare", "s3://rows/cli/c.jsonl", *columns, "--label", "label")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "s3://rows/cli/c.jsonl does not exist" in ran.err
