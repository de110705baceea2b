"""Images: through the base model's processor, under a limit, refused where they are none."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, Image

from hfpipe.errors import UserError
from hfpipe.inputs.collator import EPOCH, Collator
from hfpipe.recipe import Input
from tests.inputs.support import batch, encoded, fit, image_processor, one, picture, rows, tools

IMAGE = Input("image", ["i"])
MAYBE = Input("image", ["i"], optional=True)
FLIPPED = Input("image", ["i"], augment=["horizontal_flip"])
RED, BLUE = picture((255, 0, 0)), picture((0, 0, 255))


def expected(content: bytes) -> np.ndarray:
    """What the image processor makes of an image that Pillow opens."""
    return image_processor()(images=opened(content).convert("RGB"), return_tensors="np")[
        "pixel_values"
    ][0]


def opened(content: bytes):
    from PIL import Image as Pillow

    return Pillow.open(io.BytesIO(content))


def chunk(name: bytes, content: bytes) -> bytes:
    checked = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checked)


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is large, of a few bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def test_bytes_structs_paths_and_images_of_datasets_give_the_same_pixels(tmp_path):
    for at, content in enumerate((RED, BLUE)):
        (tmp_path / f"{at}.png").write_bytes(content)
    paths = [str(tmp_path / f"{at}.png") for at in range(2)]
    columns = {
        "bytes": Dataset.from_dict({"i": [RED, BLUE]}),
        "struct": Dataset.from_dict({"i": [{"bytes": each, "path": None} for each in (RED, BLUE)]}),
        "path in struct": Dataset.from_dict({"i": [{"bytes": None, "path": at} for at in paths]}),
        "path": Dataset.from_dict({"i": paths}),
        "pictures in memory": Dataset.from_list([{"i": opened(each)} for each in (RED, BLUE)]),
        "Image": Dataset.from_dict({"i": paths}).cast_column("i", Image()),
    }
    for name, dataset in columns.items():
        found = one(fit(dataset, it=IMAGE), dataset)
        assert found["pixel_values"].shape == (2, 3, 8, 8), name
        assert np.array_equal(found["pixel_values"], [expected(RED), expected(BLUE)]), name
        assert found["present"].tolist() == [True, True], name


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_common_format_is_read_and_made_rgb(kind):
    from PIL import Image as Pillow

    for mode in ("RGB", "L", "P"):
        buffer = io.BytesIO()
        Pillow.new("L", (9, 7), 200).convert(mode).save(buffer, kind) if (
            kind not in ("JPEG", "WEBP") or mode != "P"
        ) else Pillow.new("L", (9, 7), 200).save(buffer, kind)
        dataset = rows(i=[buffer.getvalue()])
        pixels = one(fit(dataset, it=IMAGE), dataset)["pixel_values"]
        assert pixels == pytest.approx(200 / 127.5 - 1, abs=0.03), mode


def test_a_photo_is_turned_as_its_camera_says():
    from PIL import Image as Pillow

    exif = Pillow.Exif()
    exif[0x0112] = 3  # upside down
    dataset = rows(i=[picture(kind="PNG", exif=exif), RED])
    turned, upright = one(fit(dataset, it=IMAGE), dataset)["pixel_values"]
    assert np.allclose(turned, upright[:, ::-1, ::-1], atol=0.02)


def test_a_missing_image_is_zeros_and_marked():
    dataset = rows(i=[RED, None], c=["x", "y"])
    processor = fit(dataset, it=MAYBE, beside=Input("categorical", ["c"]))
    found = batch(processor, dataset)["inputs"]["it"]
    assert found["present"].tolist() == [True, False]
    assert np.array_equal(found["pixel_values"][0].numpy(), expected(RED))
    assert not found["pixel_values"][1].any()
    nothing = batch(processor, dataset.select([1]))["inputs"]["it"]
    assert nothing["pixel_values"].shape == (1, 3, 8, 8)


def test_flips_are_drawn_by_seed_epoch_and_row_and_only_in_training():
    dataset = rows(i=[RED] * 24)
    processor = fit(dataset, it=FLIPPED)
    made = encoded(processor, dataset)
    upright = expected(RED)
    mirrored = upright[:, :, ::-1]

    def flips(seed, order, epoch=0) -> list[bool]:
        collate = Collator(processor, tools(processor), seed)
        found = [{**row, EPOCH: epoch} for row in made.__getitems__(list(order))]
        pixels = collate(found)["inputs"]["it"]["pixel_values"].numpy()
        assert all(np.allclose(each, upright) or np.allclose(each, mirrored) for each in pixels)
        return [np.allclose(each, mirrored) for each in pixels]

    assert flips(None, range(24)) == [False] * 24
    first = flips(1, range(24))
    assert 4 < sum(first) < 20
    assert flips(1, range(24)) == first
    assert flips(2, range(24)) != first
    assert flips(1, range(24), epoch=1) != first
    # The company of a row, and its place, mean nothing: a step may be cut in any way.
    assert flips(1, reversed(range(24))) == first[::-1]
    assert [flips(1, [at])[0] for at in range(24)] == first
    assert [flips(1, [at], epoch=1)[0] for at in range(24)] == flips(1, range(24), epoch=1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "an empty file, or one that is not there"),
        (b"hello", "no image that can be read"),
        (RED[:40], "a PNG image that is cut off"),
        (RED[:-12], "a PNG image that is cut off"),
        (picture(kind="JPEG")[:200], "a JPEG image that is cut off"),
        (bomb(9000, 9000), "an image of 9000 x 9000 pixels, more than 67,108,864"),
        (bomb(60000, 60000), "an image of more than 67,108,864 pixels"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image that can be read"),
    ],
)
def test_what_is_no_whole_image_is_refused_before_training(content, complaint):
    processor = fit(rows(i=[RED]), it=IMAGE)
    with pytest.raises(UserError) as refused:
        encoded(processor, rows(i=[RED, content]))
    assert str(refused.value) == f"the rows: row 'b': 'i' is {complaint}"


def test_an_image_whose_pixels_are_damaged_is_refused_when_it_is_decoded():
    # The frame is whole and every checksum right: only its decoding tells.
    damaged = bomb(20, 20)
    processor = fit(rows(i=[RED]), it=IMAGE)
    made = encoded(processor, rows(i=[RED, damaged]))
    with pytest.raises(UserError) as refused:
        Collator(processor, tools(processor))(list(made))
    assert str(refused.value).startswith("row 'b': 'i' is an image that cannot be decoded (")
    assert "\n" not in str(refused.value)


def test_other_bad_images_are_refused(tmp_path):
    processor = fit(rows(i=[RED]), it=IMAGE)
    with pytest.raises(UserError, match="row 'b': nothing in 'i': leave such rows out"):
        encoded(processor, rows(i=[RED, None]))
    with pytest.raises(UserError, match="row 'a': 'i' is an empty file, or one that is not there"):
        encoded(processor, rows(i=[str(tmp_path / "gone.png")]))
    with pytest.raises(UserError, match="column 'i' holds int64, not images"):
        encoded(processor, rows(i=[1]))
    with pytest.raises(UserError, match="no 'horizontal_flop'; did you mean 'horizontal_flip'?"):
        fit(rows(i=[RED]), it=Input("image", ["i"], augment=["horizontal_flop"]))


def test_images_stay_undecoded_until_their_batch(tmp_path):
    large = picture(size=(2000, 2000))
    dataset = Dataset(pa.table({"row_id": ["a"] * 50, "i": [large] * 50}))
    made = encoded(fit(dataset, it=IMAGE), dataset)
    assert made.column_names == ["row_id", "it.present", "length", "it.raw"]
    assert made["it.raw"][0] == large
    # What was written is names and marks; decoded, the images would be 600 MB.
    written = [Path(each["filename"]).stat().st_size for each in made.cache_files]
    assert 0 < sum(written) < 20_000
