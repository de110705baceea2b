"""``hfpipe predict``: the pushed model's own numbers in every format, row for row, or no file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfpipe.errors import UserError
from hfpipe.predicting import PredictOptions, predict
from tests.toys import read_jsonl, toy_rows, write_jsonl
from tests.training.support import (
    METADATA,
    SEQUENCE,
    SMALL_SEQUENCE,
    TABLE,
    TOPICS,
    push,
    rows,
    tune,
)

ONCE = {"num_train_epochs": 1}
BARE = {"resamples": 0, "automatic_slices": False}
MLP = {"kind": "concat_mlp", "config": {"sizes": [8]}}
PLANS: dict[str, dict[str, Any]] = {
    "topic": {
        "model": MLP,
        "inputs": TABLE,
        "label": "topic",
        "task": "classification",
        "training": ONCE,
    },
    "answer": {"model": MLP, "inputs": METADATA, "task": "binary", "training": ONCE},
    "views": {
        "model": {"kind": "ridge"},
        "inputs": TABLE,
        "label": "views",
        "task": "regression",
        "log1p": True,
    },
    "author": {
        "model": {"kind": "profile", "config": SMALL_SEQUENCE},
        "inputs": SEQUENCE,
        "task": "binary",
        "training": ONCE,
        "evaluation": {"group_by": "author"},
    },
}
COLUMNS = {
    "topic": ["id", "prediction", "score", *(f"score.{name}" for name in TOPICS)],
    "answer": ["id", "prediction", "score"],
    "views": ["id", "prediction"],
    "author": ["id", "prediction", "score"],
}


@pytest.fixture(scope="module")
def pushed(hub, tmp_path_factory) -> Callable[[str], str]:
    """Tune one of the plans, once; gives its repo."""
    folder, done = tmp_path_factory.mktemp("tuned"), dict[str, str]()
    dataset = push(hub, "predicted")

    def pushed(name: str) -> str:
        if name not in done:
            plan = PLANS[name]
            asked = {**BARE, **plan.get("evaluation", {})}
            tuned = tune(hub, folder, f"predict-{name}", dataset, **{**plan, "evaluation": asked})
            done[name] = tuned.model.repo_id
        return done[name]

    return pushed


@pytest.fixture(scope="module")
def foreign(hub, tiny_bert) -> str:
    """A classifier of texts that hfpipe did not make."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, set_seed

    set_seed(1)
    names = dict(enumerate(["tool", "animal", "plant"]))
    config = BertConfig.from_pretrained(tiny_bert, id2label=names)
    for each in (
        BertForSequenceClassification(config),
        AutoTokenizer.from_pretrained(tiny_bert),
    ):
        each.push_to_hub("local/predict-foreign", token=hub.token)
    return "local/predict-foreign"


def given(count: int = 48) -> list[dict[str, Any]]:
    """The test split's rows without their pictures, which JSON cannot hold."""
    return [{key: row[key] for key in row if key != "picture"} for row in rows(48, 3)[:count]]


