"""The dataset card, and where the splits lie in a dataset repo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from data_prep.splitting import SPLITS

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
) -> str:
    """The README of a dataset repo.

    Args:
        repo_id: The repo.
        record: The content of ``prepare.json``.
        file_format: ``"parquet"``, ``"csv"`` or ``"webdataset"``.
        schema: The columns; a CSV card names their types, which the files cannot.
        audit: The section about the audit.
    """
    # It imports the Hub's client, which must not come before it is settled which Hub is meant.
    from hfpipe.reports.cards import dataset_card

    text = dataset_card(
        repo_id=repo_id,
        title=repo_id.rpartition("/")[2],
        prepare=record,
        file_format=file_format,
        extra_sections=audit,
    )
    return text if file_format != "csv" else _with_csv_types(text, schema)


def _with_csv_types(text: str, schema: Sequence[pa.Field]) -> str:
    """Say in the header how the CSV files are to be read.

    Readers guess types file by file, so that the splits would not agree, and take cells such as
    ``None`` or ``NA`` for missing values, which would lose a label of that name.
    """
    from huggingface_hub import DatasetCard

    card = DatasetCard(text)
    for config in card.data["configs"]:
        config["keep_default_na"] = False
        config["na_values"] = [""]
    features = [{"name": field.name, "dtype": _dtype(field.type)} for field in schema]
    card.data.dataset_info = {"features": features}  # type: ignore[attr-defined]
    return str(card)


def _dtype(kind: pa.DataType) -> str:
    """What a column of a CSV file is: a number as such, everything else text."""
    if pa.types.is_integer(kind):
        return "int64"
    return "float64" if pa.types.is_floating(kind) else "string"
