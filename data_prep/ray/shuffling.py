"""Map, shuffle by a number, reduce: with Ray Data, by tasks that can all be run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

#: The driver holds some kilobytes for each pair of a block before and a block after the shuffle;
#: with more blocks than this, they are merged in between.
PULLED_BLOCKS = 500


def shuffled(
    blocks: Sequence[Any],
    emit: Callable[..., Any],
    given: dict[str, Any],
    key: str,
    reduce: Callable[..., Any],
    more: dict[str, Any],
) -> Any:
    """Map blocks to records, bring those of one key together, and reduce them.

    Args:
        blocks: The blocks, each a table.
        emit: A block and ``given`` -> tables of records, at least one of them.
        given: More for ``emit``.
        key: The column with the key.
        reduce: The records of one key and ``more`` -> a table.
        more: More for ``reduce``.

    Returns:
        A Ray dataset. Nothing is done before it is asked for.
    """
    import ray
    from ray.data.context import ShuffleStrategy

    # Both sort by tasks. A hash shuffle of older versions keeps rows in actors, and what a dead
    # actor held is lost.
    way = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED
    if len(blocks) > PULLED_BLOCKS:
        way = ShuffleStrategy.SORT_SHUFFLE_PUSH_BASED
    ray.data.DataContext.get_current().shuffle_strategy = way
    return (
        ray.data.from_arrow_refs(list(blocks))
        .map_batches(emit, batch_size=None, batch_format="pyarrow", fn_kwargs=given)
        .groupby(key)
        .map_groups(reduce, batch_format="pyarrow", fn_kwargs=more)
    )