def said_by(hub, model: str, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from hfpipe.loading import load_pushed

    return load_pushed(hub, model).predict(asked)


def read(path: Path) -> list[dict[str, Any]]:
    """An output file's rows; cells of CSV that are numbers as such."""
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    if path.suffix == ".jsonl":
        return read_jsonl(path)
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: number(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


def number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def write_csv(path: Path, table: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.mark.parametrize("name", ["topic", "answer", "views"])
def test_every_format_holds_what_the_loaded_model_says(cli, hub, pushed, tmp_path, name):
    file = write_jsonl(tmp_path / "in.jsonl", given())
    wanted = said_by(hub, pushed(name), given())
    for ending in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"out.{ending}"
        ran = cli("predict", pushed(name), "--input", file, "--output", out)
        assert ran.code == 0, ran.err
        assert f"wrote   {out} (48 rows: id, prediction" in ran.out
        found = read(out)
        assert list(found[0]) == COLUMNS[name]
        assert [row["id"] for row in found] == [row["row_id"] for row in given()]
        assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]
        for row, said in zip(found, wanted, strict=True):
            if name == "topic":
                assert row["score"] == said["scores"][0]
                named = dict(zip(said["labels"], said["scores"], strict=True))
                assert {label: row[f"score.{label}"] for label in TOPICS} == named
            if name == "answer":
                assert row["score"] == said["score"]


def test_the_decision_is_that_of_the_threshold(cli, hub, pushed, tmp_path):
    from hfpipe.loading import load_pushed

    threshold = load_pushed(hub, pushed("answer")).story["threshold"]
    file, out = write_jsonl(tmp_path / "in.jsonl", given()), tmp_path / "out.csv"
    ran = cli("predict", pushed("answer"), "--input", file, "--output", out)
    assert f"yes     from a score of {threshold:.4f} on, chosen on validation for f1" in ran.out
    for row in read(out):
        assert row["prediction"] == ("yes" if row["score"] >= threshold - 5e-7 else "no")


@pytest.mark.parametrize("name", ["topic", "views"])
def test_blocks_of_seven_rows_are_the_same_as_one(hub, pushed, tmp_path, name):
    file = write_jsonl(tmp_path / "in.jsonl", given())
    whole, parts = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    for out, block_rows in ((whole, None), (parts, 7)):
        done = predict(pushed(name), file, out, hub, PredictOptions(block_rows=block_rows))
        assert (done.rows, done.read, done.columns) == (48, 48, COLUMNS[name])
    assert pq.read_metadata(parts).num_row_groups == 7
    for row, other in zip(read(parts), read(whole), strict=True):
        for column, value in other.items():
            same = value if isinstance(value, str) else pytest.approx(value, rel=1e-5, abs=2e-6)
            assert row[column] == same


def test_columns_are_chosen_renamed_and_handed_on_as_they_are_written(cli, hub, pushed, tmp_path):
    table = [
        {
            **{key: row[key] for key in ("size", "weight", "channel")},
            "code": f"00{at}",
            "cost": "1.50",
        }
        for at, row in enumerate(given(9))
    ]
    table[3]["note"] = table[3]["score"] = '=cmd|"x"'
    table = [{"note": "", "score": "", **row} for row in table]
    file, out = write_csv(tmp_path / "in.csv", table), tmp_path / "out.csv"
    ran = cli(
        *("predict", pushed("answer"), "--input", file, "--output", out, "--id-column", "code"),
        *("--columns", "id, label=prediction,cost,note,input.score,score"),
    )
    assert ran.code == 0, ran.err
    with out.open(newline="") as lines:
        header, *records = list(csv.reader(lines))
    assert header == ["id", "label", "cost", "note", "input.score", "score"]
    assert [record[0] for record in records] == [f"00{at}" for at in range(9)]
    assert {record[2] for record in records} == {"1.50"}
    assert [record[3] for record in records] == [row["note"] for row in table]
    assert [record[4] for record in records] == [row["score"] for row in table]
    wanted = said_by(hub, pushed("answer"), given(9))
    assert [record[1] for record in records] == [row["prediction"] for row in wanted]
    assert [float(record[5]) for record in records] == [row["score"] for row in wanted]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--columns", "id,scor"), "--columns: no column 'scor'; did you mean 'score'"),
        (("--columns", "id,label=predicton"), "no column 'predicton'; did you mean 'prediction'?"),
        (("--columns", "id,id"), "two columns would be called 'id'"),
        (("--id-column", "rowid"), "in.jsonl has no column 'rowid'; did you mean 'row_id'?"),
        (("--top", "3"), "--top 3: the model has 2 labels: give 1 to 2"),
        (("--text", "note"), "--text: the model has 0 text inputs"),
        (("--output", "out.txt"), "out.txt: unknown ending; give .csv"),
        (("--output", "in.jsonl"), "in.jsonl is an input too"),
        (("--input", "none.jsonl"), "none.jsonl does not exist"),
    ],
)
def test_a_wrong_flag_is_one_line_and_no_file(cli, pushed, tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "in.jsonl", given(3))
    asked = {"--input": "in.jsonl", "--output": "out.csv", **dict([flags])}
    ran = cli("predict", pushed("answer"), *(part for pair in asked.items() for part in pair))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert said in ran.err
    assert os.listdir(tmp_path) == ["in.jsonl"]


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a number that is none": (lambda row: row | {"size": "big"}, "row '3-30': 'size' is 'big'"),
    "a short vector": (lambda row: row | {"video": [1.0]}, "row '3-30': 'video' has 1 numbers"),
    "a word for a vector": (lambda row: row | {"video": "x"}, "row '3-30': 'video' is 'x', and"),
    "no vector": (lambda row: row | {"video": None}, "row '3-30': nothing in 'video'"),
    "a list for a number": (lambda row: row | {"size": [1]}, "line 31: 'size' holds a list"),
    "no row": (lambda row: [row["row_id"]], "line 31: a list, not an object"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_row_is_named_and_leaves_the_earlier_file(hub, pushed, tmp_path, what):
    change, said = BROKEN[what]
    table = given()
    table[30] = change(table[30])
    file, out = write_jsonl(tmp_path / "in.jsonl", table), tmp_path / "out.csv"
    out.write_text("earlier")
    with pytest.raises(UserError) as refused:
        predict(pushed("views"), file, out, hub, PredictOptions(block_rows=7))
    assert str(refused.value).startswith(f"{file}: {said}")
    assert out.read_text() == "earlier"
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "out.csv"]


