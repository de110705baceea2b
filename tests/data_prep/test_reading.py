"""Reading: the same rows from every kind of file, with their values kept."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfpipe.errors import UserError
from tests.data_prep.support import read_back as read
from tests.data_prep.support import read_rows, run_prepare, sample_rows, write_rows


def as_csv(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_jsonl_gzip_csv_tsv_and_parquet_give_the_same_splits(tmp_path):
    rows = [{**row, "number": str(row["number"])} for row in sample_rows()]
    plain = write_rows(tmp_path / "a.jsonl", rows)
    zipped = tmp_path / "a.ndjson.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    paths = [plain, zipped, tmp_path / "a.csv", tmp_path / "a.tsv", tmp_path / "a.parquet"]
    for path, separator in ((paths[2], ","), (paths[3], "\t")):
        lines = [separator.join(row) for row in (rows[0], *(row.values() for row in rows))]
        path.write_text("\r\n".join(lines) + "\r\n")
    pq.write_table(pa.Table.from_pylist(rows), paths[4])
    splits = []
    for place, path in enumerate(paths):
        run_prepare(path, out=tmp_path / str(place))
        splits.append(
            [
                (name, row["row_id"], row["text"], row["label"], str(row["number"]))
                for name in ("train", "validation", "test")
                for row in read_rows(tmp_path / str(place) / f"{name}.jsonl")
            ]
        )
    assert len(splits[0]) == 60
    assert all(each == splits[0] for each in splits)


def test_several_inputs_are_one_corpus_and_a_missing_column_is_empty(tmp_path):
    first = write_rows(tmp_path / "a.jsonl", sample_rows(labels="ab"))
    second = as_csv(tmp_path / "b.csv", "label,text,source\nc,some words,web\nc,other words,\n")
    corpus = read(first, second)
    assert corpus.table.column_names == ["row_id", "text", "label", "number", "source"]
    assert corpus.table.column("source").to_pylist() == [None] * 40 + ["web", None]
    assert corpus.table.column("number").to_pylist()[-3:] == [19, None, None]
    assert [each["rows"] for each in corpus.corpus.inputs] == [40, 2]


def test_row_ids_come_from_the_content_and_number_repeats(tmp_path):
    rows = [
        {"text": "x y", "label": "a"},
        {"text": "z", "label": "b"},
        {"label": "a", "text": "x y"},
    ]
    ids = read(write_rows(tmp_path / "a.jsonl", rows)).row_ids
    assert ids[2] == f"{ids[0]}-2"
    alone = read(write_rows(tmp_path / "b.jsonl", [rows[1]])).row_ids
    assert alone == [ids[1]]


def test_an_id_column_gives_the_ids_and_keeps_its_type(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"n": i, "text": "x", "label": "a"} for i in (7, 3)])
    corpus = read(path, id_column="n")
    assert corpus.row_ids == ["7", "3"]
    assert corpus.table.column("n").to_pylist() == [7, 3]


def test_prepared_rows_keep_their_ids_when_prepared_again(tmp_path):
    run_prepare(write_rows(tmp_path / "a.jsonl", sample_rows()), out=tmp_path / "one")
    train = tmp_path / "one" / "train.jsonl"
    run_prepare(train, out=tmp_path / "two")
    again = {row["row_id"] for row in read_rows(tmp_path / "two" / "train.jsonl")}
    assert again < {row["row_id"] for row in read_rows(train)}


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([3, 4, 3], ["3", "4", "3"]),
        ([3.0, None, 4.0], ["3", None, "4"]),
        ([True, False, True], ["true", "false", "true"]),
        ([1, "one", 2.5], ["1", "one", "2.5"]),
        (["007", "7", "x"], ["007", "7", "x"]),
    ],
)
def test_labels_are_text_whatever_their_type(tmp_path, values, labels):
    rows = [{"text": "x", "label": value} for value in values]
    assert read(write_rows(tmp_path / "a.jsonl", rows)).labels == labels


def test_whole_numbers_that_became_floats_are_whole_again(tmp_path):
    table = pa.table({"text": ["x", "y"], "label": pa.array([3.0, None])})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").labels == ["3", None]
    path = as_csv(tmp_path / "a.csv", "text,label\nx,3.0\ny,\n")
    assert read(path).labels == ["3", None]


def test_a_csv_keeps_quoted_line_breaks_and_does_not_turn_text_into_numbers(tmp_path):
    path = as_csv(
        tmp_path / "a.csv", '﻿text,label,n,code\n"two\nlines, ""quoted""",NA,1,01\n1.10,None,2,02\n'
    )
    corpus = read(path)
    assert corpus.texts == ['two\nlines, "quoted"', "1.10"]
    assert corpus.labels == ["NA", "None"]
    assert corpus.table.column("n").to_pylist() == [1, 2]
    assert corpus.table.column("code").to_pylist() == ["01", "02"]


