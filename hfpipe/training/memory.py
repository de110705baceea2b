"""Memory: freed, it is kept in the process where a CPU trains; and how it is known to be short."""

from __future__ import annotations

import ctypes
import sys

NOT_ALLOCATED = ("can't allocate memory", "not enough memory")
"""What torch says, in a plain ``RuntimeError``, where a CPU has no more."""

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_LARGEST = 2**31 - 1


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error means that the device's memory, or the machine's, is full.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …"))
    True
    >>> is_out_of_memory(RuntimeError("shapes do not fit"))
    False
    """
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(
        each in str(error) for each in NOT_ALLOCATED
    )


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to reuse large blocks instead of giving them back to the kernel.

    A training step on a CPU frees and asks for the same large tensors over and over; by default
    glibc maps each of them anew, and the kernel clears every page again. Keeping them saved a
    tenth of the processor time of MiniLM's step at batches of 32, a quarter at 64. The price is
    that the process keeps its peak memory until it ends.

    Returns:
        Whether it took effect: only glibc has these settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _LARGEST))
