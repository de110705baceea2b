"""Several runs in one start of several processes: the start alone takes most of the time.

Called as ``python -m torch.distributed.run … several.py COMMANDS``, where COMMANDS is a JSON file
with the arguments of ``hfpipe``, a list for each run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hfpipe.cli.app import main

if __name__ == "__main__":
    for arguments in json.loads(Path(sys.argv[1]).read_text()):
        sys.argv = ["hfpipe", *arguments]
        try:
            main()
        except SystemExit as left:
            if left.code:
                raise
