"""``hfpipe env``: what a bug report needs."""

from __future__ import annotations

from hfpipe.cli.options import Debug


def env(debug: Debug = False) -> None:
    """Show versions, hardware, where the Hub is and whether a token is known (never which)."""
    import os

    import torch  # noqa: F401  (so that hardware() can see accelerators)
    from huggingface_hub import get_token
    from rich.console import Console
    from rich.table import Table

    from hfpipe.hub.endpoint import PUBLIC_HUB
    from hfpipe.hub.provenance import hardware, versions
    from hfpipe.training.precision import bf16_is_fast
    from hfpipe.version import __version__

    table = Table(show_header=False, box=None)
    table.add_row("hfpipe", __version__)
    for name, version in versions().items():
        table.add_row(name, version)
    for name, value in hardware().items():
        table.add_row(name, str(value))
    table.add_row("bf16", "accelerated" if bf16_is_fast() else "not accelerated: float32 is used")
    hub = os.environ.get("HFPIPE_HUB") or os.environ.get("HF_ENDPOINT") or PUBLIC_HUB
    table.add_row("Hub", hub)
    table.add_row("Hub token", "known" if get_token() else "none")
    wandb_key = "known" if os.environ.get("WANDB_API_KEY") else "none: runs stay offline"
    table.add_row("W&B key", wandb_key)
    Console().print(table)
