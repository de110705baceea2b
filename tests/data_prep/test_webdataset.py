"""WebDataset shards: what is written is what every reader gives back, byte for byte the same."""

from __future__ import annotations

import io
import json
import tarfile

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.webdataset import escape_key, unescape_key, write_shards
from hfpipe.errors import UserError
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.reading import read_chunks

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SCHEMA = pa.schema(
    [
        ("row_id", pa.string()),
        ("png", IMAGE),
        ("txt", pa.string()),
        ("label", pa.string()),
        ("vector", pa.list_(pa.float32(), 2)),
        ("labels", pa.struct([("living", pa.int64())])),
    ]
)
ROWS = st.fixed_dictionaries(
    {
        "png": st.one_of(st.none(), st.binary(min_size=1, max_size=20)),
        "txt": st.one_of(st.none(), TEXTS),
        "label": st.one_of(st.none(), TEXTS),
        "vector": st.one_of(
            st.none(), st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=2)
        ),
        "labels": st.one_of(st.none(), st.fixed_dictionaries({"living": st.integers(0, 2**60)})),
    }
)


def table_of(rows):
    """Rows whose images are bytes, as a table with image structs."""
    images = [row["png"] and {"bytes": row["png"], "path": None} for row in rows]
    return pa.Table.from_pylist(
        [row | {"png": image} for row, image in zip(rows, images, strict=True)], SCHEMA
    )


def read_back(shards):
    """Samples as the webdataset package groups them, as rows again."""
    import webdataset

    rows = []
    if not shards:
        return rows
    for sample in webdataset.WebDataset([str(path) for path in shards], shardshuffle=False):
        rest = json.loads(sample["json"])
        text = sample.get("txt")
        row = {"png": sample.get("png"), "txt": None if text is None else text.decode(), **rest}
        rows.append(row)
        assert unescape_key(sample["__key__"]) == row["row_id"]
    return rows


