"""Reach a Ray cluster, or start one on this machine, and say clearly what is wrong with it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from data_prep.ray.addresses import head_address, joined, prepare_environment, unreachable
from data_prep.ray.failing import first_line
from data_prep.ray.nodes import check_versions
from hfpipe.errors import UserError

#: Longest name of the folder for temporary files: Ray's sockets lie deep below it, and their
#: names may have 107 letters.
SHORT = 20


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
    address = head_address(name)
    prepare_environment(address)
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
    with _scratch() as scratch:
        with _signals_kept():
            _connect(name, address, scratch)
        try:
            if address is not None:
                check_versions()
            _settle_context()
            yield
        finally:
            with _signals_kept():
                ray.shutdown()


@contextmanager
def _scratch() -> Iterator[str]:
    """A folder for logs and spilled blocks of a cluster that is started here."""
    beside = None if len(tempfile.gettempdir()) <= SHORT else "/tmp"  # noqa: S108
    with tempfile.TemporaryDirectory(
        prefix="hfpipe-ray-", dir=beside, ignore_cleanup_errors=True
    ) as folder:
        yield folder


def _connect(name: str, address: tuple[str, int] | None, scratch: str) -> None:
    import ray

    more: dict[str, Any] = {
        "address": "local",
        "include_dashboard": False,
        "_temp_dir": scratch,
    }
    if address is not None:
        _check_head(name, address)
        more = {"address": joined(address)}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **more)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        wrong = "cannot join the cluster: this machine must be one of its nodes"
        if address is None:
            wrong = "Ray does not start"
        raise UserError(f"--engine {name}: {wrong} ({first_line(error)})") from error


def _check_head(name: str, address: tuple[str, int]) -> None:
    """Ask the head who it is: ``ray.init`` would ask for minutes."""
    import ray
    from ray._private.services import canonicalize_bootstrap_address
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    with _hushed():
        try:
            GcsClient(address=canonicalize_bootstrap_address(joined(address)))
            return
        except ray.exceptions.RayError as error:
            why = first_line(error)
    if "auth" in why.lower():
        raise UserError(
            f"--engine {name}: the Ray cluster wants its token ({why}): put it into "
            "~/.ray/auth_token and set RAY_AUTH_MODE=token"
        )
    raise unreachable(name, why)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep Ray's native code from writing to stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself: give it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:  # Ray got the signal
        if callable(handler):
            handler(signal.SIGTERM, None)
        raise
    finally:
        signal.signal(signal.SIGTERM, handler)


def _settle_context() -> None:
    """How Ray Data works: quietly, in order, with blocks that fit into a small store."""
    from ray.data import DataContext

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.target_max_block_size = 32 * 2**20
