"""Pages that nobody writes by hand: the command line's reference and one page a module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGES = ("hfpipe", "data_prep")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of the folder."""
    root = Path(config.config_file_path).parent
    pages = {"reference/command-line.md": command_line(root)}
    modules = [module for package in PACKAGES for module in public_modules(root, package)]
    for module in modules:
        page = f"# {module}\n\n::: {module}\n    options:\n      show_root_heading: false\n"
        pages[f"reference/modules/{module}.md"] = page
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def command_line(root: Path) -> str:
    """The reference that Typer writes from the verbs' own help."""
    command = [sys.executable, "-m", "typer", "hfpipe.cli.app", "utils", "docs", "--name", "hfpipe"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


def public_modules(root: Path, package: str) -> list[str]:
    """Dotted names of a package's modules, but for private ones and the command line's."""
    paths = sorted((root / package).rglob("*.py"))
    dotted = [".".join(path.relative_to(root).with_suffix("").parts) for path in paths]
    shown = [name for name in dotted if not name.startswith("hfpipe.cli.")]
    return [name for name in shown if not any(part.startswith("_") for part in name.split("."))]
