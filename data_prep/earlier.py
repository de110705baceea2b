"""What the target repo holds already: rows that stay where they are when new ones are added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_prep.finding import flat_name
from data_prep.options import PrepareOptions
from data_prep.rowwise import RowPlan
from data_prep.splitting import SPLITS
from data_prep.writing import MANIFEST
from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.repos import download, read_json, resolve
from hfpipe.recipe import Prepare
from hfpipe.rows.identity import ROW_ID
from hfpipe.rows.paths import find_inputs
from hfpipe.rows.sources import Source

#: Options that may differ from those of the earlier version: they do not change what a row is.
MAY_DIFFER = {
    "max_bad_rows",
    "audit",
    "audit_rows",
    "id_column",
    "join",
    "join_on",
    "where",
    "format",
    "sizes",
    "min_count",
    "reduce_majority_to",
    "cap",
    "splits_file",
    "leakage_columns",
    "drop_columns",
}


@dataclass(frozen=True)
class Earlier:
    """The version of a dataset that rows are added to.

    Attributes:
        sources: Its files, in the order train, validation, test.
        splits: The split of each.
        record: Its ``prepare.json``.
        manifest: The fate of every row so far.
        revision: Its commit.
    """

    sources: list[Source]
    splits: list[str]
    record: dict[str, Any]
    manifest: pa.Table
    revision: str

    def plan(self, plan: RowPlan) -> RowPlan:
        """The work on its rows: none but noting facts, as they have been cleaned before.

        What must never be written is taken out of them too.
        """
        options = self.record["options"]
        return replace(
            plan,
            text=[flat_name(name) for name in plan.text],
            label=flat_name(plan.label) if plan.label else None,
            ids=ROW_ID,
            where=(),
            steps=(),
            without=(*plan.without, *(["fold"] if options["folds"] else [])),
            joiner=None,
            key_of_shards="" if options["format"] != "webdataset" else options["id_column"] or "-",
        )

    def pinned(self, counts: list[int], rows: int) -> np.ndarray:
        """The split of each of its rows, which come first, and -1 for the others.

        Args:
            counts: Rows of each of its files.
            rows: All rows, new ones included.
        """
        codes = np.full(rows, -1, dtype=np.int8)
        splits = [SPLITS.index(split) for split in self.splits]
        codes[: sum(counts)] = np.repeat(np.array(splits, dtype=np.int8), counts)
        return codes

    def settled(self, options: PrepareOptions, text: Sequence[str]) -> PrepareOptions:
        """The options as they hold for all rows: what was refused before is refused for good."""
        before = self.record["options"]
        refused = dict.fromkeys([*before["leakage_columns"], *options.leakage_columns])
        return replace(
            options,
            text=list(text),
            drop_labels=before["drop_labels"],
            leakage_columns=list(refused),
        )

    def groups(self, row_ids: pa.ChunkedArray) -> pa.Array:
        """The group of each of its rows, whose column may have been left out of the repo."""
        known = self.manifest.column(ROW_ID).combine_chunks()
        return self.manifest.column("group").take(pc.index_in(row_ids, known)).combine_chunks()

    def check_columns(self, columns: Sequence[set[str]], plan: RowPlan) -> None:
        """Its rows must have what settles where a new row belongs.

        Raises:
            UserError: A column was left out of the repo.
        """
        flags = {"time": "--time-column", "latest": "--latest-by"}
        wanted = [(name, flags[use]) for use, name in plan.notes.items() if use in flags]
        wanted += [(name, "--latest-key") for name in plan.key]
        for name, flag in wanted:
            if not any({name, flat_name(name)} & held for held in columns):
                raise UserError(
                    f"--incremental: the dataset has no column '{name}' ({flag}), which was left "
                    "out of it: prepare all rows anew without --incremental"
                )

    def knows(self, row_ids: pa.ChunkedArray) -> np.ndarray:
        """Which of these ids it has kept or dropped before."""
        known = self.manifest.column(ROW_ID).combine_chunks()
        marks = pc.is_in(row_ids, value_set=known)
        return np.asarray(marks.to_numpy(), dtype=bool)

    def dropped(self) -> pa.Table:
        """Its part of the manifest that names the dropped rows."""
        return self.manifest.filter(pc.is_valid(self.manifest.column("reason")))


def load_earlier(endpoint: Endpoint, repo_id: str, options: PrepareOptions) -> Earlier | None:
    """Find what a dataset repo holds.

    Args:
        endpoint: The Hub.
        repo_id: The repo.
        options: What was asked for; must be what the repo was prepared with.

    Returns:
        The version; None where there is no such repo, which is then made.

    Raises:
        UserError: The repo was not made by hfpipe, or with other options.
    """
    from hfpipe.hub.repos import api, hub_errors

    with hub_errors(endpoint, repo_id, "dataset"):
        if not api(endpoint).repo_exists(repo_id, repo_type="dataset"):
            return None
    revision = resolve(endpoint, repo_id, "dataset")
    record = read_json(endpoint, repo_id, "dataset", "hfpipe/prepare.json", revision)
    local = download(endpoint, repo_id, "dataset", f"hfpipe/{MANIFEST}", revision)
    if record is None or local is None:
        raise UserError(
            f"--incremental: dataset {repo_id} has no hfpipe/prepare.json: it was not made by "
            "hfpipe prepare; name another --target"
        )
    _check_same(record, options, repo_id)
    found = find_inputs([f"hf://datasets/{repo_id}@{revision}"], endpoint)
    held = [source for split in SPLITS for source in found if source.split == split]
    splits = [str(source.split) for source in held]
    # Of a file that says its split, the split would be read as a column.
    sources = [replace(source, split=None) for source in held]
    return Earlier(sources, splits, record, _with_group(pq.read_table(Path(local))), revision)


def _with_group(manifest: pa.Table) -> pa.Table:
    if "group" in manifest.column_names:
        return manifest
    return manifest.add_column(2, "group", pa.nulls(manifest.num_rows, pa.string()))


def _check_same(record: dict[str, Any], options: PrepareOptions, repo_id: str) -> None:
    before = record.get("options") or {}
    defaults = Prepare()
    for name, value in options.recorded().items():
        old = before.get(name, getattr(defaults, name))
        if name not in MAY_DIFFER and _compared(name, old) != _compared(name, value):
            flag = "--" + name.replace("_", "-")
            raise UserError(
                f"--incremental: {repo_id} was prepared with {flag} {_shown(old)}, now it is "
                f"{_shown(value)}: give the same, or prepare all rows anew without --incremental"
            )


def _compared(name: str, value: Any) -> Any:
    """Names with commas may have been taken apart since."""
    parts = ",".join(value).split(",") if name in ("text", "drop_labels") else value
    parts = [part.strip() for part in parts] if parts is not value else parts
    return set(parts) if name == "drop_labels" else parts


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
