"""Errors with their pictures: small, without anything but pixels, inside the page."""

from __future__ import annotations

import base64
import io

import pytest
from datasets import Dataset
from PIL import Image

from hfpipe.evaluation.pictures import thumbnails
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.processor import Processor
from hfpipe.reports.embedding import MOST_BYTES, embedded
from hfpipe.reports.report import render_report, write_report
from hfpipe.reports.rows import error_ids, errors_of
from tests.reports.support import Page, picture

IMAGES = Processor({"photo": ImageInput(["photo"])}, "label", ["a", "b"])


def opened(content):
    return Image.open(io.BytesIO(content))


def test_a_thumbnail_is_small_and_upright_and_has_nothing_but_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right
    exif[0x010F] = "a camera"
    large = picture((10, 200, 10), (800, 400), exif=exif, comment=b"home address", quality=95)
    dataset = Dataset.from_dict({"row_id": ["r1", "r2"], "photo": [large, picture()]})
    found = thumbnails(IMAGES, dataset, ["r2", "r1"])
    assert list(found) == ["r2", "r1"]
    small = opened(found["r1"])
    assert (small.format, small.size) == ("JPEG", (64, 128))
    assert small.getpixel((32, 64))[1] == pytest.approx(200, abs=6)
    assert not small.getexif()
    assert b"home address" not in found["r1"]
    assert b"a camera" not in found["r1"]
    assert opened(found["r2"]).size == (40, 24)
    assert opened(thumbnails(IMAGES, dataset, ["r1"], side=32)["r1"]).size == (16, 32)


def test_rows_without_a_picture_that_can_be_read_have_none():
    photos = [None, b"no image", picture()[:300], picture()]
    dataset = Dataset.from_dict({"row_id": list("abcd"), "photo": photos})
    assert list(thumbnails(IMAGES, dataset, list("abcde"))) == ["d"]
    texts = Processor({"text": TextInput(["text"], 128)}, "label", ["a", "b"])
    assert thumbnails(texts, Dataset.from_dict({"text": ["x"]}), ["0"]) == {}


def test_of_two_pictures_the_first_that_is_there_is_shown():
    both = Processor({n: ImageInput([n], True) for n in ("front", "back")}, "label", ["a", "b"])
    red, blue = picture((250, 0, 0)), picture((0, 0, 250))
    dataset = Dataset.from_dict({"front": [red, None], "back": [blue, blue]})
    found = thumbnails(both, dataset, ["0", "1"])
    assert opened(found["0"]).getpixel((9, 9))[0] > 200
    assert opened(found["1"]).getpixel((9, 9))[2] > 200


@pytest.mark.parametrize("name", ["binary", "multi_label", "regression"])
def test_the_ids_asked_for_are_those_shown(evaluations, name):
    found = evaluations[name]
    record = found.record.to_dict()
    shown = errors_of(name, found.rows, record)["rows"]
    assert error_ids(record, iter(found.rows)) == [row["row_id"] for row in shown]
    assert len(shown) == {"binary": 5, "multi_label": 23, "regression": 25}[name]
    assert error_ids(record, [{**row, "truth": None} for row in found.rows]) == []


def test_pictures_are_in_the_page_with_words(topics, tmp_path):
    record = topics.record.to_dict()
    ids = error_ids(record, topics.rows)
    content = picture()
    path = write_report(
        tmp_path / "report.html",
        record,
        topics.rows,
        pictures={ids[0]: content, ids[1]: b"<svg onload=alert(1)>", "row-none": content},
    )
    page = Page(path.read_text())
    (shown,) = page.all("img")
    assert shown["alt"] == f"What the model saw of row {ids[0]}"
    kind, _, packed = shown["src"].partition(";base64,")
    assert kind == "data:image/jpeg"
    assert base64.b64decode(packed) == content
    assert "onload" not in path.read_text()


def test_a_page_has_room_for_so_many_pictures_only(topics):
    record = topics.record.to_dict()
    ids = error_ids(record, topics.rows)
    large = picture() + bytes(MOST_BYTES // 2 - 100_000)
    found, left_out = embedded(dict.fromkeys(ids[:4], large) | {ids[4]: picture()}, ids)
    assert (list(found), left_out) == ([ids[0], ids[1], ids[4]], 2)
    page = render_report(record, topics.rows, pictures=dict.fromkeys(ids[:4], large))
    assert "2 pictures are left out: they would make this page too large." in page
    assert len(page) < 1.5 * MOST_BYTES
