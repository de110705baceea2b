"""The dataset repo: all its files, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.card import card_text, data_files
from data_prep.options import PrepareOptions
from data_prep.splitting import SPLITS
from data_prep.writing import MANIFEST, write_csv, write_json, write_parquet
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import Published, folder_files, publish


def write_repo(
    folder: Path,
    repo_id: str,
    tables: Mapping[str, pa.Table],
    manifest: pa.Table,
    record: dict[str, Any],
    file_format: str,
) -> None:
    """Write the repo's files to a folder, as they shall lie in the repo."""
    for split, path in data_files(file_format).items():
        if file_format == "csv":
            write_csv(tables[split], folder / path)
        else:
            write_parquet(tables[split], folder / path)
    write_parquet(manifest, folder / "hfpipe" / MANIFEST)
    write_json(record, folder / "hfpipe" / "prepare.json")
    card = card_text(repo_id, record, file_format, list(tables["train"].schema))
    (folder / "README.md").write_text(card, encoding="utf-8")


def publish_repo(
    endpoint: Endpoint, repo_id: str, folder: Path, record: dict[str, Any], options: PrepareOptions
) -> Published:
    """Push the folder in one commit, which takes out what was there under the splits' names.

    That is the other format's files, and the further shards that another program may have pushed:
    the card's patterns would match those too.
    """
    others = [*data_files("csv").values(), *(f"data/{split}*.parquet" for split in SPLITS)]
    splits = record["counts"]["splits"]
    sizes = ", ".join(f"{rows} {split}" for split, rows in splits.items())
    return publish(
        endpoint,
        repo_id,
        "dataset",
        folder_files(folder),
        f"Prepare {record['counts']['kept']} rows: {sizes}",
        private=not options.public,
        delete=others,
    )