def test_a_missing_column_is_named_with_the_nearest(cli, pushed, tmp_path):
    table = [{("chanel" if key == "channel" else key): row[key] for key in row} for row in given(3)]
    file = write_jsonl(tmp_path / "in.jsonl", table)
    ran = cli("predict", pushed("answer"), "--input", file, "--output", tmp_path / "out.csv")
    assert ran.code == 2
    assert f"{file} has no column 'channel'; did you mean 'chanel'?" in ran.err


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_scores_that_are_no_numbers_are_never_decided_on(cli, hub, pushed, tmp_path, verb):
    from huggingface_hub import HfApi, snapshot_download
    from safetensors.numpy import load_file, save_file

    copy = Path(snapshot_download(pushed("answer"), local_dir=tmp_path / "copy", token=hub.token))
    weights = load_file(copy / "model.safetensors")
    weights["head.output.bias"] *= np.nan
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    api = HfApi(hub.url, token=hub.token)
    api.create_repo("local/predict-nan", exist_ok=True)
    api.upload_folder(repo_id="local/predict-nan", folder_path=copy)
    file = write_jsonl(tmp_path / "in.jsonl", given(9))
    given_to = {"predict": ("--input", file, "--output"), "evaluate": ("--file", file, "--out")}
    ran = cli(verb, "local/predict-nan", *given_to[verb], tmp_path / "out.csv", "--quiet")
    assert (ran.code, ran.out) == (1, ""), ran.out
    assert f"{file}: row '3-0': the model's score is not finite (9 such rows)" in ran.err
    assert sorted(os.listdir(tmp_path)) == ["copy", "in.jsonl"]


def test_rows_have_their_own_ids_or_are_counted(hub, pushed, tmp_path):
    bare = [{key: row[key] for key in ("size", "weight", "channel")} for row in given(9)]
    named = [{"id": f"n{at}", **row} for at, row in enumerate(bare)]
    for table, wanted in ((bare, [*range(9)]), (named, [f"n{at}" for at in range(9)])):
        file, out = write_jsonl(tmp_path / "in.jsonl", table), tmp_path / "out.jsonl"
        predict(pushed("answer"), file, out, hub, PredictOptions(block_rows=4))
        assert [row["id"] for row in read(out)] == wanted


def test_inputs_of_every_kind_are_told_the_same(hub, pushed, tmp_path):
    table = [{key: row[key] for key in ("row_id", "size", "weight", "channel")} for row in given()]
    write_jsonl(tmp_path / "all.jsonl", table)
    write_csv(tmp_path / "all.csv", table)
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "all.parquet")
    (tmp_path / "parts").mkdir()
    write_csv(tmp_path / "parts" / "a.csv", table[:20])
    write_jsonl(tmp_path / "parts" / "b.jsonl", table[20:])
    inputs = ["all.jsonl", "all.csv", "all.parquet", "parts", "parts/*"]
    texts = []
    for name in inputs:
        predict(pushed("answer"), tmp_path / name, tmp_path / "out.csv", hub)
        texts.append((tmp_path / "out.csv").read_text())
    stored = "hf://datasets/local/predicted/data/test-00000-of-00001.parquet"
    predict(pushed("answer"), stored, tmp_path / "out.csv", hub)
    texts.append((tmp_path / "out.csv").read_text())
    assert texts == [texts[0]] * 6
    assert texts[0].count("\n") == 49


