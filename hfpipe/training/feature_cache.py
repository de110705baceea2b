"""What frozen parts of a model give, computed once and kept on disk: training feeds on that.

The outputs of a tower, or of a stock model's encoder, that does not learn are the same at each
epoch. They are computed once, in evaluation mode (dropout inside is then off), kept under a name
made of weights, rows and processor, and read as a memory map by every later stage and run that has
all three the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfpipe.errors import RunError
from hfpipe.inputs.collator import Collator
from hfpipe.rows.identity import ROW_ID
from hfpipe.training.cache_files import (
    CannotKeep,
    cache_folder,
    cache_limit,
    drafted,
    read,
    tell_once,
)
from hfpipe.training.cache_keys import Distinct, distinct, maker_digest
from hfpipe.training.cached_rows import ROW, Boundary, CachedCollator, Kept
from hfpipe.training.frozen import agreed, boundaries_of, in_turn, resting
from hfpipe.training.memory import is_out_of_memory

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

__all__ = ["CachedCollator", "cache_folder", "cached"]

ROWS, TOKENS, PROBE = 256, 4096, 4
"""Of a batch at most so many rows, and tokens on a CPU (an accelerator takes more); of the first
batch the longest and the shortest rows, so many of each."""
ACCELERATED = 16
PARTS = (1, 4, 16, 64)
"""Into so many parts batches are cut, one number after the other, where memory is short."""
PADDING_TOLERANCE = 1e-4


@contextmanager
def cached(
    model: Any,
    collator: Collator,
    splits: Sequence[Dataset],
    quiet: bool = False,
    keep: bool = True,
) -> Iterator[tuple[Collator, list[Dataset]]]:
    """Inside the block a model may be fed what its frozen parts give, computed once or found.

    What is frozen is what does not require gradients on entering. Inside, the model may be trained,
    evaluated and saved as ever; on leaving it is as it was. Of several processes on a machine one
    computes. Where nothing can be kept, the block is given what was passed in, and the frozen parts
    stay in evaluation mode instead: the results are the same.

    Args:
        model: What is to learn, or to be asked.
        collator: Makes its batches without random changes.
        splits: Encoded rows.
        quiet: No progress bar.
        keep: Whether there is to be a cache at all.

    Yields:
        A collator and splits with which the model is fed.

    Raises:
        UserError: An image cannot be decoded, or ``HFPIPE_CACHE_GB`` is no number.
    """
    boundaries = boundaries_of(model, collator)
    wanted = boundaries if keep and cache_limit() and any(len(rows) for rows in splits) else []
    found = in_turn(
        lambda may_compute: {
            each.name: (each, kept)
            for each in wanted
            if (kept := _kept(model, each, collator, splits, may_compute, quiet)) is not None
        }
    )
    everywhere = agreed(found)
    found = {name: each for name, each in found.items() if name in everywhere}
    with ExitStack() as stack:
        stack.enter_context(resting(each.module for each in boundaries if each.name not in found))
        if not found:
            yield collator, list(splits)
            return
        for boundary, _ in found.values():
            stack.enter_context(boundary.standing_in())
        yield _fed(model, collator, splits, found)


def _fed(
    model: Any,
    collator: Collator,
    splits: Sequence[Dataset],
    found: Mapping[str, tuple[Boundary, Kept]],
) -> tuple[Collator, list[Dataset]]:
    """The collator that hands out what was found, and splits without what is not read any more."""
    towers = getattr(model, "towers", {})
    still = {each for name in towers if name not in found for each in towers[name].inputs}
    left_out = frozenset(set(collator.processor.inputs) - still)
    ends = np.cumsum([0, *map(len, splits)])
    numbered = [
        rows.remove_columns(_features(rows, left_out)).add_column(
            ROW, list(range(int(start), int(start) + len(rows)))
        )
        for rows, start in zip(splits, ends, strict=False)
    ]
    own = {each.name: getattr(collator, each.name) for each in fields(Collator)}
    kept = {boundary.key: (boundary.feed, rows) for boundary, rows in found.values()}
    return CachedCollator(**own, kept=kept, left_out=left_out), numbered


def _kept(
    model: Any,
    boundary: Boundary,
    collator: Collator,
    splits: Sequence[Dataset],
    may_compute: bool,
    quiet: bool,
) -> Kept | None:
    """The vectors of all rows, found or computed; None where they cannot be had."""
    maker = maker_digest(boundary.module, boundary.described, collator, boundary.inputs)
    alike = [distinct(rows, _features(rows, boundary.inputs)) for rows in splits]
    found = [_found(boundary, maker, each) for each in alike]
    for at, (rows, each) in enumerate(zip(splits, alike, strict=True)):
        if found[at] is None and may_compute:
            try:
                found[at] = _as_it_fits(
                    partial(_computed, model, boundary, maker, collator, rows, each, quiet)
                )
            except CannotKeep as error:
                tell_once(str(error))
    files = [each for each in found if each is not None]
    if len(files) < len(splits):
        return None
    starts = np.cumsum([0, *map(len, files)])
    owner = [each.owner + start for each, start in zip(alike, starts, strict=False)]
    return Kept(tuple(files), np.concatenate(owner))


def _found(boundary: Boundary, maker: bytes, rows: Distinct) -> np.ndarray | None:
    """What an earlier stage or run kept; it tells which vectors these are."""
    for variant in boundary.variants:
        kept = read(_path(maker, rows, variant), len(rows.digests))
        if kept is not None:
            boundary.variant = variant
            return kept
    return None


def _path(maker: bytes, rows: Distinct, variant: str) -> Path:
    key = blake2b(maker + rows.name, digest_size=16).hexdigest()
    return cache_folder() / f"{key}.{variant}.npy"


def _features(rows: Dataset, inputs: Sequence[str] | frozenset[str]) -> list[str]:
    return [name for name in rows.column_names if name.partition(".")[0] in inputs]


def _as_it_fits(compute: Callable[[int], np.ndarray | None]) -> np.ndarray | None:
    """What is computed in whole batches or, where memory is short, in smaller parts of them.

    Raises:
        RunError: There is not even memory for the smallest.
    """
    import torch

    for parts in PARTS:
        try:
            return compute(parts)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            torch.cuda.empty_cache()
    raise RunError(
        "out of memory while the outputs of what is frozen are computed, however few rows a batch "
        "has: set batches.cache=false, or a smaller max_length of the input"
    )


def _computed(
    model: Any,
    boundary: Boundary,
    maker: bytes,
    collator: Collator,
    rows: Dataset,
    alike: Distinct,
    quiet: bool,
    parts: int,
) -> np.ndarray | None:
    """Each distinct row once, and in order of size, so that little padding is computed.

    Raises:
        CannotKeep: There is nowhere to write to.
    """
    from tqdm.auto import tqdm

    own = {each: collator.processor.inputs[each] for each in boundary.inputs}
    narrow = replace(collator, processor=replace(collator.processor, inputs=own), flat=False)
    read_rows = rows.select_columns([ROW_ID, *_features(rows, boundary.inputs)])
    with ExitStack() as stack:
        device = stack.enter_context(_at_work(model))
        budget = TOKENS * (1 if device.type == "cpu" else ACCELERATED)
        total, draft, path = len(alike.digests), None, None
        bar = stack.enter_context(tqdm(total=total, desc=boundary.name, disable=quiet))
        for places in _batches(alike.sizes, budget // parts, ROWS // parts):
            picked = read_rows.__getitems__(alike.first[places].tolist())
            made = boundary.vectors(_moved(narrow(picked)["inputs"], device))
            if made is None:
                return None
            pooled, present = (each.cpu() for each in made)
            if not boundary.proven:
                alone = boundary.vectors(_moved(narrow(picked[-1:])["inputs"], device))
                boundary.proven = alone is not None and _same(alone[0].cpu()[0], pooled[-1])
                if not boundary.proven:
                    return None
            if draft is None or path is None:
                path = _path(maker, alike, boundary.variant or "")
                draft = stack.enter_context(drafted(path, total, pooled.shape[1]))
            draft.put(places, pooled.float().numpy(), present.numpy())
            bar.update(len(places))
    return read(path, total) if path else None


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether the shortest row of a batch is the same without padding.

    It is not where tokens are counted from the padding on, as by a tokenizer that pads on the left.
    """
    return bool((one - other).abs().max() <= PADDING_TOLERANCE * max(1.0, float(other.abs().max())))


