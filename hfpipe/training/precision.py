"""Which number format this machine is fast in."""

from __future__ import annotations


def bf16_is_fast() -> bool:
    """Whether this machine's device has bfloat16 matrix instructions.

    Without them bfloat16 is emulated, and slower than float32: a CPU with AVX-512 but without
    its bf16 part trained MiniLM 2.5 times slower in bfloat16.
    """
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not on_cpu():
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


def on_cpu() -> bool:
    """Whether this machine has no accelerator.

    ``TrainingArguments`` must be told: it refuses bfloat16 on a CPU that was not asked for.
    """
    import torch

    return not torch.accelerator.is_available()


def eval_tokens() -> int:
    """Tokens a batch, padding included, in which this machine's device evaluates fast.

    A CPU is fastest where a batch stays in its caches; an accelerator wants to be filled.
    """
    return 2048 if on_cpu() else 65_536
