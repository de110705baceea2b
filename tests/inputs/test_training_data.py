"""Dataset repos as they are trained on: splits apart, leaks refused, WebDatasets like any other."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data_prep.webdataset import write_shards
from hfpipe.errors import UserError
from hfpipe.inputs.collator import Collator
from hfpipe.inputs.splits import open_dataset
from hfpipe.inputs.training_data import load_training_data
from hfpipe.recipe import Data, Input
from tests.inputs.support import fit, picture, tools
from tests.toys import push_rows

INPUTS = {
    "figures": Input("numeric", ["n"]),
    "kinds": Input("categorical", ["c"]),
    "vector": Input("vector", ["v"]),
}


def numbers(count: int, seed: int) -> list[dict]:
    draw = np.random.default_rng(seed)
    return [
        {
            "row_id": f"{seed}-{at}",
            "n": float(draw.normal(seed)),
            "c": f"c{draw.integers(0, 4 + seed)}",
            "v": draw.normal(size=3).tolist(),
            "y": "ab"[at % 2],
        }
        for at in range(count)
    ]


def load(hub, repo: str, **options):
    data = Data(**{"inputs": INPUTS, "label": "y", **options})
    return load_training_data(hub, repo, data, None, 42)


def test_validation_and_test_rows_change_nothing_of_what_is_fitted(hub):
    for name, seed in (("one", 5), ("other", 9)):
        push_rows(
            hub,
            f"local/fitted-{name}",
            None,
            train=numbers(40, 1),
            validation=numbers(20, seed),
            test=numbers(20, seed + 1),
        )
    one, other = load(hub, "local/fitted-one"), load(hub, "local/fitted-other")
    assert one.processor.files() == other.processor.files()
    train = [row["n"] for row in numbers(40, 1)]
    assert one.processor.inputs["figures"].means == [pytest.approx(np.mean(train), rel=1e-12)]
    assert one.validation["n"][:] != other.validation["n"][:]


def test_rows_held_out_of_train_are_not_fitted_on(hub):
    push_rows(hub, "local/held-out", None, train=numbers(60, 1))
    data = load(hub, "local/held-out")
    assert (len(data.train), len(data.validation)) == (54, 6)
    fitted = data.processor.inputs["figures"]
    assert fitted.means == [pytest.approx(np.mean(data.train["n"]), rel=1e-12)]
    assert fitted.means[0] != pytest.approx(np.mean([row["n"] for row in numbers(60, 1)]))


def test_both_splits_are_encoded_with_labels(hub):
    push_rows(hub, "local/labels", None, train=numbers(30, 1), validation=numbers(10, 2))
    data = load(hub, "local/labels", task="binary", positive="a")
    train, validation = data.encoded_rows({}, quiet=True)
    assert train["row_id"] == data.train["row_id"]
    assert validation["labels"][:] == [1.0, 0.0] * 5
    batch = Collator(data.processor, {})(list(validation))
    assert batch["inputs"]["vector"]["values"].shape == (10, 3)
    assert batch["labels"].tolist() == [1.0, 0.0] * 5


def test_a_regression_keeps_the_rows_that_have_a_number(hub):
    rows = numbers(30, 1)
    rows[3]["n"] = None
    push_rows(hub, "local/targets", None, train=rows, validation=numbers(10, 2))
    inputs = {"vector": INPUTS["vector"]}
    data = load(hub, "local/targets", inputs=inputs, label="n", task="regression")
    assert data.counts["train"]["dropped"]["no_label"] == 1
    assert data.processor.labels == []
    assert np.allclose(
        data.encoded_rows({}, quiet=True)[1]["labels"][:], [row["n"] for row in numbers(10, 2)]
    )


def test_a_validation_split_without_labels_is_refused(hub):
    rows = [{**row, "y": None} for row in numbers(10, 2)]
    push_rows(hub, "local/unlabelled", None, train=numbers(30, 1), validation=rows)
    with pytest.raises(UserError, match="split 'validation': no row has a label in 'y'"):
        load(hub, "local/unlabelled")


def test_a_leak_is_refused_before_the_rows_are_loaded(hub):
    # Rows that nothing could load: the refusal comes first.
    from hfpipe.hub.publish import publish

    files: dict[str, bytes | Path] = {
        "data/train-00000-of-00001.parquet": b"broken",
        "hfpipe/prepare.json": b'{"label": "y", "leakage_columns": ["followers"]}',
    }
    publish(hub, "local/leaking", "dataset", files, "rows")
    with pytest.raises(UserError, match=r"'local/leaking' refuses column 'followers'"):
        load(hub, "local/leaking", inputs={"it": Input("numeric", ["followers"])})


@pytest.fixture(scope="module")
def shards(hub) -> str:
    """A dataset as ``hfpipe prepare --format webdataset`` pushes it: png, txt and json files."""
    from hfpipe.hub.publish import folder_files, publish

    folder = Path(tempfile.mkdtemp())
    (folder / "data").mkdir()
    for split, count in (("train", 12), ("validation", 6)):
        rows = [
            {
                "row_id": f"{split}/{at}.x",
                "image": {"bytes": picture((at * 20, 0, 0)), "path": None},
                "txt": None if at == 9 else f"dog {at}",
                "n": float(at),
                "v": [1.0, float(at)],
                "label": "ab"[at % 2],
            }
            for at in range(count)
        ]
        write_shards([pa.Table.from_pylist(rows)], folder / "data", split, 5)
    return publish(hub, "local/shards-to-learn", "dataset", folder_files(folder), "rows").repo_id


def test_a_webdataset_has_the_columns_that_its_rows_had(hub, shards):
    source = open_dataset(hub, shards)
    train = source.split("train")
    assert sorted(train.column_names) == ["image", "key", "label", "n", "row_id", "txt", "v"]
    assert train["row_id"] == [f"train/{at}.x" for at in range(12)]
    assert train["n"] == [float(at) for at in range(12)]
    assert train["txt"][8:10] == ["dog 8", None]
    assert train["image"][3]["bytes"] == picture((60, 0, 0))


def test_a_webdataset_is_trained_on_like_any_other(hub, shards):
    inputs = {
        "text": Input("text", ["txt"], optional=True),
        "photo": Input("image", ["image"]),
        "vector": Input("vector", ["v"]),
    }
    data = load(hub, shards, inputs=inputs, label="label")
    train, validation = data.encoded_rows(tools(data.processor), quiet=True)
    batch = Collator(data.processor, tools(data.processor))(list(train))
    assert batch["inputs"]["photo"]["pixel_values"].shape == (12, 3, 8, 8)
    assert batch["inputs"]["text"]["present"].tolist() == [at != 9 for at in range(12)]
    # The right half of each image is its colour, which grows from row to row.
    reds = batch["inputs"]["photo"]["pixel_values"][:, 0, 0, -1]
    assert reds.tolist() == pytest.approx([at * 20 / 127.5 - 1 for at in range(12)], abs=0.01)
    assert validation["labels"][:] == [0, 1] * 3


def test_a_webdataset_of_others_is_named_by_its_keys(tmp_path):
    import tarfile

    from datasets import load_dataset

    from hfpipe.inputs.shards import is_sharded, unpacked

    with tarfile.open(tmp_path / "train-000.tar", "w") as archive:
        for at in range(3):
            files = {"left.png": picture(), "right.jpg": picture(kind="JPEG"), "cls": b"%d" % at}
            for extension, content in files.items():
                entry = tarfile.TarInfo(f"s{at}.{extension}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    loaded = load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert is_sharded(loaded)
    found = unpacked(loaded)
    assert sorted(found.column_names) == ["cls", "key", "left", "right", "row_id"]
    assert found["row_id"] == ["s0", "s1", "s2"]
    processor = fit(found, one=Input("image", ["left"]), two=Input("image", ["right"]))
    assert processor.columns == ["left", "right"]
