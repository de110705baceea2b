"""How fast this machine multiplies matrices: what a benchmark's FLOP/s are held against."""

from __future__ import annotations

import time

SIZES = (768, 1024, 2048, 4096)
SECONDS = 3.0
"""For one size: larger ones that would take longer are left out."""


def rate(dtype: str, seconds: float = SECONDS) -> float:
    """The best FLOP/s seen of square products, ``2 n^3`` each, on the device that trains.

    Args:
        dtype: ``float32`` or ``bfloat16``.
        seconds: To spend on each size, about.
    """
    import torch

    kind = getattr(torch, dtype)
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    best = 0.0
    for size in SIZES if device.type == "cpu" else (*SIZES, 8192):
        left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
        spent = once = _seconds(left, right)
        best = max(best, 2 * size**3 / once)
        while spent < seconds and once < seconds:
            once = _seconds(left, right)
            spent, best = spent + once, max(best, 2 * size**3 / once)
        if 8 * once > seconds:  # the next size takes eight times as long
            break
    return best


def _seconds(left: object, right: object) -> float:
    import torch

    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    wait()
    started = time.perf_counter()
    torch.matmul(left, right)  # type: ignore[call-overload]
    wait()
    return time.perf_counter() - started


def training_flops(lengths: list[int], layers: int, width: int, inner: int, outputs: int) -> int:
    """Useful FLOPs of a training step of a BERT classifier: forward, and twice that backward.

    Forward, of a row of ``n`` tokens without padding: ``2 n`` for each weight of the layers' six
    matrices (``4 width^2 + 2 width inner`` a layer), ``4 n^2 width`` a layer for attention (scores
    and values), and ``2 (width^2 + width outputs)`` for pooler and head. Looking up embeddings,
    norms, softmax and the optimizer count for nothing.

    Args:
        lengths: Tokens of each row.
        layers: Of the encoder.
        width: Of a token's state.
        inner: Of the feed-forward part.
        outputs: Classes.

    >>> training_flops([1], layers=1, width=1, inner=4, outputs=1)  # 3 (2 * 12 + 4 + 4)
    96
    """
    layer = 4 * width**2 + 2 * width * inner
    head = 2 * (width**2 + width * outputs)
    forward = sum(layers * (2 * n * layer + 4 * n**2 * width) + head for n in lengths)
    return 3 * forward
