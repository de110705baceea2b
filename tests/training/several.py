"""Several runs in one start of several processes: the start alone takes most of the time.

Called as ``python -m torch.distributed.run … several.py COMMANDS``, where COMMANDS is a JSON file
with the arguments of ``hfpipe``, a list for each run.

Here FSDP works on a CPU, as torch's does; accelerate leaves it out where there is no accelerator.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from hfpipe.cli.app import main

_settle = AcceleratorState.__init__


def _settle_fsdp(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
    _settle(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    plugin = fsdp_plugin or vars(self).get("fsdp_plugin")
    if plugin is not None:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugin


if __name__ == "__main__":
    AcceleratorState.__init__ = _settle_fsdp  # type: ignore[method-assign]
    for arguments in json.loads(Path(sys.argv[1]).read_text()):
        sys.argv = ["hfpipe", *arguments]
        try:
            main()
        except SystemExit as left:
            if left.code:
                raise