def test_the_best_labels_have_columns_of_their_own(hub, pushed, tmp_path):
    file, out = write_jsonl(tmp_path / "in.jsonl", given(9)), tmp_path / "out.parquet"
    predict(pushed("topic"), file, out, hub, PredictOptions(top=2))
    found = read(out)
    assert list(found[0])[3:] == ["label_1", "score_1", "label_2", "score_2"]
    for row, said in zip(found, said_by(hub, pushed("topic"), given(9)), strict=True):
        assert [row["label_1"], row["label_2"]] == said["labels"][:2]
        assert [row["score_1"], row["score_2"]] == said["scores"][:2]


def test_an_unknown_category_is_counted_and_told(cli, pushed, tmp_path):
    table = [row | {"channel": "new"} if at < 2 else row for at, row in enumerate(given(9))]
    file = write_jsonl(tmp_path / "in.jsonl", table)
    ran = cli("predict", pushed("answer"), "--input", file, "--output", tmp_path / "out.csv")
    assert "note: 'channel': 2 of 9 rows have a category that train did not have" in ran.out


def test_a_profile_answers_for_groups_wherever_their_rows_lie(cli, hub, pushed, tmp_path):
    table = sorted(given(), key=lambda row: row["row_id"][::-1])
    file, out = write_jsonl(tmp_path / "in.jsonl", table), tmp_path / "out.csv"
    ran = cli(
        *("predict", pushed("author"), "--input", file, "--output", out),
        *("--columns", "author,rows,prediction,score"),
    )
    assert ran.code == 0, ran.err
    assert f"wrote   {out} (16 groups of 48 rows: author, rows" in ran.out
    wanted = said_by(hub, pushed("author"), table)
    assert [row["author"] for row in read(out)] == [row["row_id"] for row in wanted]
    assert {row["rows"] for row in read(out)} == {3.0}
    assert [row["score"] for row in read(out)] == [row["score"] for row in wanted]


def test_a_model_of_others_needs_the_column_of_its_text(cli, hub, foreign, tmp_path):
    table = [{"body": row["text"], "n": at} for at, row in enumerate(toy_rows(5, 1))]
    file, out = write_jsonl(tmp_path / "in.jsonl", table), tmp_path / "out.jsonl"
    command = ("predict", foreign, "--input", file, "--output", out)
    ran = cli(*command)
    assert (ran.code, out.exists()) == (2, False)
    assert "give --text COLUMN" in ran.err
    ran = cli(*command, "--text", "body", "--columns", "n,body,score.tool,score")
    assert ran.code == 0, ran.err
    assert [(row["n"], row["body"]) for row in read(out)] == [
        (row["n"], row["body"]) for row in table
    ]
    from transformers import pipeline

    classify = pipeline("text-classification", model=foreign, token=hub.token)
    said = classify([row["body"] for row in table], top_k=None)
    for row, ranked in zip(read(out), said, strict=True):
        theirs = {each["label"]: each["score"] for each in ranked}
        assert row["score.tool"] == pytest.approx(theirs["tool"], abs=2e-6)
        assert row["score"] == pytest.approx(max(theirs.values()), abs=2e-6)


def test_from_python(pushed, tmp_path):
    import hfpipe

    file, out = write_jsonl(tmp_path / "in.jsonl", given(9)), tmp_path / "out.jsonl"
    done = hfpipe.predict(
        pushed("views"), file, out, columns=["id", "views=prediction"], quiet=True
    )
    assert (done.rows, done.columns, done.model) == (9, ["id", "views"], "local/predict-views")
    assert [json.loads(line)["views"] for line in out.read_text().splitlines()] == [
        row["prediction"] for row in hfpipe.load(pushed("views")).predict(given(9))
    ]
    with pytest.raises(UserError, match="predict: no option 'colums'; did you mean 'columns'"):
        hfpipe.predict(pushed("views"), file, out, colums=["id"])


def test_help_has_an_example_to_copy(cli):
    ran = cli("predict", "--help")
    assert "Example: hfpipe predict NAMESPACE/topics-minilm" in " ".join(ran.out.split())
