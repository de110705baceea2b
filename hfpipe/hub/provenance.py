"""Where a result comes from: versions, code, machine, time."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from hfpipe.version import __version__

LIBRARIES = (
    "accelerate",
    "datasets",
    "huggingface_hub",
    "numpy",
    "pandas",
    "peft",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
)
SECRET_FLAGS = ("--hf-access-token", "--wandb-access-token")


def provenance() -> dict[str, object]:
    """Versions, git commit, command, hardware and time of this run; no secret among them."""
    return {
        "hfpipe": __version__,
        "python": platform.python_version(),
        "libraries": versions(),
        "git_sha": _git_sha(),
        "command": shlex.join(redacted(sys.argv)),
        "hardware": hardware(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """The versions of the installed libraries that results depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, object]:
    """Processor count, platform, and the accelerators that an already imported torch sees."""
    found: dict[str, object] = {"cpus": os.cpu_count(), "platform": platform.platform()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [
            torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
        ]
    return found


def redacted(arguments: list[str]) -> list[str]:
    """A command line without its tokens.

    >>> redacted(["hfpipe", "finetune", "--hf-access-token", "hf_abc", "--train"])
    ['hfpipe', 'finetune', '--hf-access-token', '***', '--train']
    >>> redacted(["hfpipe", "--wandb-access-token=abc"])
    ['hfpipe', '--wandb-access-token=***']
    """
    shown: list[str] = []
    for position, argument in enumerate(arguments):
        flag, equals, _ = argument.partition("=")
        if flag in SECRET_FLAGS and equals:
            shown.append(f"{flag}=***")
        elif position and arguments[position - 1] in SECRET_FLAGS:
            shown.append("***")
        else:
            shown.append(argument)
    return shown


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_sha() -> str | None:
    """The commit of hfpipe's own checkout; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
