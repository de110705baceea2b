"""Reach a Ray cluster, or start one on this machine, and say clearly what is wrong with it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hfpipe.errors import HfpipeError, RunError, UserError
from hfpipe.rows.sources import Source
from hfpipe.version import __version__

SCHEME = "ray://"
#: Seconds to wait for an answer from the address.
PATIENCE = 5
#: The port that ``ray start --head`` takes where none is named.
PORT = 6379
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "error",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_py_gcs_connect_timeout_s": str(PATIENCE),
    "RAY_gcs_rpc_server_connect_timeout_s": str(PATIENCE),
}


@contextmanager
def connected(name: str) -> Iterator[None]:
    """Be connected to a cluster; one that is started here is stopped again.

    A process that is connected to a cluster already stays so.

    Args:
        name: ``ray``: the cluster that ``RAY_ADDRESS`` names, or one of this machine's cores,
            bound to loopback. ``ray://HOST:PORT``: the cluster whose head listens there.

    Raises:
        UserError: Ray is not installed, or there is no cluster at that address, or its nodes do
            not have this version of hfpipe.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in _QUIET.items()})
    address = _address(name)
    if address is None or address.rpartition(":")[0] in LOOPBACK:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # what binds Ray to loopback
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(
            f"--engine {name}: Ray is not installed: pip install 'hfpipe[ray]'"
        ) from error
    if ray.is_initialized():
        _settle_context()
        yield
        return
    with _signals_kept():
        _connect(name, address)
    try:
        if address is not None:
            _check_versions()
        _settle_context()
        yield
    finally:
        with _signals_kept():
            ray.shutdown()


def _address(name: str) -> str | None:
    """Where the head listens; None where a cluster is to be started. Something answers there."""
    said = name.partition("://")[2]
    if name.startswith(SCHEME) and not said:
        raise UserError(f"--engine {name}: give the address of the cluster's head: ray://HOST:PORT")
    said = said or os.environ.get("RAY_ADDRESS", "").removeprefix(SCHEME)
    if said in ("", "local"):
        return None
    host, _, port = said.rpartition(":") if ":" in said else (said, "", str(PORT))
    if not host or not port.isdigit():
        raise UserError(f"--engine {name}: '{said}' is no address: write ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(name, f"{host}:{port}", str(error)) from error
    return f"{host}:{port}"


def _unreachable(name: str, address: str, why: str) -> UserError:
    return UserError(
        f"--engine {name}: no Ray cluster answers at {address} ({why}): give the address that "
        f"'ray start --head' printed (port {PORT}; not 10001, which is Ray Client's)"
    )


def _connect(name: str, address: str | None) -> None:
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    more: dict[str, Any] = {"address": address} if address else {"address": "local"}
    if address is None:
        more["include_dashboard"] = False
    else:
        try:
            GcsClient(address=address)
        except ray.exceptions.RayError as error:
            raise _unreachable(name, address, "something else listens there") from error
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **more)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"at {address}: this machine must be one of its nodes" if address else "here"
        raise UserError(
            f"--engine {name}: no Ray cluster {where} ({_first_line(error)})"
        ) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself: give it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _settle_context() -> None:
    """How Ray Data works: quietly, in order, and so that lost blocks can be made again."""
    from ray.data import DataContext
    from ray.data.context import ShuffleStrategy

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    # Sorting is done by tasks. The hash shuffle of older versions keeps rows in actors, and what
    # a dead actor held is lost.
    context.shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED
    context.target_max_block_size = 32 * 2**20


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


def _check_versions() -> None:
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


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Turn what a cluster reports into one clear line.

    Raises:
        HfpipeError: What a task raised.
        RunError: The cluster failed.
    """
    import ray
    from ray.data.exceptions import SystemException

    try:
        yield
    except (ray.exceptions.RayError, SystemException) as error:
        raise _said(error) from error


def _said(error: BaseException) -> HfpipeError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HfpipeError):
            return type(cause)(*cause.args)
        cause = getattr(cause, "cause", None) or cause.__cause__
    return RunError(f"the Ray cluster failed: {_first_line(error)}; nothing was written")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