def test_nested_values_go_through_to_parquet_types_and_to_jsonl(tmp_path):
    rows = [
        {
            **row,
            "deep": {"a": [1, 2], "b": {"c": "é"}},
            "mixed": value,
            "none": None,
            "hollow": {},
        }
        for row, value in zip(sample_rows(), [1, "one", [2]] * 20, strict=True)
    ]
    path = write_rows(tmp_path / "a.jsonl", rows)
    deep = read(path).table.schema.field("deep").type
    assert deep == pa.struct([("a", pa.list_(pa.int64())), ("b", pa.struct([("c", pa.string())]))])
    run_prepare(path, out=tmp_path / "out")
    for row in read_rows(tmp_path / "out" / "test.jsonl"):
        assert row["deep"] == {"a": [1, 2], "b": {"c": "é"}}
        assert row["mixed"] in ("1", "one", "[2]")
        assert (row["none"], row["hollow"]) == (None, "{}")


def test_parquet_types_are_kept_and_dates_are_iso_text_in_jsonl(tmp_path):
    rows = sample_rows()
    table = pa.Table.from_pylist(rows).append_column(
        "day", pa.array([date(2024, 1, 2)] * len(rows))
    )
    table = table.append_column("small", pa.array([7] * len(rows), pa.int8()))
    pq.write_table(table, tmp_path / "a.parquet")
    schema = read(tmp_path / "a.parquet").table.schema
    assert (schema.field("day").type, schema.field("small").type) == (pa.date32(), pa.int8())
    run_prepare(tmp_path / "a.parquet", out=tmp_path / "out")
    assert read_rows(tmp_path / "out" / "test.jsonl")[0]["day"] == "2024-01-02"


def test_a_nan_is_a_missing_value(tmp_path):
    rows = ['{"text": "x", "label": "a", "n": NaN}', '{"text": NaN, "label": "a", "n": 1.5}']
    corpus = read(write_rows(tmp_path / "a.jsonl", rows))
    assert corpus.table.column("n").to_pylist() == [None, 1.5]
    assert corpus.texts == ["x", ""]


def test_text_columns_are_joined_in_their_order(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"t": "title", "b": "body", "label": "a"}])
    for said in (["b", "t"], ["b,t"], ["b, t"]):
        corpus = read(path, text=said)
        assert (corpus.corpus.text, corpus.texts) == (["b", "t"], ["body\ntitle"])


def test_up_to_the_allowed_share_malformed_lines_are_dropped_and_listed(tmp_path):
    rows = [*sample_rows(), "{broken", json.dumps([1])]
    path = write_rows(tmp_path / "a.jsonl", rows)
    record = run_prepare(path, max_bad_rows=0.04).record
    assert record["counts"]["in"] == 62
    assert record["counts"]["dropped"] == {"malformed": 2}
    assert [(each["line"], each["reason"][:20]) for each in record["malformed"]] == [
        (61, "not JSON: Expecting "),
        (62, "a list, not an object"[:20]),
    ]


def test_true_among_numbers_is_not_one(tmp_path):
    rows = [{"text": f"row {n}", "label": (1, 2.5, True)[n % 3]} for n in range(60)]
    done = run_prepare(write_rows(tmp_path / "a.jsonl", rows), out=None, dry_run=True, clean=False)
    assert done.record["labels"] == ["1", "2.5", "true"]


def test_the_id_column_is_no_text(tmp_path):
    rows = [{"row_id": f"text {n}", "key": n, "label": "ab"[n % 2]} for n in range(60)]
    with pytest.raises(UserError, match="column 'row_id' holds the rows' ids"):
        run_prepare(write_rows(tmp_path / "a.jsonl", rows), text="row_id", id_column="key")
