"""The code that is pushed with our wrappers, so that they load where hfpipe is not installed.

``modeling_hfpipe.py`` is the source of the wrappers and of all they are made of, put one behind
the other in the order of their imports. It needs torch and transformers alone (and peft, for a
model with adapters), and is used with ``trust_remote_code=True`` where hfpipe is not installed;
where it is, ``import hfpipe.models.registration`` needs no such trust and runs the installed code.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hfpipe.models.registration import WRAPPERS
from hfpipe.version import __version__

if TYPE_CHECKING:
    from hfpipe.models.base import HfpipeModel

MODULE = "modeling_hfpipe"
NOT_CARRIED = ("hfpipe.models.registration", "hfpipe.models.remote_code")

BEGINNING = f'''"""The models of hfpipe {__version__}, for loading with trust_remote_code=True.

Made from the sources of hfpipe (Apache-2.0), which this file replaces where hfpipe is not
installed. Where it is, import hfpipe.models.registration and load without trust_remote_code.
"""

from __future__ import annotations
'''
END = f'''

def register() -> None:
    """Nothing to do: the models above are registered."""


def auto_map(model):
    """What config.json says of this file."""
    return {{
        "AutoConfig": "{MODULE}." + type(model.config).__name__,
        "AutoModel": "{MODULE}." + type(model).__name__,
    }}


def remote_code_files(model):
    """This file, to be saved again beside the weights."""
    from pathlib import Path

    return {{"{MODULE}.py": Path(__file__).read_bytes()}}
'''


def auto_map(model: HfpipeModel) -> dict[str, str]:
    """``config.auto_map`` of a model: which classes of the pushed code load it."""
    return {
        "AutoConfig": f"{MODULE}.{type(model.config).__name__}",
        "AutoModel": f"{MODULE}.{type(model).__name__}",
    }


def remote_code_files(model: HfpipeModel) -> dict[str, bytes]:
    """The files to push beside a model: name → content. The same for every wrapper."""
    return {f"{MODULE}.py": bundled().encode()}


@cache
def bundled() -> str:
    """All sources in one.

    Raises:
        ValueError: Two modules define the same name, or one is imported otherwise than by
            ``from … import name``.
    """
    order: list[str] = []
    for name in WRAPPERS:
        _visit(f"hfpipe.models.{name}", order)
    imports: dict[str, None] = {}
    bodies: list[str] = []
    owners: dict[str, str] = {}
    for module in order:
        body = _Carried(module).visit(ast.parse(_source(module))).body
        _claim(body, module, owners)
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports[ast.unparse(node)] = None
        left_out = ast.Import | ast.ImportFrom | ast.Pass
        rest = [node for node in body if not isinstance(node, left_out)]
        bodies.append(f"# {module}\n\n" + "\n\n".join(ast.unparse(node) for node in rest))
    return "\n\n".join([BEGINNING + "\n" + "\n".join(imports), *bodies]) + "\n" + END


def _source(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _visit(module: str, order: list[str]) -> None:
    """Put a module behind all that it imports of ours."""
    if module in order or module in NOT_CARRIED:
        return
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("hfpipe."):
            _visit(str(node.module), order)
    order.append(module)


def _claim(body: list[ast.stmt], module: str, owners: dict[str, str]) -> None:
    """Note which names a module defines, none of which may be another's."""
    for node in body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each.id for each in targets if isinstance(each, ast.Name)]
        for name in names:
            if owners.setdefault(name, module) != module:
                raise ValueError(f"{module} and {owners[name]} both define {name}")


class _Carried(ast.NodeTransformer):
    """What of a module is carried: no docstring of its own, no imports of ours."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        if node.body and _is_text(node.body[0]):
            node.body = node.body[1:]
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import:
        if any(each.name.split(".")[0] == "hfpipe" for each in node.names):
            raise ValueError(f"{self.module} must import from hfpipe by name")
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | None:
        if node.module == "__future__":
            return None
        if node.module is None or node.module.split(".")[0] != "hfpipe":
            return node
        if any(each.asname for each in node.names):
            raise ValueError(f"{self.module} must import {node.module} under its own names")
        return ast.Pass()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
