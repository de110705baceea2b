"""What a review found: odd columns, refusals that could be got round, rows added to odd repos."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.cells import write_csv
from data_prep.finding import without_columns
from hfpipe.errors import UserError
from hfpipe.rows.reading import read_file
from tests.data_prep.support import read_rows, run_prepare, sample_rows, write_rows

SPLITS = ("train", "validation", "test")
REGRESSION = ["--task", "regression", "--label", "number"]


def with_more(rows: list[dict], **columns) -> list[dict]:
    """The rows with further columns, each made of the row's place and the row."""
    return [
        {**row, **{name: make(place, row) for name, make in columns.items()}}
        for place, row in enumerate(rows)
    ]


def written(out: Path) -> list[dict]:
    return [row for split in SPLITS for row in read_rows(out / f"{split}.jsonl")]


def fetched(hub, repo: str, path: str) -> str:
    from huggingface_hub import hf_hub_download

    return hf_hub_download(
        f"local/{repo}", path, repo_type="dataset", endpoint=hub.url, token=hub.token
    )


def fates(hub, repo: str) -> dict[str, dict]:
    rows = pq.read_table(fetched(hub, repo, "hfpipe/split_manifest.parquet")).to_pylist()
    found = {row["row_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--text", "text,hint", "--leakage-columns", "hint"], "'hint' is refused"),
        (["--text", "text,label"], "'label' is both --text and --label"),
        (["--text", "text,hint", "--drop-columns", "hint"], "'hint' is both in --text and"),
        (["--text", "text,row_id"], "'row_id' holds the rows' ids"),
        (["--text", "meta.text", "--leakage-columns", "meta"], "'meta.text' is refused"),
        (["--text", "meta.txet"], "no column 'meta.txet' (--text); did you mean 'meta.text'"),
        (["--text", "said.txet"], "no column 'said.txet' (--text); did you mean 'said.text'"),
        (["--text", "text", "--leakage-columns", "said.text"], "no input has column 'said.text'"),
        (["--text", "text", "--folds", "3"], "has a column 'fold', which --folds writes"),
        (["--text", "meta.text"], "'meta.text' becomes 'meta_text', which there is already"),
    ],
)
def test_what_must_be_refused_is_refused_however_it_is_named(tmp_path, cli, flags, said):
    rows = with_more(
        sample_rows(),
        hint=lambda i, row: row["label"],
        meta=lambda i, row: {"text": row["text"]},
        meta_text=lambda i, row: "taken",
        said=lambda i, row: [{"text": row["text"]}],
        fold=lambda i, row: i,
    )
    path = write_rows(tmp_path / "a.jsonl", rows)
    ran = cli("prepare", path, "--label", "label", *flags, "--no-audit", "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_field_of_an_object_is_left_out_and_the_rest_of_the_object_stays(tmp_path):
    rows = with_more(sample_rows(), meta=lambda i, row: {"kept": i, "leak": row["label"]})
    path = write_rows(tmp_path / "a.jsonl", rows)
    run_prepare(path, out=tmp_path / "out", leakage_columns=["meta.leak"])
    found = written(tmp_path / "out")
    assert sorted(row["meta"]["kept"] for row in found) == list(range(60))
    assert all(list(row["meta"]) == ["kept"] for row in found)


def test_objects_lose_a_field_at_any_depth():
    rows = pa.table({"a": [{"b": {"c": 1, "d": 2}}, {"b": None}, None], "a.e": [1, 2, 3]})
    assert without_columns(rows, ["a.b.c"]).to_pylist() == [
        {"a": {"b": {"d": 2}}, "a.e": 1},
        {"a": {"b": None}, "a.e": 2},
        {"a": None, "a.e": 3},
    ]
    assert without_columns(rows, ["a.e"]).column_names == ["a"]
    assert without_columns(rows.slice(1), ["a.b.c", "a.b.d"]).column_names == ["a.e"]


def test_columns_with_dots_in_their_names_are_texts_and_labels(tmp_path):
    rows = [{"a.text": row["text"], "a.label": row["label"]} for row in sample_rows()]
    path = write_rows(tmp_path / "a.jsonl", rows)
    run_prepare(path, text="a.text", label="a.label", out=tmp_path / "out")
    found = written(tmp_path / "out")
    assert len(found) == 60
    assert all(set(row) == {"row_id", "a_text", "a_label"} for row in found)


def test_views_and_maps_of_parquet_files_are_read_and_loaded(tmp_path, hub):
    rows = sample_rows()
    table = pa.table(
        {
            "text": pa.array([row["text"] for row in rows], pa.string_view()),
            "label": [row["label"] for row in rows],
            "tags": pa.array([[("k", 1)], None] * 30, pa.map_(pa.string(), pa.int64())),
            "deep": pa.array([{"v": ["x"]}] * 60, pa.struct([("v", pa.list_(pa.string_view()))])),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    done = run_prepare(tmp_path / "a.parquet", endpoint=hub, target="views")
    assert done.record["counts"]["kept"] == 60
    from datasets import load_dataset

    train = load_dataset("local/views", split="train", token=hub.token)
    assert train.num_rows == 48
    assert {json.dumps(tags) for tags in train["tags"]} == {
        "null",
        '[{"key": "k", "value": 1}]',
    }


def test_shards_with_gaps_load_with_the_types_of_all_rows(tmp_path, hub):
    """``datasets`` looks at five rows, of the last split, which have no fold."""
    rows = with_more(
        sample_rows(),
        txt=lambda i, row: row["text"] if i % 3 else None,
        gap=lambda i, row: 7 if i == 0 else None,
        tags=lambda i, row: [[0.5]] if i == 1 else [],
        meta=lambda i, row: {"a": True, "b": None},
    )
    path = write_rows(tmp_path / "a.jsonl", rows)
    run_prepare(path, endpoint=hub, target="holes", format="webdataset", folds=3)
    from datasets import load_dataset

    loaded = load_dataset("local/holes", token=hub.token)
    assert {split: loaded[split].num_rows for split in SPLITS} == dict(
        zip(SPLITS, (48, 6, 6), strict=True)
    )
    rows = [row for split in SPLITS for row in loaded[split]]
    assert sum(row["json"]["gap"] or 0 for row in rows) == 7
    assert sum(row["txt"] is None for row in rows) == 20
    assert {row["json"]["fold"] for row in rows} == {0, 1, 2, None}
    assert sum(row["json"]["tags"] == [[0.5]] for row in rows) == 1


def test_a_carriage_return_in_csv_ends_no_row(tmp_path):
    table = pa.table({"a": ["one\rtwo", "three"], "b": [1, 2]})
    write_csv([table], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["one\rtwo", "1"], ["three", "2"]]
    assert read_file(tmp_path / "a.csv").table.column("a").to_pylist() == ["one\rtwo", "three"]


@pytest.mark.parametrize(
    ("cells", "changed"),
    [
        (["007", "8"], "'007' would become '7'"),
        (["1.50", None], "'1.50' would become '1.5'"),
        (["1e5", "2"], "'1e5' would become '100000'"),
        (["True", "False"], "'True' would become 'true'"),
        (["7", "8", None], None),
        (["007", "x"], None),
        (["None", "NA"], None),
        ([None, ""], None),
    ],
)
def test_text_that_csv_would_change_is_refused(tmp_path, cells, changed):
    table = pa.table({"code": pa.array(cells, pa.string())})
    if changed is None:
        write_csv([table], tmp_path / "a.csv")
        return
    with pytest.raises(UserError, match=changed):
        write_csv([table], tmp_path / "a.csv")


def test_an_empty_input_beside_others_is_no_trouble(tmp_path, cli):
    (tmp_path / "a.csv").write_text("text,label\n")
    (tmp_path / "b.jsonl").write_text("")
    path = write_rows(tmp_path / "c.jsonl", sample_rows())
    for inputs in ([tmp_path / "a.csv", path], [path, tmp_path / "b.jsonl", tmp_path / "a.csv"]):
        ran = cli(
            "prepare", *inputs, "--text", "text", "--label", "label", "--dry-run", "--no-audit"
        )
        assert (ran.code, ran.err) == (0, "")
        assert "60 of 60 rows kept" in ran.out


def test_every_row_has_an_id_of_its_own_whatever_the_ids_of_dropped_rows(tmp_path, hub):
    rows = [{**row, "id": f"k{i}"} for i, row in enumerate(sample_rows())]
    rows[0]["id"], rows[1]["id"] = "a", "a-2"
    rows += [{"id": name, "text": "", "label": "a"} for name in ("a", "a", "a-2", None, None)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    run_prepare(path, endpoint=hub, target="own-ids", id_column="id")
    found = fates(hub, "own-ids")
    assert len(found) == 65
    assert {found["a"]["reason"], found["a-2"]["reason"]} == {None}
    assert sum(row["reason"] == "empty_text" for row in found.values()) == 5


def test_an_audit_of_an_earlier_run_does_not_stay(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", sample_rows())
    out = tmp_path / "out"
    run_prepare(path, out=out, base="b", audit=True)
    assert (out / "b_audit.html").exists()
    (out / "notes.md").write_text("mine")
    run_prepare(path, out=out, base="b")
    assert sorted(each.name for each in out.iterdir()) == [
        "b_prepare.json",
        "b_test.jsonl",
        "b_train.jsonl",
        "b_validation.jsonl",
        "notes.md",
    ]


@pytest.mark.parametrize(
    ("block", "flags", "way"),
    [
        ("group_by: author", [], "stratified_group"),
        ("split_column: part", [], "given"),
        ("task: regression", REGRESSION[2:], "random"),
        ("split: time, time_column: number", ["--group-by", "author"], "time"),
        (
            "{split: group, group_by: author}",
            ["--task", "regression", "--label", "number"],
            "group",
        ),
        ("time_column: number", [], "stratified"),
    ],
)
def test_a_recipe_splits_as_its_options_call_for(tmp_path, cli, block, flags, way):
    rows = with_more(
        sample_rows(),
        author=lambda i, row: f"p{i}",
        part=lambda i, row: SPLITS[i % 3],
    )
    path = write_rows(tmp_path / "a.jsonl", rows)
    (tmp_path / "r.yaml").write_text(
        f"prepare: {block}" if "{" in block else f"prepare: {{{block}}}"
    )
    flags = ["--text", "text", *(flags if "--label" in flags else ["--label", "label", *flags])]
    out = tmp_path / "out"
    ran = cli("prepare", path, "--recipe", tmp_path / "r.yaml", *flags, "--no-audit", "--out", out)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads((out / "prepare.json").read_text())["options"]["split"] == way
