"""The dataset card, and where the splits lie in a dataset repo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from data_prep.finding import is_list
from data_prep.splitting import SPLITS
from data_prep.table import units_line
from data_prep.webdataset import REST, TEXT, is_image

#: Rows of a WebDataset shard.
SHARD_ROWS = 1_000


def data_files(
    file_format: str, rows: Mapping[str, int], row_bytes: float = 0, file_bytes: int = 1 << 30
) -> dict[str, list[str]]:
    """Where the rows of each split lie in the repo.

    Args:
        file_format: ``"parquet"``, ``"csv"`` or ``"webdataset"``.
        rows: Rows of each split.
        row_bytes: Bytes of a row, as it lies on disk.
        file_bytes: Bytes after which a split gets a further Parquet file.

    >>> data_files("csv", {"train": 5, "validation": 2, "test": 2})["test"]
    ['test.csv']
    >>> data_files("parquet", {"train": 5, "validation": 2, "test": 2})["test"]
    ['data/test-00000-of-00001.parquet']
    """
    if file_format == "csv":
        return {split: [f"{split}.csv"] for split in SPLITS}
    if file_format == "webdataset":
        counts = {split: -(-rows[split] // SHARD_ROWS) for split in SPLITS}
        return {
            split: [f"data/{split}-{i:06d}.tar" for i in range(count)]
            for split, count in counts.items()
        }
    counts = {split: max(1, round(rows[split] * row_bytes / file_bytes)) for split in SPLITS}
    return {
        split: [f"data/{split}-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
        for split, count in counts.items()
    }


def card_text(
    repo_id: str,
    record: dict[str, Any],
    file_format: str,
    schema: Sequence[pa.Field],
    audit: str = "",
    images: Sequence[str] = (),
) -> str:
    """The README of a dataset repo.

    Args:
        repo_id: The repo.
        record: The content of ``prepare.json``.
        file_format: ``"parquet"``, ``"csv"`` or ``"webdataset"``.
        schema: The columns; cards of CSV files and shards name their types, which those cannot.
        audit: The section about the audit.
        images: What the images of shards are called, as ``png``.
    """
    # It imports the Hub's client, which must not come before it is settled which Hub is meant.
    from hfpipe.reports.cards import dataset_card

    text = dataset_card(
        repo_id=repo_id,
        title=repo_id.rpartition("/")[2],
        prepare=record,
        file_format=file_format,
        extra_sections=_units_section(record) + audit,
    )
    return text if file_format == "parquet" else _with_types(text, file_format, schema, images)


def _units_section(record: dict[str, Any]) -> str:
    """Of what other rows the rows were made."""
    units = record["counts"].get("units")
    return f"## Rows of another unit\n\n{units_line(units)}.\n\n" if units else ""


def _with_types(
    text: str, file_format: str, schema: Sequence[pa.Field], images: Sequence[str]
) -> str:
    """Say in the header how files without types are to be read.

    Readers guess the types of CSV files file by file, so that the splits would not agree, and take
    cells such as ``None`` or ``NA`` for missing values, which would lose a label of that name. Of
    shards they look at five rows: a column that is empty in those would be one of nothing.
    """
    from huggingface_hub import DatasetCard

    card = DatasetCard(text)
    if file_format == "csv":
        for config in card.data["configs"]:
            config["keep_default_na"] = False
            config["na_values"] = [""]
        features = [{"name": field.name, "dtype": _dtype(field.type)} for field in schema]
    else:
        features = shard_features(schema, images)
    card.data.dataset_info = {"features": features}  # type: ignore[attr-defined]
    return str(card)


def shard_features(schema: Sequence[pa.Field], images: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The types of the files of a sample, as a card says them.

    >>> for each in shard_features([pa.field("txt", pa.string()), pa.field("n", pa.int8())]):
    ...     print(each)
    {'name': 'txt', 'dtype': 'string'}
    {'name': 'json', 'struct': [{'name': 'n', 'dtype': 'int64'}]}
    {'name': '__key__', 'dtype': 'string'}
    {'name': '__url__', 'dtype': 'string'}
    """
    texts = (pa.string(), pa.large_string())
    alone = [field.name for field in schema if field.name == TEXT and field.type in texts]
    rest = [field for field in schema if field.name not in alone and not is_image(field.type)]
    return [
        *({"name": name, "dtype": "image"} for name in images),
        *({"name": name, "dtype": "string"} for name in alone),
        {"name": REST, "struct": [{"name": each.name, **_json_type(each.type)} for each in rest]},
        *({"name": name, "dtype": "string"} for name in ("__key__", "__url__")),
    ]


def _json_type(kind: pa.DataType) -> dict[str, Any]:
    """What a value becomes in JSON."""
    if pa.types.is_struct(kind):
        return {"struct": [{"name": each.name, **_json_type(each.type)} for each in kind.fields]}
    if is_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _json_type(kind.value_type)
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    return {"dtype": "bool" if pa.types.is_boolean(kind) else _dtype(kind)}


def _dtype(kind: pa.DataType) -> str:
    """What a column of a file without types is: a number as such, everything else text."""
    if pa.types.is_integer(kind):
        return "uint64" if kind == pa.uint64() else "int64"
    return "float64" if pa.types.is_floating(kind) else "string"