def _batches(sizes: np.ndarray, budget: int, rows: int = ROWS) -> Iterator[np.ndarray]:
    """Places of rows: first the longest and the shortest, then all others, the longest first.

    >>> [each.tolist() for each in _batches(np.array([9, 1, 1, 5, 5, 5, 5, 1, 9, 9, 9, 3]), 10)]
    [[0, 8, 9, 10, 11, 1, 2, 7], [3, 4], [5, 6]]
    """
    order = np.argsort(-sizes, kind="stable")
    ends = np.r_[order[:PROBE], order[PROBE:][-PROBE:]]
    if len(ends):
        yield ends
    order = order[PROBE : len(order) - PROBE]
    start = 0
    while start < len(order):
        count = min(rows, max(1, budget // max(1, int(sizes[order[start]]))))
        yield order[start : start + count]
        start += count


@contextmanager
def _at_work(model: Any) -> Iterator[Any]:
    """In evaluation mode, without gradients, on the accelerator if there is one."""
    import torch

    modes = [(each, each.training) for each in model.modules()]
    home = next(model.parameters()).device
    device = home
    if home.type == "cpu" and torch.accelerator.is_available():
        device = torch.device(torch.accelerator.current_accelerator() or "cpu")
    try:
        model.eval()
        model.to(device)
        with torch.no_grad():
            yield device
    finally:
        model.to(home)
        for each, training in modes:
            each.training = training


def _moved(batch: Any, device: Any) -> Any:
    return {
        name: {key: each.to(device) for key, each in tensors.items()}
        for name, tensors in batch.items()
    }
