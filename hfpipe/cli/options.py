"""Options that mean the same on every verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Hub = Annotated[
    str | None,
    typer.Option(
        "--hub",
        metavar="URL|local[:DIR]",
        help="Which Hub: an address, or the embedded one. Default: HFPIPE_HUB, HF_ENDPOINT, "
        "else the public Hub.",
    ),
]
HubToken = Annotated[
    str | None,
    typer.Option(
        "--hf-access-token",
        metavar="TOKEN",
        help="Hub token. Better: HF_TOKEN or 'hf auth login', which leave none in the shell's "
        "history and the list of processes.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder to write to.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of every random choice.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors and last lines only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
TextColumns = Annotated[
    str | None,
    typer.Option(
        "--text", metavar="COL[,COL]", help="Text column(s), where not those of training."
    ),
]
