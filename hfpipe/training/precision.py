"""Which number format this machine is fast in."""

from __future__ import annotations


def bf16_is_fast(cpu: bool | None = None) -> bool:
    """Whether this machine's device has bfloat16 matrix instructions.

    Without them bfloat16 is emulated, and slower than float32: a CPU with AVX-512 but without
    its bf16 part trained MiniLM 2.5 times slower in bfloat16.

    Args:
        cpu: Whether the CPU does the work, as with ``training.use_cpu``; by default where there is
            nothing else.
    """
    import torch

    if not (on_cpu() if cpu is None else cpu):
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


def on_cpu() -> bool:
    """Whether this machine has no accelerator.

    ``TrainingArguments`` must be told: it refuses bfloat16 on a CPU that was not asked for.
    """
    import torch

    return not torch.accelerator.is_available()


def eval_tokens(cpu: bool | None = None) -> int:
    """Tokens a batch, padding included, in which this machine's device evaluates fast.

    A CPU is fastest where a batch stays in its caches; an accelerator wants to be filled.

    Args:
        cpu: See ``bf16_is_fast``.
    """
    return 2048 if (on_cpu() if cpu is None else cpu) else 65_536
