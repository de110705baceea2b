"""One run of ``prepare`` in a process of its own, so that its memory can be watched."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from data_prep.options import PrepareOptions
from data_prep.preparing import prepare


def main(rows: str, out: str) -> None:
    """Prepare ``rows`` into ``out``; print seconds a step, and the counts, as JSON."""
    options = PrepareOptions(text=["text"], label="label", out=Path(out), quiet=True)
    start = time.time()
    done = prepare([rows], options, None, Console(file=io.StringIO()))
    counts = done.record["counts"]
    said = {"seconds": done.seconds, "start": start, "counts": counts}
    print(json.dumps(said | {"audit": done.record["audit"]["verdict"]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
