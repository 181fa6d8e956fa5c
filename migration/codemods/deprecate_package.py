"""deprecate-package: the old package warns when it is used, and forwards to where its names have moved.

`__init__.py` becomes a lazy forwarder (PEP 562) that says so at the line that asks; modules that moved leave a forwarder behind, so that
imports and pickles by the old path find the same classes. The tree's own importers are pointed at the new home and raise no warning.
"""

from __future__ import annotations

import ast
import json

from migration.analysis import modules
from migration.analysis.importers import Renames, repoint
from migration.analysis.imports import bindings, relative_to, render_from
from migration.analysis.source import Source
from migration.analysis.units import Unit, units_of
from migration.codemods import Context, Finding, Outcome, codemod
from migration.errors import BadInput, nearest
from migration.plan import DeprecatePackage, MoveModule
from migration.tree import Overlay

MARK = "_warn_and_forward"
FORWARDER = """\
import importlib
import sys
import warnings

_REASON = {reason}
_HOMES = {{
{homes}}}
__all__ = [{names}]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    return _warn_and_forward(name, sys._getframe(1))


def __dir__():
    return sorted([*globals(), *_HOMES])


def _warn_and_forward(name, asking):
    try:
        module = importlib.import_module(_HOMES[name], __name__)
    except ModuleNotFoundError as error:
        if (error.name or "").endswith({moved}) or (error.name or "").endswith(_HOMES[name].lstrip(".")):
            raise ImportError(f"{{__name__}}.{{name}} has been removed. {{_REASON}}") from error
        raise
    # `from package import name` asks twice, the first time from within importlib.
    if not asking.f_code.co_filename.startswith("<frozen importlib"):
        warnings.warn(f"{{__name__}}.{{name}} is deprecated. {{_REASON}}", DeprecationWarning, stacklevel=3)
    return getattr(module, name)
"""
MODULE = '''\
"""Moved to {new}; this forwards to it."""

import importlib
import sys
import warnings

warnings.warn(f"{{__name__}} is deprecated. " + {reason}, DeprecationWarning, stacklevel=2)
sys.modules[__name__] = importlib.import_module("{home}", __package__)
'''


@codemod(DeprecatePackage)
def deprecate_package(step: DeprecatePackage, tree: Overlay, context: Context) -> Outcome:
    """Make `package` forward to `moved_to`. Raises BadInput for a name that is defined nowhere there."""
    where = f"{context.plan.file}: step {step.id!r}"
    init, home = f"{step.package}/__init__.py", f"{step.moved_to}/__init__.py"
    if not tree.exists(init):
        raise BadInput(
            f"{where}: field 'package': {init}: {tree.absence(init)}; a package to deprecate has to be there"
        )
    source = tree.source(init)
    if not source.parses:
        raise BadInput(f"{where}: field 'package': {init} does not parse")
    if MARK in source.text:
        return Outcome("already done", f"{step.package} forwards to {step.moved_to}")
    homes = _homes(step, tree, where)
    reason = f"{step.message.strip()} Use {step.replacement} instead."
    outcome = Outcome(summary=f"{step.package} warns on use and forwards to {step.moved_to}")
    outcome.edits[init] = source.encode(_forwarder(step, source, homes, reason, tree))
    outcome.findings.append(
        Finding("change", init, 1, "answers on demand, with a DeprecationWarning at the line that asks")
    )
    for move in context.steps(MoveModule):
        if (
            modules.folder_of(move.source) == step.package
            and modules.folder_of(move.target) == step.moved_to
            and not tree.exists(move.source)
        ):
            text = MODULE.format(
                new=move.target, reason=json.dumps(reason), home=_relative(init, move.target.removesuffix(".py"), where)
            )
            outcome.edits[move.source] = text.encode()
    if not tree.exists(home) or not any(u.sort not in ("docstring", "nothing") for u in units_of(tree.source(home))):
        outcome.edits[home] = _exports(step, tree, home, homes)
    renames = Renames(symbols={init: dict.fromkeys(step.names, home)})
    edits, findings = repoint(Overlay(tree, outcome.edits), renames, context, skip={init, home, *outcome.edits})
    outcome.edits |= edits
    outcome.findings += findings
    return outcome


def _homes(step: DeprecatePackage, tree: Overlay, where: str) -> dict[str, str]:
    """The module of `moved_to` that defines each name."""
    defined: dict[str, str] = {}
    for path in tree.paths():
        if modules.folder_of(path) == step.moved_to and path.endswith(".py") and tree.source(path).parses:
            for node in tree.source(path).tree.body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    defined.setdefault(node.name, path)
    for name in step.names:
        if name not in defined:
            raise BadInput(
                f"{where}: field 'names': no module in {step.moved_to} defines {name!r}{nearest(name, defined)}"
            )
    return {name: defined[name] for name in step.names}


def _relative(init: str, target: str, where: str) -> str:
    found = relative_to(init, target)
    if found is None:
        raise BadInput(
            f"{where}: field 'moved_to': {init} and {target} share no package, so one cannot import the other relatively"
        )
    return found


def _forwarder(step: DeprecatePackage, source: Source, homes: dict[str, str], reason: str, tree: Overlay) -> str:
    """The package's own text, less the imports of what moved, with the forwarder below."""
    units = units_of(source)
    kept = "".join(_kept(unit, step) for unit in units if unit.sort != "docstring").strip("\n")
    table = "".join(f'    "{n}": "{relative_to(source.path, p.removesuffix(".py"))}",\n' for n, p in homes.items())
    names = ", ".join(f'"{n}"' for n in homes)
    folder = step.moved_to.rsplit("/", 1)[-1]
    text = FORWARDER.format(reason=json.dumps(reason), homes=table, names=names, moved=json.dumps("." + folder))
    return _docstring(units, step) + (kept + "\n\n" if kept else "") + text


def _docstring(units: list[Unit], step: DeprecatePackage) -> str:
    """The old docstring with the message below it."""
    node = units[0].nodes[0] if units and units[0].sort == "docstring" else None
    old = (
        node.value.value
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        else ""
    )
    text = (
        old.rstrip() + "\n\n" if old.strip() else ""
    ) + f"DEPRECATED: {step.message.strip()} Use {step.replacement} instead.\n"
    lead = units[0].lead if node is not None else ""
    return lead + '"""' + text.replace("\\", "\\\\").replace('"""', '\\"""') + '"""\n\n'


def _kept(unit: Unit, step: DeprecatePackage) -> str:
    """A statement of the old `__init__` as it stays: without what is forwarded now, its comments in any case."""
    comments = "".join(line + "\n" for line in unit.lead.splitlines() if line.strip())
    if any(isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__" for n in unit.nodes):
        return comments
    if unit.sort == "import" and {b.name for b in bindings(unit)} <= set(step.names):
        return comments
    return unit.lead + unit.text


def _exports(step: DeprecatePackage, tree: Overlay, home: str, homes: dict[str, str]) -> bytes:
    by_module: dict[str, list[str]] = {}
    for name, path in homes.items():
        by_module.setdefault("." + path.rsplit("/", 1)[-1].removesuffix(".py"), []).append(name)
    head = (
        tree.read(home).decode().rstrip("\n") + "\n\n"
        if tree.exists(home) and tree.read(home).strip()
        else '"""Deprecated modules."""\n\n'
    )
    lines = [render_from(module, sorted(names)) for module, names in sorted(by_module.items())]
    return (head + "\n".join(lines) + "\n\n__all__ = [" + ", ".join(f'"{n}"' for n in sorted(homes)) + "]\n").encode()
