"""Vectors from shards: each row gets its own, all of one shape, whatever lies in the files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.fusion import FUSIONS
from data_prep.shards import ShardFolder
from data_prep.vectors import VectorOptions, VectorReader, vector_options
from hfpipe.errors import HfpipeError, RunError, UserError

KEYS = ("video_emb_key", "audio_emb_key", "text_emb_key")


def save(folder: Path, name: str, vectors, array: str = "vectors") -> str:
    """Write a shard; gives its key."""
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".npz"):
        np.savez(folder / name, **{array: vectors})
    else:
        pq.write_table(pa.table({array: list(vectors)}), folder / name)
    return name


def numbers(rows: int, dim: int, seed: int = 0, dtype: str = "float16") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(dtype)


def read(folder, rows, columns=KEYS[:1], **options):
    options = VectorOptions(columns=list(columns), **options)
    return VectorReader(options, folder).read(pa.Table.from_pylist(rows))


@pytest.mark.parametrize("kind", ["npz", "parquet"])
@given(data=st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_every_row_gets_the_vector_that_its_key_and_index_name(tmp_path_factory, kind, data):
    folder = tmp_path_factory.mktemp("shards")
    shards = {
        column: {
            save(folder, f"{column}-{number}.{kind}", values): values
            for number, values in enumerate([numbers(3, dim, dim), numbers(2, dim, dim + 1)])
        }
        for column, dim in zip(KEYS[:2], (4, 2), strict=True)
    }
    places = st.fixed_dictionaries(
        {column: st.sampled_from([None, "", *shards[column]]) for column in KEYS[:2]}
        | {"shard_idx": st.integers(0, 1)}
    )
    # One row of each modality, so that every dimension is known.
    first = {column: next(iter(shards[column])) for column in KEYS[:2]} | {"shard_idx": 2}
    rows = [first, *data.draw(st.lists(places, max_size=10))]
    table, dropped = read(folder, rows, KEYS[:2], fusion="concat")
    for column, name, dim in zip(KEYS[:2], ("video", "audio"), (4, 2), strict=True):
        assert table.schema.field(name).type == pa.list_(pa.float32(), dim)
        for row, vector in zip(rows, table.column(name).to_pylist(), strict=True):
            shard = shards[column].get(row[column])
            assert vector == (None if shard is None else shard[row["shard_idx"]].tolist())
    for row, fused in zip(table.to_pylist(), table.column("fused").to_pylist(), strict=True):
        there = [float(row[name] is not None) for name in ("video", "audio")]
        assert fused == [*(row["video"] or [0] * 4), *(row["audio"] or [0] * 2), *there]
    assert dropped["no_vector"].tolist() == [
        i for i, row in enumerate(rows) if not any(row[column] for column in KEYS[:2])
    ]


@given(
    values=st.lists(
        st.tuples(
            *[st.one_of(st.none(), st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=2))]
            * 3
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_sums_and_maxima_count_only_what_is_there(values):
    vectors = [np.float32([row[i] or [0, 0] for row in values]) for i in range(3)]
    mask = np.array([[each is not None for each in row] for row in values])
    for name, pool in (("sum_pool", np.sum), ("max_pool", np.max)):
        fused = FUSIONS[name](vectors, mask)
        assert fused.shape == (len(values), 2 + 3)
        assert (fused[:, 2:] == mask).all()
        for row, got in zip(values, fused, strict=True):
            there = [each for each in row if each is not None] or [[0, 0]]
            np.testing.assert_allclose(got[:2], pool(np.float32(there), axis=0), atol=1e-5)


def test_pooling_vectors_of_different_dimensions_is_refused(tmp_path):
    row = {
        KEYS[0]: save(tmp_path, "a.npz", numbers(1, 4)),
        KEYS[1]: save(tmp_path, "b.npz", numbers(1, 3)),
        "shard_idx": 0,
    }
    for fusion in ("sum_pool", "max_pool"):
        with pytest.raises(UserError, match=r"different dimensions \(4, 3\): use concat"):
            read(tmp_path, [row], KEYS[:2], fusion=fusion)


def test_the_lock_records_dimension_and_type_and_holds_the_next_version_to_them(tmp_path):
    save(tmp_path, "a.npz", numbers(2, 4))
    table = pa.table({KEYS[0]: ["a.npz"], "shard_idx": [1]})
    options = VectorOptions(columns=[KEYS[0]])
    reader = VectorReader(options, tmp_path)
    reader.read(table)
    assert reader.schema_lock == {"video": {"dim": 4, "dtype": "float16"}}
    VectorReader(options, tmp_path, reader.schema_lock).read(table)
    with pytest.raises(UserError, match=r"a\.npz: vectors of dimension 4, where 'video' has 5"):
        VectorReader(options, tmp_path, {"video": {"dim": 5, "dtype": "float16"}}).read(table)


def test_priming_with_the_manifest_gives_every_chunk_the_same_columns(tmp_path):
    save(tmp_path, "a.npz", numbers(2, 4))
    save(tmp_path, "t.npz", numbers(2, 3))
    manifest = pa.table({KEYS[0]: ["a.npz"] * 2, KEYS[2]: [None, "t.npz"], "shard_idx": [0, 1]})
    options = VectorOptions(columns=[KEYS[0], KEYS[2]], fusion="concat")
    with pytest.raises(UserError, match="no row names a file in 'text_emb_key'"):
        VectorReader(options, tmp_path).read(manifest.slice(0, 1))
    reader = VectorReader(options, tmp_path)
    reader.prime(manifest)
    chunks = [reader.read(manifest.slice(place, 1))[0] for place in (0, 1)]
    assert chunks[0].schema == chunks[1].schema
    assert [chunk.column("text").null_count for chunk in chunks] == [1, 0]


def test_a_shard_is_opened_once_and_memory_is_bounded(tmp_path):
    for name in "abc":
        save(tmp_path, f"{name}.npz", numbers(10, 4))
    shards = ShardFolder(str(tmp_path), "vectors", held_bytes=2 * 10 * 4 * 2)
    first = shards.vectors("a.npz")
    (tmp_path / "a.npz").unlink()
    assert shards.vectors("a.npz") is first
    shards.vectors("b.npz")
    shards.vectors("a.npz")
    shards.vectors("c.npz")  # the third: b, the least recently used, goes
    assert shards.vectors("a.npz") is first
    (tmp_path / "b.npz").unlink()
    with pytest.raises(UserError, match=r"no file .*b\.npz"):
        shards.vectors("b.npz")


def objects() -> np.ndarray:
    return np.array([{"a": 1}, None], dtype=object)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (numbers(2, 5), "k.npz: vectors of dimension 5, where 'video' has 4"),
        (
            numbers(2, 4, dtype="float32"),
            "k.npz: vectors of type float32, where 'video' has float16",
        ),
        (numbers(1, 4), "k.npz: row '2' asks for vector 1 ('shard_idx'), but it holds 1, counted"),
        (np.float16([[1] * 4, [1, np.nan, 1, 1]]), "k.npz: vector 1, of row '2', holds NaN"),
        (np.float16([[1] * 4, [1, np.inf, 1, 1]]), "k.npz: vector 1, of row '2', holds NaN"),
        (np.arange(8).reshape(2, 4), "k.npz: 'vectors' is int64 of shape (2, 4): floats of shape"),
        (np.float16([1, 2]), "k.npz: 'vectors' is float16 of shape (2,)"),
        (objects(), "k.npz: not a readable file of vectors: write it again"),
    ],
    ids=["dimension", "type", "index", "nan", "inf", "integers", "one axis", "objects"],
)
def test_a_shard_that_is_not_like_the_others_is_named(tmp_path, vectors, message):
    save(tmp_path, "a.npz", numbers(2, 4))
    save(tmp_path, "k.npz", vectors)
    rows = [{KEYS[0]: "a.npz", "shard_idx": 0}, {KEYS[0]: "k.npz", "shard_idx": 1}]
    with pytest.raises(UserError) as raised:
        read(tmp_path, rows)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_float64_beyond_float32_is_refused(tmp_path):
    save(tmp_path, "a.npz", np.array([[1e300, 0.0]]))
    with pytest.raises(UserError, match="holds NaN or infinity"):
        read(tmp_path, [{KEYS[0]: "a.npz", "shard_idx": 0}])


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({KEYS[0]: "b.npz", "shard_idx": 0}, {}, "no file {root}/b.npz: prepare.vectors.root"),
        ({KEYS[0]: "a.npz", "shard_idx": -1}, {}, "asks for vector -1"),
        ({KEYS[0]: "a.npz", "shard_idx": None}, {}, "row '1' names a file in 'video_emb_key' but"),
        ({KEYS[0]: "a.npz", "shard_idx": 0.5}, {}, "(prepare.vectors.index) holds something else"),
        ({KEYS[0]: "a.npz", "shard_idx": "x"}, {}, "(prepare.vectors.index) holds something else"),
        ({KEYS[0]: "a.npz", "shard": 0}, {}, "no column 'shard_idx' (prepare.vectors.index)"),
        ({"video": "a.npz", "shard_idx": 0}, {}, "no column 'video_emb_key' (prepare.vectors.col"),
        ({KEYS[0]: "a.npz", "shard_idx": 0}, {"array": "vector"}, "did you mean 'vectors'?"),
        ({KEYS[0]: "a.csv", "shard_idx": 0}, {}, "a.csv: shards of vectors are .npz or .parquet"),
        ({KEYS[0]: "../a.npz", "shard_idx": 0}, {}, "'../a.npz' is outside {root}"),
        ({KEYS[0]: "/etc/a.npz", "shard_idx": 0}, {}, "'/etc/a.npz' is outside {root}"),
        ({KEYS[0]: "s3://x/a.npz", "shard_idx": 0}, {}, "'s3://x/a.npz' is outside {root}"),
        ({KEYS[0]: ["a.npz"], "shard_idx": 0}, {}, "holds list<"),
        ({KEYS[0]: "a.npz", "shard_idx": 0, "video": 1}, {}, "there is a column 'video' already"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_one_clear_line(tmp_path, row, options, message):
    save(tmp_path, "a.npz", numbers(2, 4))
    with pytest.raises(UserError) as raised:
        read(tmp_path, [row], **options)
    assert message.format(root=tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_rows_are_named_by_their_ids_where_they_are_given(tmp_path):
    save(tmp_path, "a.npz", numbers(2, 4))
    reader = VectorReader(VectorOptions(columns=[KEYS[0]]), tmp_path)
    with pytest.raises(UserError, match="row 'ada' asks for vector 2"):
        reader.read(pa.table({KEYS[0]: ["a.npz"], "shard_idx": [2]}), ["ada"])


def test_a_key_may_also_be_written_with_its_root(tmp_path):
    save(tmp_path / "in", "a.npz", numbers(2, 4))
    rows = [{KEYS[0]: f"{tmp_path}/in/a.npz", "shard_idx": 0.0}]  # a CSV with gaps has floats
    table, _ = read(tmp_path, rows)
    assert table.column("video").null_count == 0


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_damaged_shards_end_in_one_line_never_in_a_traceback(tmp_path, kind):
    whole = (tmp_path / save(tmp_path, f"a.{kind}", numbers(20, 4))).read_bytes()
    random = np.random.default_rng(0)
    shards = ShardFolder(str(tmp_path), "vectors")
    said: list[str] = []
    for attempt in range(150):
        broken = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            broken[place] = random.integers(0, 256)
        if attempt % 3 == 0:
            broken = broken[: random.integers(0, len(whole))]
        name = f"{attempt}.{kind}"
        (tmp_path / name).write_bytes(broken)
        try:
            shards.vectors(name)
        except HfpipeError as error:
            said.append(str(error))
    assert len(said) > 75
    assert [line for line in said if "\n" in line or f".{kind}: " not in line] == []


def test_parquet_vectors_of_different_lengths_are_refused(tmp_path):
    save(tmp_path, "a.parquet", [[1.0, 2.0], [1.0]])
    save(tmp_path, "b.parquet", ["no", "lists"])
    save(tmp_path, "c.parquet", [[1.0, 2.0], None])
    for name, message in {
        "a.parquet": "holds vectors of 2, 1 numbers",
        "b.parquet": "holds string, not lists of floats",
        "c.parquet": "holds vectors of 2, nothing numbers",
    }.items():
        with pytest.raises(UserError, match=message):
            read(tmp_path, [{KEYS[0]: name, "shard_idx": 0}])


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({}, "prepare.vectors: 'columns' is missing"),
        ({"columns": ["a"], "fussion": "concat"}, "unknown key 'fussion'; did you mean 'fusion'?"),
        ({"columns": ["a"], "fusion": "max"}, "prepare.vectors.fusion: 'max' does not exist"),
        ({"columns": [1]}, "prepare.vectors.columns: '[1]' is not a list of names"),
        ({"columns": ["a_key", "a_emb_key"]}, "two columns would be called 'a'"),
        ({"columns": ["fused_key"], "fusion": "concat"}, "two columns would be called 'fused'"),
    ],
)
def test_wrong_options_are_named(block, message):
    with pytest.raises(UserError) as raised:
        vector_options(block)
    assert message in str(raised.value)


def test_null_vectors_survive_parquet_and_the_stock_reader(tmp_path):
    from datasets import load_dataset

    save(tmp_path, "a.npz", numbers(2, 4))
    table, _ = read(tmp_path, [{KEYS[0]: "a.npz", "shard_idx": 1}, {KEYS[0]: None, "shard_idx": 0}])
    pq.write_table(table, tmp_path / "train.parquet")
    assert pq.read_table(tmp_path / "train.parquet").equals(table)
    loaded = load_dataset(
        "parquet", data_files=str(tmp_path / "train.parquet"), cache_dir=str(tmp_path / "cache")
    )["train"]
    assert loaded["video"][0] == table.column("video")[0].as_py()
    assert loaded["video"][1] is None


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server on loopback with one bucket; gives what puts an object there."""
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3", endpoint_url=url)
    client.create_bucket(Bucket="vectors")
    yield lambda key, content: client.put_object(Bucket="vectors", Key=key, Body=content)
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_shards_on_s3_are_read_like_those_in_a_folder(bucket):
    values = numbers(3, 4)
    content = io.BytesIO()
    np.savez_compressed(content, vectors=values)
    bucket("run/embeddings/a.npz", content.getvalue())
    rows = [{KEYS[0]: "embeddings/a.npz", "shard_idx": place} for place in (2, 0)]
    table, _ = read("s3://vectors/run", rows)
    assert table.column("video").to_pylist() == values[[2, 0]].tolist()
    with pytest.raises(UserError, match=r"s3://vectors/run/embeddings/b\.npz does not exist"):
        read("s3://vectors/run", [{KEYS[0]: "embeddings/b.npz", "shard_idx": 0}])


def test_a_storage_that_does_not_answer_is_one_clear_line(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(RunError, match=r"s3://vectors/a\.npz cannot be read") as raised:
        read("s3://vectors", [{KEYS[0]: "a.npz", "shard_idx": 0}])
    assert "\n" not in str(raised.value)


def test_a_kind_of_storage_that_does_not_exist_is_named():
    with pytest.raises(UserError, match=r"s4://vectors/a\.npz: no such kind of address"):
        read("s4://vectors", [{KEYS[0]: "a.npz", "shard_idx": 0}])