@given(
    rows=st.dictionaries(IDS, ROWS, max_size=7).map(
        lambda found: [{"row_id": key, **row} for key, row in found.items()]
    ),
    size=st.integers(1, 4),
    cut=st.integers(0, 7),
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_rows_come_back_as_they_were_whatever_is_in_them(tmp_path_factory, rows, size, cut):
    folder = tmp_path_factory.mktemp("shards")
    table = table_of(rows)
    # In two tables, so that shards do not end where tables do.
    shards = write_shards([table.slice(0, cut), table.slice(cut)], folder, "train", size)
    assert [path.name for path in shards] == [
        f"train-{number:06d}.tar" for number in range(-(-len(rows) // size))
    ]
    assert sorted(path.name for path in folder.iterdir()) == [path.name for path in shards]
    assert read_back(shards) == rows


@given(row_id=IDS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_key_has_no_dot_and_no_slash_and_is_the_id_again(row_id):
    key = escape_key(row_id)
    assert key.isascii()
    assert key.isprintable()
    assert not set("./\\ ") & set(key)
    assert unescape_key(key) == row_id


def picture(color: tuple[int, int, int], kind: str = "PNG") -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (3, 2), color).save(content, kind)
    return content.getvalue()


def test_the_stock_reader_gives_images_texts_and_fields(tmp_path):
    from datasets import load_dataset

    rows = [
        {
            "row_id": f"ü/{i}.x",
            "png": picture((i, 0, 0)),
            "txt": "" if i % 2 else f"Grüße {i}",
            "label": f"l{i}" if i != 6 else None,
            "vector": [i, 0.5],
            "labels": {"living": i},
        }
        for i in range(8)
    ]
    shards = write_shards([table_of(rows)], tmp_path, "train", samples_per_shard=3)
    loaded = load_dataset(
        "webdataset",
        data_files={"train": [str(path) for path in shards]},
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert loaded.column_names[:3] == ["json", "png", "txt"]
    for row, got in zip(rows, loaded, strict=True):
        assert unescape_key(got["__key__"]) == row["row_id"]
        assert (got["png"].size, got["png"].getpixel((0, 0))) == (
            (3, 2),
            (row["labels"]["living"], 0, 0),
        )
        assert got["txt"] == row["txt"]
        assert got["json"] == {key: row[key] for key in ("row_id", "label", "vector", "labels")}


def test_the_stock_reader_takes_missing_images_and_texts_when_it_is_told_the_columns(tmp_path):
    from datasets import Features, Image, Value, load_dataset

    schema = pa.schema([("row_id", pa.string()), ("image", IMAGE), ("txt", pa.string())])
    rows = [
        {"row_id": "a", "image": {"bytes": picture((1, 0, 0)), "path": None}, "txt": None},
        {"row_id": "b", "image": None, "txt": "b's text"},
    ]
    shards = write_shards([pa.Table.from_pylist(rows, schema)], tmp_path, "train")
    names = {"__key__": Value("string"), "__url__": Value("string")}
    loaded = load_dataset(
        "webdataset",
        data_files={"train": [str(path) for path in shards]},
        features=Features(
            {"png": Image(), "txt": Value("string"), "json": {"row_id": Value("string")}, **names}
        ),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert [row["txt"] for row in loaded] == [None, "b's text"]
    assert [row["png"] and row["png"].getpixel((0, 0)) for row in loaded] == [(1, 0, 0), None]


SMALL = [picture((shade, 0, 0)) for shade in (0, 100)]


@given(
    rows=st.dictionaries(
        IDS,
        st.fixed_dictionaries(
            {
                "image": st.one_of(st.none(), st.sampled_from(SMALL)),
                "photo": st.one_of(st.none(), st.sampled_from(SMALL)),
                "txt": st.one_of(st.none(), TEXTS),
                "label": st.one_of(st.none(), TEXTS),
                "labels": st.one_of(st.none(), st.fixed_dictionaries({"n": st.integers(0, 9)})),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_prepare_reads_what_it_has_written(tmp_path_factory, rows):
    images = {
        name: [row[name] and {"bytes": row[name], "path": None} for row in rows.values()]
        for name in ("image", "photo")
    }
    table = pa.table(
        {
            "row_id": list(rows),
            **{name: pa.array(values, IMAGE) for name, values in images.items()},
            "txt": pa.array([row["txt"] for row in rows.values()], pa.string()),
            "label": pa.array([row["label"] for row in rows.values()], pa.string()),
            "labels": [row["labels"] for row in rows.values()],
        }
    )
    shards = write_shards([table], tmp_path_factory.mktemp("shards"), "train", 2)
    chunks = [chunk for shard in shards for chunk in read_chunks(find_inputs([shard])[0])]
    assert [bad for chunk in chunks for bad in chunk.bad] == []
    found = [row for chunk in chunks for row in chunk.table.to_pylist()]
    for (row_id, row), got in zip(rows.items(), found, strict=True):
        assert (got["row_id"], unescape_key(got["key"])) == (row_id, row_id)
        for name in ("image", "photo"):
            assert (got.get(name) or {"bytes": None})["bytes"] == row[name]
        assert {name: got.get(name) for name in ("txt", "label", "labels")} == {
            name: row[name] for name in ("txt", "label", "labels")
        }


def test_the_same_rows_give_the_same_bytes_without_a_trace_of_when_and_who(tmp_path):
    rows = [
        {"row_id": "a", "png": b"x", "txt": "t", "label": "l", "vector": [0, 1], "labels": None}
    ]
    first, second = (
        write_shards([table_of(rows)], tmp_path / name, "test")[0].read_bytes() for name in "ab"
    )
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == ["a.json", "a.png", "a.txt"]
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.mode) for entry in entries} == {
        (0, 0, 0, "", 0o644)
    }


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"image": (picture((0, 0, 0)), None)}, ["a.png"]),
        ({"image": (picture((0, 0, 0), "JPEG"), None)}, ["a.jpg"]),
        ({"image": (picture((0, 0, 0), "WEBP"), None)}, ["a.webp"]),
        ({"image": (picture((0, 0, 0)), "b/c.JPEG")}, ["a.jpeg"]),
        ({"image": (b"who knows", None)}, ["a.image"]),
        ({"png": (b"who knows", "x.gif")}, ["a.png"]),
        ({"photo": (picture((0, 0, 0)), None)}, ["a.photo.png"]),
        ({"a/b": (picture((0, 0, 0)), None), "right": (b"?", None)}, ["a.a%2Fb.png", "a.right"]),
    ],
)
def test_an_image_is_named_for_its_column_or_for_what_it_is(tmp_path, columns, names):
    images = {name: {"bytes": content, "path": path} for name, (content, path) in columns.items()}
    table = pa.Table.from_pylist(
        [{"row_id": "a", **images}],
        pa.schema([("row_id", pa.string()), *((name, IMAGE) for name in images)]),
    )
    (shard,) = write_shards([table], tmp_path, "train")
    with tarfile.open(shard) as archive:
        assert [name for name in archive.getnames() if name != "a.json"] == names


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"row_id": ["a", None]}, "a row has no 'row_id'"),
        ({"row_id": ["a", "b", "a"]}, "'a' stands on two rows"),
        ({"id": ["a"]}, "no column 'row_id' to name the samples by"),
    ],
)
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        write_shards([pa.table(rows)], tmp_path / "out", "train")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_image_that_is_only_a_path_is_refused(tmp_path):
    image = pa.array([{"bytes": None, "path": "x.png"}], IMAGE)
    with pytest.raises(UserError, match="row 'a': image 'png' has a path and no bytes"):
        write_shards([pa.table({"row_id": ["a"], "png": image})], tmp_path, "train")


def test_a_table_that_fails_halfway_leaves_the_shards_of_before(tmp_path):
    whole = pa.table({"row_id": ["a", "b"], "txt": ["one", "two"]})
    write_shards([whole], tmp_path, "train", samples_per_shard=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def failing():
        yield whole.set_column(1, "txt", pa.array(["three", "four"]))
        raise UserError("no more rows")

    with pytest.raises(UserError, match="no more rows"):
        write_shards(failing(), tmp_path, "train", samples_per_shard=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_shards_left_of_a_longer_run_are_not_mixed_in(tmp_path):
    rows = pa.table({"row_id": ["a", "b"]})
    write_shards([rows], tmp_path, "train", samples_per_shard=1)
    with pytest.raises(UserError, match=r"train-000001\.tar is left of an earlier run"):
        write_shards([rows], tmp_path, "train")
    assert len(write_shards([rows], tmp_path, "test")) == 1
