"""Ask every node of a cluster whether it can do the work."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from hfpipe.errors import UserError
from hfpipe.rows.sources import Source
from hfpipe.version import __version__


def on_every_node(work: Callable[[], Any]) -> dict[str, Any]:
    """Call a function, given by its code, once on each node; gives the answers by address."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(num_cpus=0)(work)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    answers = [
        remote.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
    ]
    names = [node["NodeManagerAddress"] for node in nodes]
    return dict(zip(names, ray.get(answers), strict=True))


def check_versions() -> None:
    """Every node must do the same to the rows.

    Raises:
        UserError: One has another version of hfpipe, or none.
    """

    def version() -> str:  # defined here, so that it is sent as code
        try:
            from hfpipe.version import __version__ as found
        except ImportError:
            return "no hfpipe"
        return f"hfpipe {found}"

    for node, found in on_every_node(version).items():
        if found != f"hfpipe {__version__}":
            raise UserError(
                f"Ray node {node} has {found}, this process hfpipe {__version__}: install "
                f"'hfpipe[ray]=={__version__}' on every node"
            )


def check_files(sources: Sequence[Source]) -> None:
    """Every node must see the local inputs.

    Raises:
        UserError: One does not.
    """
    import ray

    sizes = {os.path.abspath(each.path): each.size for each in sources if each.files is None}
    if not sizes or sum(node["Alive"] for node in ray.nodes()) == 1:
        return

    def missing() -> list[str]:  # sent as code
        import os

        return [
            path
            for path, size in sizes.items()
            if not os.path.exists(path) or size not in (None, os.path.getsize(path))
        ]

    for node, paths in on_every_node(missing).items():
        if paths:
            raise UserError(
                f"{paths[0]} is not on Ray node {node}, or is another file there: put the inputs "
                "on a disk that all nodes share, or give s3:// or hf://"
            )
