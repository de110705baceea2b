"""The server as a process of its own: ``python -m hfpipe.hub.server --dir DIR``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from hfpipe.errors import HfpipeError
from hfpipe.hub.server.serving import address, bind, serve


def _stdin_closed() -> None:
    """Wait for the end of the input.

    Read below Python's own buffers: their lock, held by this thread, would make an
    interpreter that ends for another reason abort.
    """
    while os.read(0, 4096):
        pass


def main() -> int:
    """Run the server from the command line.

    User ``local`` has the token in ``HFPIPE_HUB_TOKEN``, if there is one. With
    ``--until-stdin-closes`` the server lives as long as whoever holds its input.
    """
    parser = argparse.ArgumentParser(prog="python -m hfpipe.hub.server")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready", type=Path, help="write the address here once it is served")
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    token = os.environ.pop("HFPIPE_HUB_TOKEN", None)
    try:
        listening = bind(options.host, options.port)
        url = address(options.host, listening)

        def ready() -> None:
            print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)
            if options.ready:
                temporary = options.ready.with_name(f"{options.ready.name}.{os.getpid()}.part")
                temporary.write_text(url + "\n", encoding="utf-8")
                os.replace(temporary, options.ready)

        until = _stdin_closed if options.until_stdin_closes else None
        serve(options.dir, listening, token, ready, until)
    except HfpipeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
