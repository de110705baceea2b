"""Where the work is done: in this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.reading import Engine, LocalEngine
from data_prep.spool import DiskBatches


@contextmanager
def engine_for(name: str, scratch: Path) -> Iterator[Engine]:
    """The engine of a name.

    Args:
        name: ``local``, ``ray`` (a cluster of this machine, or the one that ``RAY_ADDRESS``
            names) or ``ray://ADDRESS``.
        scratch: A folder for what does not stay in memory.

    Raises:
        UserError: Ray is not installed, or there is no cluster at that address.
    """
    if name == "local":
        folder = scratch / "rows"
        folder.mkdir()
        yield LocalEngine(DiskBatches(folder))
        return
    from data_prep.ray.engine import ray_engine

    with ray_engine(name) as engine:
        yield engine
