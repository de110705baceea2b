"""The dataset repo: all its files, in one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_prep.audit import audit_page, audit_section
from data_prep.card import SHARD_ROWS, card_text, data_files
from data_prep.cells import write_csv
from data_prep.options import PrepareOptions
from data_prep.splitting import SPLITS
from data_prep.webdataset import image_names, write_shards
from data_prep.writing import MANIFEST, write_json, write_parquet, write_table
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import Published, folder_files, publish

#: A split's rows, given anew in portions at each call.
Portions = Callable[[], Iterator[pa.Table]]


def write_repo(
    folder: Path,
    repo_id: str,
    splits: Mapping[str, Portions],
    manifest: pa.Table,
    record: dict[str, Any],
    file_format: str,
    row_bytes: float,
) -> None:
    """Write the repo's files to a folder, as they shall lie in the repo."""
    rows = record["counts"]["splits"]
    for split, paths in data_files(file_format, rows, row_bytes).items():
        if file_format == "csv":
            write_csv(splits[split](), folder / paths[0])
        elif file_format == "webdataset":
            (folder / "data").mkdir(exist_ok=True)
            write_shards(splits[split](), folder / "data", split, SHARD_ROWS)
        else:
            write_parquet(splits[split](), [folder / path for path in paths], rows[split])
    write_table(manifest, folder / "hfpipe" / MANIFEST)
    write_json(record, folder / "hfpipe" / "prepare.json")
    audit = record.get("audit")
    if audit:
        page = audit_page(audit, record)
        (folder / "hfpipe" / "audit.html").write_text(page, encoding="utf-8")
    schema = list(next(splits["train"]()).schema)
    images = image_names(folder.rglob("*.tar"))
    section = audit_section(audit) if audit else ""
    card = card_text(repo_id, record, file_format, schema, section, images)
    (folder / "README.md").write_text(card, encoding="utf-8")


def publish_repo(
    endpoint: Endpoint, repo_id: str, folder: Path, record: dict[str, Any], options: PrepareOptions
) -> Published:
    """Push the folder in one commit, which takes out what was there under the splits' names.

    That is the other formats' files, and the further shards that another program may have pushed:
    the card's patterns would match those too.
    """
    others = [f"{split}.csv" for split in SPLITS]
    others += [f"data/{split}*.{kind}" for split in SPLITS for kind in ("parquet", "tar")]
    if not record.get("audit"):
        others.append("hfpipe/audit.html")
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
