"""WebDataset shards: samples as rows, broken ones named, broken shards refused."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from hfpipe.errors import UserError
from tests.rows.support import png, read_all, tar, write


def npy(array) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=array.dtype == object)
    return sink.getvalue()


def sample(key: str, **members: bytes) -> list[tuple[str, bytes]]:
    return [(f"{key}.{name.replace('_', '.')}", content) for name, content in members.items()]


def test_a_sample_is_a_row_of_its_files(tmp_path):
    fields = {"labels": {"living": 1, "x": None}, "lang": "en"}
    members = sample(
        "a/0001",
        png=png(),
        txt="wörds".encode(),
        json=json.dumps(fields).encode(),
        cls=b"7\n",
        npy=npy(np.arange(3, dtype=np.float16)),
        left_PNG=png(),
        meta_json=b'{"n": 1}',
        bin=b"\0\1",
    )
    path = write(tmp_path / "a.tar", tar([*members, *sample("a/0002", txt=b"other")]))
    first, second = read_all(path, texts=["txt", "labels.living"]).table.to_pylist()
    assert first == {
        "key": "a/0001",
        "image": {"bytes": png(), "path": "0001.png"},
        "txt": "wörds",
        "cls": 7,
        "npy": [0.0, 1.0, 2.0],
        "left": {"bytes": png(), "path": "0001.png"},
        "meta": {"n": 1},
        "bin": b"\0\1",
        "labels": {"living": 1, "x": None},
        "lang": "en",
    }
    assert {name for name, value in second.items() if value is not None} == {"key", "txt"}


def test_fields_that_repeat_a_file_are_kept_apart_where_they_differ(tmp_path):
    members = sample("1", txt=b"a", json=b'{"key": "1", "txt": "b"}')
    (row,) = read_all(write(tmp_path / "a.tar", tar(members))).table.to_pylist()
    assert row == {"key": "1", "txt": "a", "json.txt": "b"}


BROKEN = {
    "png": (png()[:-9], ".png: a PNG image that is cut off"),
    "PNG": (png().replace(b"IDAT", b"IDAX"), ".png: a damaged PNG image"),
    "jpg": (b"\xff\xd8\xff" + b"x" * 99, ".jpg: a JPEG image that is cut off"),
    "webp": (b"RIFF\xff\xff\0\0WEBP", ".webp: a WebP image that is cut off"),
    "jpeg": (b"", ".jpeg: an empty image"),
    "txt": (b"caf\xe9", ".txt: not UTF-8: byte 0xe9"),
    "cls": (b"seven", ".cls: invalid literal for int"),
    "json": (b'{"a": ', ".json: not JSON"),
    "npy": (npy(np.arange(9))[:-5], ".npy: "),
}


@pytest.mark.parametrize(("extension", "case"), BROKEN.items(), ids=BROKEN.keys())
def test_a_broken_file_makes_its_sample_a_bad_row_named_by_shard_and_key(tmp_path, extension, case):
    content, reason = case
    broken = sample("b", **{extension: content, "text": b"x"})
    members = [*sample("a", text=b"1"), *broken, *sample("c", text=b"3")]
    path = write(tmp_path / "a.tar", tar(members))
    found = read_all(path)
    assert found.table.column("key").to_pylist() == ["a", "c"]
    assert str(found.bad[0]).startswith(f"{path}: sample 'b': {reason}")
    assert len(found.bad_digests) == 1


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    evil = npy(np.array([{"a": 1}], dtype=object))
    found = read_all(write(tmp_path / "a.tar", tar(sample("a", npy=evil))))
    assert "sample 'a': .npy: " in str(found.bad[0])


def test_samples_in_pieces_and_doubled_files_are_bad_rows(tmp_path):
    members = [
        ("a.txt", b"1"),
        ("b.txt", b"2"),
        ("a.json", b"{}"),
        ("c.txt", b"3"),
        ("c.txt", b"4"),
    ]
    found = read_all(write(tmp_path / "a.tar", tar(members)))
    assert found.table.column("key").to_pylist() == ["a", "b"]
    assert [row.reason for row in found.bad] == [
        "sample 'a': its files do not follow each other: sort them by name",
        "sample 'c': has two .txt files",
    ]


def test_a_label_that_is_a_list_is_a_bad_row_with_its_key(tmp_path):
    members = [*sample("a", json=b'{"label": [1]}'), *sample("b", json=b'{"label": "x"}')]
    found = read_all(write(tmp_path / "a.tar", tar(members)), texts=["label"])
    assert found.bad[0].reason == "sample 'a': 'label' holds a list, not a text"
    assert found.table.column("label").to_pylist() == ["x"]


def test_names_that_point_outside_are_only_names(tmp_path):
    inside = tmp_path / "in" / "a.tar"
    members = [("../../evil.txt", b"1"), ("/etc/evil.txt", b"2"), ("../x/evil.png", png())]
    table = read_all(write(inside, tar(members))).table
    assert table.column("key").to_pylist() == ["../../evil", "/etc/evil", "../x/evil"]
    assert table.column("image")[2].as_py()["path"] == "evil.png"
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.tar"]


def test_what_is_no_sample_is_passed_over(tmp_path):
    members = [("README", b"x"), (".hidden", b"x"), ("__MACOSX/._a.txt", b"x"), ("a.txt", b"1")]
    assert read_all(write(tmp_path / "a.tar", tar(members))).table.to_pylist() == [
        {"key": "a", "txt": "1"}
    ]


@pytest.mark.parametrize("zipped", ["", ".gz", ".zst"])
@pytest.mark.parametrize("cut", [100, 512, 700, 1024, 1536, 2000, 2048, 2400, 2560])
def test_a_shard_that_is_cut_off_anywhere_is_refused(tmp_path, cut, zipped):
    whole = tar([*sample("a", txt=b"x" * 700), *sample("b", txt=b"y")])
    with pytest.raises(UserError) as refused:
        read_all(write(tmp_path / f"a.tar{zipped}", whole[:cut]))
    assert "damaged, cut off or no tar archive" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path):
    whole = bytearray(tar([*sample("a", txt=b"x"), *sample("b", txt=b"y"), *sample("c", txt=b"z")]))
    whole[1024 + 150] ^= 0xFF
    with pytest.raises(UserError, match=r"bad checksum|damaged"):
        read_all(write(tmp_path / "a.tar", bytes(whole)))
    two = tar(sample("a", txt=b"x"))
    with pytest.raises(UserError, match="something stands behind its end mark"):
        read_all(write(tmp_path / "b.tar", two + two))


def test_chunks_of_a_shard_end_at_their_rows(tmp_path):
    members = [member for i in range(25) for member in sample(f"{i:02}", txt=b"x", cls=b"%d" % i)]
    found = read_all(write(tmp_path / "a.tar", tar(members)), chunk_rows=10)
    assert [chunk.table.num_rows for chunk in found.chunks] == [10, 10, 5]
    assert found.table.column("cls").to_pylist() == list(range(25))
