"""What the README, the changelog and setup.cfg say about the project is so."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from hfpipe.version import __version__


def folders(paths: list[Path], under: str = "") -> set[str]:
    """The folders directly below ``under`` that hold a file of the project."""
    base = Path(under)
    inside = [path.relative_to(base) for path in paths if path.is_relative_to(base)]
    names = {path.parts[0] for path in inside if len(path.parts) > 1}
    return {name for name in names if not name.startswith(".")}


def tree_of_readme(root: Path) -> dict[str, set[str]]:
    """Folder → its folders, as the README's tree draws them; the key "" is the top."""
    section = (root / "README.md").read_text().split("## What is where")[1].split("\n## ")[0]
    tree: dict[str, set[str]] = {"": set()}
    top = ""
    for indent, name in re.findall(r"^    ( *)(\w+)/ ", section, re.MULTILINE):
        if indent:
            tree.setdefault(top, set()).add(name)
        else:
            top = name
            tree[""].add(name)
    return tree


def setup_cfg(root: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(root / "setup.cfg")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_readme_draws_the_folders_that_there_are(root, project_files):
    tree = tree_of_readme(root)
    assert tree[""] == folders(project_files)
    assert tree["hfpipe"] == folders(project_files, "hfpipe")


def test_every_package_folder_is_listed_in_setup_cfg(root, project_files):
    inits = [path.parent for path in project_files if path.name == "__init__.py"]
    found = {".".join(path.parts) for path in inits if path.parts[0] in ("hfpipe", "data_prep")}
    listed = lines(setup_cfg(root)["options"]["packages"])
    assert sorted(listed) == sorted({*found, "hfpipe.recipes"})


def test_changelog_has_this_version_and_setup_cfg_reads_it(root):
    headings = re.findall(r"^## \[(.+?)\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert __version__ in headings
    assert setup_cfg(root)["metadata"]["version"] == "attr: hfpipe.version.__version__"


def test_constraints_pin_what_setup_cfg_needs(root):
    pins = {}
    for line in lines((root / "constraints.txt").read_text()):
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            pins[name.lower().replace("_", "-")] = Version(version)
    assert all(version.local is None for version in pins.values())
    config = setup_cfg(root)
    extras = config["options.extras_require"]
    wanted = config["options"]["install_requires"]
    wanted += "".join(extras[name] for name in ("demo", "dev", "docs"))
    for requirement in map(Requirement, lines(wanted)):
        pinned = pins[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(pinned), f"{requirement} but {pinned} is pinned"


def test_links_between_the_root_pages_lead_somewhere(root, project_files):
    broken = []
    for page in (path for path in project_files if path.suffix == ".md" and len(path.parts) == 1):
        targets = re.findall(r"\]\(([^)#\s]+)", (root / page).read_text())
        local = [target for target in targets if "://" not in target]
        broken += [f"{page}: {target}" for target in local if not (root / target).exists()]
    assert broken == []
