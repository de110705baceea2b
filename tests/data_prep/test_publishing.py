"""The dataset repo: what stock clients find in it, and when a commit is made."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from huggingface_hub import HfApi

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import publish
from tests.data_prep.support import read_rows, run_prepare, sample_rows, write_rows

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory) -> Path:
    """60 rows, 2 exact duplicates, 1 without text, labels that readers take for missing values."""
    names = {"a": "None", "b": "NA", "c": "3"}
    rows = [{**row, "label": names[row["label"]], "deep": {"x": [1]}} for row in sample_rows()]
    rows[7]["number"] = None
    more = [rows[0], rows[1], {**rows[2], "text": " "}]
    return write_rows(tmp_path_factory.mktemp("rows") / "a.jsonl", [*rows, *more])


def client(hub: Endpoint) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


def commits(hub: Endpoint, repo_id: str) -> list[str]:
    api = client(hub)
    return [each.commit_id for each in api.list_repo_commits(repo_id, repo_type="dataset")]


def fetched(hub: Endpoint, repo_id: str, path: str) -> Path:
    api = client(hub)
    return Path(api.hf_hub_download(repo_id, path, repo_type="dataset"))


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_a_stranger_loads_three_splits_with_one_schema(file_format, rows_file, hub, tmp_path):
    name = f"strangers-{file_format}"
    done = run_prepare(
        rows_file, endpoint=hub, target=name, out=tmp_path / "out", format=file_format
    ).published
    assert (done.repo_id, done.changed) == (f"local/{name}", True)
    loaded = load_dataset(f"local/{name}", revision=done.revision)
    assert {split: len(loaded[split]) for split in loaded} == dict(
        zip(SPLITS, (48, 6, 6), strict=True)
    )
    assert loaded["train"].features == loaded["validation"].features == loaded["test"].features
    for split in SPLITS:
        written = read_rows(tmp_path / "out" / f"{split}.jsonl")
        if file_format == "csv":
            written = [{**row, "deep": json.dumps(row["deep"])} for row in written]
        assert loaded[split].to_list() == written
    assert set(loaded["train"]["label"]) == {"None", "NA", "3"}


def test_the_repo_has_the_card_the_record_and_the_fate_of_every_row(rows_file, hub):
    done = run_prepare(rows_file, endpoint=hub, target="fates", out=None).published
    files = client(hub).list_repo_files("local/fates", repo_type="dataset")
    assert set(files) - {".gitattributes"} == {
        "README.md",
        "hfpipe/prepare.json",
        "hfpipe/split_manifest.parquet",
        *(f"data/{split}-00000-of-00001.parquet" for split in SPLITS),
    }
    record = json.loads(fetched(hub, "local/fates", "hfpipe/prepare.json").read_text())
    assert record["counts"]["in"] == 63
    assert record["counts"]["dropped"] == {"empty_text": 1, "exact_duplicate": 2}
    table = pq.read_table(fetched(hub, "local/fates", "hfpipe/split_manifest.parquet"))
    fates = table.to_pylist()
    assert len({fate["row_id"] for fate in fates}) == 63
    assert sorted(fate["reason"] for fate in fates if fate["split"] is None) == [
        "empty_text",
        "exact_duplicate",
        "exact_duplicate",
    ]
    assert sum(fate["split"] == "train" and fate["reason"] is None for fate in fates) == 48
    card = fetched(hub, "local/fates", "README.md").read_text()
    assert "60 rows" in card
    assert "exact" in card
    assert len(commits(hub, "local/fates")) <= 2  # the repo's first one, and ours
    assert commits(hub, "local/fates")[0] == done.revision


def test_an_unchanged_run_makes_no_commit_and_a_changed_one_makes_one(rows_file, hub):
    first = run_prepare(rows_file, endpoint=hub, target="again").published
    again = run_prepare(rows_file, endpoint=hub, target="again").published
    assert (again.changed, again.revision) == (False, first.revision)
    other = run_prepare(rows_file, endpoint=hub, target="again", seed=7).published
    assert other.changed
    assert commits(hub, "local/again")[:2] == [other.revision, first.revision]


def test_another_format_replaces_the_files_of_the_first(rows_file, hub):
    run_prepare(rows_file, endpoint=hub, target="formats")
    done = run_prepare(rows_file, endpoint=hub, target="formats", format="csv").published
    files = client(hub).list_repo_files("local/formats", repo_type="dataset")
    assert [path for path in files if path.endswith((".csv", ".parquet"))] == [
        "hfpipe/split_manifest.parquet",
        "test.csv",
        "train.csv",
        "validation.csv",
    ]
    assert len(load_dataset("local/formats", revision=done.revision)["train"]) == 48


def test_a_new_repo_is_private_unless_asked_for(rows_file, hub):
    api = client(hub)
    run_prepare(rows_file, endpoint=hub, target="hidden")
    run_prepare(rows_file, endpoint=hub, target="shown", public=True)
    assert api.dataset_info("local/hidden").private is True
    assert api.dataset_info("local/shown").private is False


@pytest.mark.parametrize(
    ("target", "token", "said"),
    [
        ("stranger/topics", None, "may not write to 'stranger'"),
        ("a b", None, "not a repo id"),
        ("topics-bad", "hf_wrong", "token"),
    ],
)
def test_a_wrong_target_is_found_before_a_row_is_read(
    target, token, said, rows_file, hub, tmp_path
):
    endpoint = Endpoint(hub.url, token or hub.token, namespace="local")
    broken = write_rows(tmp_path / "broken.jsonl", ["{"])
    with pytest.raises(UserError, match=said) as refused:
        run_prepare(broken, endpoint=endpoint, target=target, out=tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert "hf_" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_bad_rows_push_nothing(hub, tmp_path):
    path = write_rows(tmp_path / "broken.jsonl", ["{"])
    with pytest.raises(UserError, match="line 1: not JSON"):
        run_prepare(path, endpoint=hub, target="never")
    assert not client(hub).repo_exists("local/never", repo_type="dataset")


def test_the_command_pushes_and_names_the_next_command_and_never_the_token(
    rows_file, hub, cli, tmp_path
):
    flags = ("--text", "text", "--label", "label", "--target-hf-dataset", "local/shell")
    ran = cli("prepare", rows_file, *flags, "--hub", hub.url, "--hf-access-token", hub.token)
    assert ran.code == 0, ran.err
    assert f"pushed  {hub.url}/datasets/local/shell @ " in ran.out
    last = ran.out.splitlines()[-1]
    assert last == (
        f"next:   hfpipe finetune --recipe topics_minilm --dataset local/shell --hub {hub.url}"
    )
    record = fetched(hub, "local/shell", "hfpipe/prepare.json").read_text()
    assert hub.token not in ran.out + ran.err + record


def test_shards_that_another_program_pushed_leave_in_the_same_commit(rows_file, hub, tmp_path):
    shards = [f"data/train-{number:05}-of-00002.parquet" for number in (0, 1)]
    for shard in shards:
        (tmp_path / shard).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"old": [1]}), tmp_path / shard)
    held = {shard: tmp_path / shard for shard in shards} | {"notes.md": b"mine"}
    publish(hub, "local/sharded", "dataset", held, "before")
    done = run_prepare(rows_file, endpoint=hub, target="sharded", out=None).published
    files = client(hub).list_repo_files("local/sharded", repo_type="dataset")
    assert not set(files).intersection(shards)
    assert "notes.md" in files
    assert commits(hub, "local/sharded")[0] == done.revision
    assert len(load_dataset("local/sharded", revision=done.revision)["train"]) == 48
