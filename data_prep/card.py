"""The dataset card: what the rows are, what was dropped and why, how the splits were made."""

from __future__ import annotations

from typing import Any

from data_prep.ledger import REASONS
from data_prep.splitting import SPLITS


def data_files(file_format: str) -> dict[str, str]:
    """Where each split lies in the repo.

    >>> data_files("csv")["test"]
    'test.csv'
    """
    if file_format == "csv":
        return {split: f"{split}.csv" for split in SPLITS}
    return {split: f"data/{split}-00000-of-00001.parquet" for split in SPLITS}


def dataset_card(repo_id: str, record: dict[str, Any], file_format: str) -> str:
    """The README of a dataset repo, in Markdown with its YAML header."""
    counts = record["counts"]
    lines = [_header(file_format), f"# {repo_id.rpartition('/')[2]}", ""]
    lines += [
        f"{counts['in']:,} rows in, {counts['kept']:,} kept.",
        "",
        "| rows | count |",
        "|---|--:|",
    ]
    lines += [
        f"| dropped: {REASONS[name]} | {rows:,} |" for name, rows in counts["dropped"].items()
    ]
    lines += [f"| {split} | {counts['splits'][split]:,} |" for split in SPLITS]
    return "\n".join(lines) + "\n"


def _header(file_format: str) -> str:
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, path in data_files(file_format).items():
        lines += [f"  - split: {split}", f"    path: {path}"]
    if file_format == "csv":
        # Without these two, pandas reads the label "None" or "NA" as a missing value.
        lines += ["  keep_default_na: false", "  na_values: ['']"]
    return "\n".join([*lines, "---", ""])
