"""What frozen towers give, computed once and kept on disk: training feeds on that.

The outputs of a tower that does not learn are the same at each epoch. They are computed once, in
evaluation mode (dropout inside the tower is then off), kept as ``.npy`` under a name made of the
tower's weights and of its rows' features, and read as a memory map by every later run that has
both the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.inputs.collator import Collator
from hfpipe.rows.identity import ROW_ID

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

    from hfpipe.models.base import HfpipeModel

ROW = "cache_row"
BATCH = 256


@dataclass(frozen=True)
class CachedCollator(Collator):
    """A collator that hands out kept outputs in place of what the towers read.

    Attributes:
        outputs: Tower → ``(rows, dim)`` float32, by the rows' ``cache_row``.
        present: Tower → ``(rows,)`` bool.
        left_out: Inputs that only cached towers read.
    """

    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    present: Mapping[str, np.ndarray] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    def inputs_of(self, rows: Sequence[Mapping[str, Any]], seed: int | None) -> dict[str, Any]:
        """See the base."""
        import torch

        found = super().inputs_of(rows, seed)
        places = [int(row[ROW]) for row in rows]
        for name, values in self.outputs.items():
            found[name] = {
                "pooled": torch.from_numpy(np.asarray(values[places], np.float32)),
                "present": torch.from_numpy(self.present[name][places]),
            }
        return found

    @property
    def read(self) -> list[str]:
        """See the base."""
        return [name for name in super().read if name not in self.left_out]


def with_cache(
    model: Any, collator: Collator, splits: Sequence[Dataset], quiet: bool = False
) -> tuple[Collator, list[Dataset]]:
    """Compute the outputs of frozen towers, or find them; all else stays as it is.

    Args:
        model: What is to learn.
        collator: Makes its batches without random changes.
        splits: Encoded rows.
        quiet: No progress bar.

    Returns:
        A collator and splits with which the model is fed the outputs.
    """
    towers = frozen_towers(model, collator)
    if not towers:
        return collator, list(splits)
    outputs: dict[str, np.ndarray] = {}
    present: dict[str, np.ndarray] = {}
    for name in towers:
        parts = [_outputs(model, name, collator, rows, quiet) for rows in splits]
        outputs[name] = parts[0][0] if len(parts) == 1 else np.concatenate([p[0] for p in parts])
        present[name] = np.concatenate([p[1] for p in parts])
    still = {
        each for name in model.names if name not in towers for each in model.towers[name].inputs
    }
    left_out = frozenset(set(collator.processor.inputs) - still)
    ends = np.cumsum([0, *map(len, splits)])
    numbered = [
        rows.remove_columns(_features(rows, left_out)).add_column(
            ROW, list(range(int(start), int(start) + len(rows)))
        )
        for rows, start in zip(splits, ends, strict=False)
    ]
    cached = CachedCollator(
        collator.processor,
        collator.tools,
        outputs=outputs,
        present=present,
        left_out=left_out,
    )
    return cached, numbered


def frozen_towers(model: Any, collator: Collator) -> list[str]:
    """The towers whose outputs cannot change: nothing in them learns, nothing they read varies."""
    boundary: dict[str, list[str]] = getattr(model, "cache_boundary", dict)()
    if not boundary:
        return []
    groups = model.parameter_groups()
    varied = {
        name for name, each in collator.processor.inputs.items() if getattr(each, "augment", None)
    }
    return [
        name
        for name, below in boundary.items()
        if not any(each.requires_grad for group in below for each in groups[group])
        and not varied.intersection(model.towers[name].inputs)
    ]


def cache_folder() -> Path:
    """``HFPIPE_CACHE``, else ``~/.cache/hfpipe``; the features are below it."""
    root = os.environ.get("HFPIPE_CACHE") or "~/.cache/hfpipe"
    return Path(root).expanduser() / "features"


def _outputs(
    model: HfpipeModel, name: str, collator: Collator, rows: Dataset, quiet: bool
) -> tuple[np.ndarray, np.ndarray]:
    """``(rows, dim)`` and ``(rows,)`` of one tower, kept or computed."""
    tower = model.towers[name]
    key = _key(tower, model.config.towers[name], rows, collator)
    values, there = (cache_folder() / f"{key}.{part}.npy" for part in ("values", "present"))
    if not (values.exists() and there.exists()):
        found = _computed(model, name, collator, rows, quiet)
        for path, array in zip((values, there), found, strict=True):
            _keep(path, array)
    return np.load(values, mmap_mode="r"), np.load(there)


def _key(tower: Any, spec: Mapping[str, Any], rows: Dataset, collator: Collator) -> str:
    """A name that changes whenever weights, features, or what is made of either change."""
    digest = hashlib.sha256()
    made = {key: each for key, each in spec.items() if key != "source"}
    digest.update(json.dumps(made, sort_keys=True, default=str).encode())
    for name, tensor in sorted(tower.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    for each in tower.inputs:
        digest.update(repr(collator.processor.inputs[each].state()).encode())
        tool = collator.tools.get(each)
        digest.update(repr(getattr(tool, "to_dict", str)() if tool is not None else "").encode())
    features = rows.select_columns(_features(rows, tower.inputs)).with_format("arrow")
    for start in range(0, len(features), 1000):
        for column in features[start : start + 1000].columns:
            digest.update(repr(column.to_pylist()).encode())
    return digest.hexdigest()[:32]


def _features(rows: Dataset, inputs: Sequence[str] | frozenset[str]) -> list[str]:
    return [name for name in rows.column_names if name.partition(".")[0] in inputs]


def _computed(
    model: HfpipeModel, name: str, collator: Collator, rows: Dataset, quiet: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Once for rows that are alike, and in order of size, so that little padding is computed."""
    import torch
    from tqdm.auto import tqdm

    from hfpipe.models.parts.batches import any_present, cast

    tower, training = model.towers[name], model.training
    device = next(model.parameters()).device
    own = {each: collator.processor.inputs[each] for each in tower.inputs}
    narrow = replace(collator, processor=replace(collator.processor, inputs=own))
    read = rows.select_columns([ROW_ID, *_features(rows, tower.inputs)])
    first, owner, sizes = _distinct(read)
    order = np.argsort(-sizes, kind="stable")
    values = np.zeros((len(first), tower.size), np.float32)
    present = np.zeros(len(first), bool)
    model.eval()
    with torch.no_grad(), tqdm(total=len(first), desc=f"Tower {name}", disable=quiet) as bar:
        for start in range(0, len(first), BATCH):
            places = order[start : start + BATCH]
            batch = _moved(narrow(read.__getitems__(first[places].tolist()))["inputs"], device)
            pooled = tower(cast(batch, next(tower.parameters()).dtype))
            values[places] = pooled.float().cpu().numpy()
            present[places] = any_present(batch, tower.inputs).cpu().numpy()
            bar.update(len(places))
    model.train(training)
    return values[owner], present[owner]


def _distinct(rows: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first of the rows that are alike, which one each row is like, and how large each is."""
    seen: dict[str, int] = {}
    first: list[int] = []
    sizes: list[int] = []
    owner = np.zeros(len(rows), np.int64)
    columns = [name for name in rows.column_names if name != ROW_ID]
    view = rows.select_columns(columns).with_format("arrow")
    for start in range(0, len(view), 1000):
        batch = (column.to_pylist() for column in view[start : start + 1000].columns)
        for place, row in enumerate(zip(*batch, strict=True), start):
            at = seen.setdefault(repr(row), len(seen))
            if at == len(first):
                first.append(place)
                sizes.append(sum(len(each) for each in row if isinstance(each, list | bytes)))
            owner[place] = at
    return np.array(first, np.int64), owner, np.array(sizes, np.int64)


def _moved(batch: Any, device: torch.device) -> Any:
    return {
        name: {key: each.to(device) for key, each in tensors.items()}
        for name, tensors in batch.items()
    }


def _keep(path: Path, array: np.ndarray) -> None:
    """Written beside its name and moved over it: another run may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp.npy")
    np.save(scratch, array)
    os.replace(scratch, path)
