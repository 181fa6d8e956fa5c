"""deprecate-package: the old package warns when it is used, and forwards to where its names have moved.

`__init__.py` becomes a lazy forwarder (PEP 562) that says so at the line that asks; modules that moved leave a forwarder behind, so that
imports and pickles by the old path find the same classes. The tree's own importers are pointed at the new home and raise no warning.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator

from migration.analysis import modules
from migration.analysis.bound_names import bound_names
from migration.analysis.importers import Renames, repoint
from migration.analysis.imports import relative_to, render_from, without
from migration.analysis.source import Source, Unparsable
from migration.analysis.units import Unit, units_of
from migration.codemods import Context, Finding, Outcome, codemod
from migration.errors import BadInput, nearest
from migration.plan import DeprecatePackage, MoveModule
from migration.tree import Overlay

MARK = "_warn_and_forward"
EMPTY = b'"""Deprecated modules."""\n'
IMPORTS = "import importlib.util\nimport sys\nimport warnings\n\n"
FORWARDER = """\
_REASON = {reason}
_HOMES = {{
{homes}}}
_MODULES = {modules}
__all__ = [{names}]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    return _warn_and_forward(name, sys._getframe(1))


def __dir__():
    return sorted([*globals(), *_HOMES])


def _warn_and_forward(name, asking):
    home = importlib.util.resolve_name(_HOMES[name], __name__)
    try:
        module = importlib.import_module(home)
    except ModuleNotFoundError as error:
        if f"{{home}}.".startswith(f"{{error.name}}."):
            raise ImportError(f"{{__name__}}.{{name}} has been removed. {{_REASON}}") from error
        raise
    # `from package import name` asks twice, the first time from within importlib.
    if not asking.f_code.co_filename.startswith("<frozen importlib"):
        warnings.warn(f"{{__name__}}.{{name}} is deprecated. {{_REASON}}", DeprecationWarning, stacklevel=3)
    return module if name in _MODULES else getattr(module, name)
"""
MODULE = '''\
"""Moved to {new}; this forwards to it."""

import importlib.util
import sys
import warnings

_REASON = {reason}
_HOME = importlib.util.resolve_name("{home}", __package__)
try:
    sys.modules[__name__] = importlib.import_module(_HOME)
except ModuleNotFoundError as error:
    if f"{{_HOME}}.".startswith(f"{{error.name}}."):
        raise ImportError(f"{{__name__}} has been removed. {{_REASON}}") from error
    raise
warnings.warn(f"{{__name__}} is deprecated. {{_REASON}}", DeprecationWarning, stacklevel=2)
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
    moved = {m.source: m.target for m in _moves(step, tree, context)}
    reason = f"{step.message.strip()} Use {step.replacement} instead."
    outcome = Outcome(summary=f"{step.package} warns on use and forwards to {step.moved_to}")
    outcome.edits[init] = source.encode(_forwarder(step, source, homes, list(moved.values()), reason, where))
    outcome.findings.append(
        Finding("change", init, 1, "answers on demand, with a DeprecationWarning at the line that asks")
    )
    for unit in units_of(Source(init, source.encode(_kept_text(source, step)))):
        if still := sorted(unit.binds & {*step.names, "*"}):
            names = ", ".join(still).replace("*", "what `import *` brings")
            message = f"{names} is still bound by a statement of the package, so asking for it raises no warning"
            outcome.findings.append(Finding("warning", init, None, message, unit.text))
    for old, new in moved.items():
        text = MODULE.format(new=new, reason=json.dumps(reason), home=_relative(init, new, where))
        outcome.edits[old] = text.encode()
    exported = _exported(tree, home, where)
    if exported is None:
        outcome.edits[home] = _exports(tree, home, homes)
        exported = frozenset(homes)
    renames = Renames(symbols={init: {name: home if name in exported else homes[name] for name in homes}})
    edits, findings = repoint(Overlay(tree, outcome.edits), renames, context, skip={init, home, *outcome.edits})
    outcome.edits |= edits
    outcome.findings += findings
    return outcome


def _moves(step: DeprecatePackage, tree: Overlay, context: Context) -> Iterator[MoveModule]:
    """The plan's moves from the package to its new home that have taken place."""
    for move in context.steps(MoveModule):
        folders = modules.folder_of(move.source), modules.folder_of(move.target)
        if folders == (step.package, step.moved_to) and not tree.exists(move.source):
            yield move


def _exported(tree: Overlay, home: str, where: str) -> frozenset[str] | None:
    """What the new home's `__init__` binds; None where it says nothing yet."""
    if not tree.exists(home):
        return None
    try:
        units = units_of(tree.source(home))
    except Unparsable as error:
        raise BadInput(f"{where}: field 'moved_to': {error}") from error
    if all(u.sort in ("docstring", "nothing") for u in units):
        return None
    return frozenset().union(*(u.binds for u in units))


def _homes(step: DeprecatePackage, tree: Overlay, where: str) -> dict[str, str]:
    """The module of `moved_to` that defines each name."""
    defined: dict[str, str] = {}
    for path in tree.paths():
        if modules.folder_of(path) == step.moved_to and path.endswith(".py") and tree.source(path).parses:
            for node in tree.source(path).tree.body:
                for name in bound_names(node, imports=False):
                    defined.setdefault(name, path)
    for name in step.names:
        if name not in defined:
            raise BadInput(
                f"{where}: field 'names': no module in {step.moved_to} defines {name!r}{nearest(name, defined)}"
            )
    return {name: defined[name] for name in step.names}


def _relative(init: str, target: str, where: str) -> str:
    """How the package at `init` names the module at `target`."""
    found = relative_to(init, target.removesuffix(".py").removesuffix("/__init__"))
    if found is None:
        raise BadInput(
            f"{where}: field 'moved_to': {init} and {target} share no package, so one cannot import the other relatively"
        )
    return found


def _forwarder(
    step: DeprecatePackage, source: Source, homes: dict[str, str], moved: list[str], reason: str, where: str
) -> str:
    """The package's own text, less the imports of what moved, with the forwarder below."""
    submodules = {path.rsplit("/", 1)[-1].removesuffix(".py"): path for path in moved}
    table = {name: _relative(source.path, path, where) for name, path in {**submodules, **homes}.items()}
    text = FORWARDER.format(
        reason=json.dumps(reason),
        homes="".join(f'    "{name}": "{path}",\n' for name, path in table.items()),
        modules=json.dumps([name for name in submodules if name not in homes]),
        names=", ".join(f'"{name}"' for name in homes),
    )
    kept = _kept_text(source, step)
    future = "".join(unit.lead + unit.text for unit in units_of(source) if unit.sort == "future").strip("\r\n")
    above = [
        _docstring(units_of(source), step),
        future + "\n\n" if future else "",
        IMPORTS,
        kept + "\n\n" if kept else "",
    ]
    text = "".join(above) + text
    return text.replace("\r\n", "\n").replace("\n", source.newline)


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


def _kept_text(source: Source, step: DeprecatePackage) -> str:
    """What the package does beside importing the names that are forwarded now."""
    return "".join(_kept(unit, step) for unit in units_of(source) if unit.sort not in ("docstring", "future")).strip(
        "\r\n"
    )


def _kept(unit: Unit, step: DeprecatePackage) -> str:
    """A statement of the old `__init__` as it stays: without what is forwarded now, its comments in any case."""
    if any(isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__" for n in unit.nodes):
        return _comments(unit.lead.splitlines())
    if unit.sort == "import" and unit.binds & set(step.names):
        rest, comments = without(unit.text, step.names)
        return (unit.lead if rest else _comments(unit.lead.splitlines())) + _comments(comments) + rest
    return unit.lead + unit.text


def _comments(lines: Iterable[str]) -> str:
    return "".join(line + "\n" for line in lines if line.strip())


def _exports(tree: Overlay, home: str, homes: dict[str, str]) -> bytes:
    """The new home's `__init__` with the names in it, below the words that stand there already."""
    by_module: dict[str, list[str]] = {}
    for name, path in homes.items():
        by_module.setdefault("." + path.rsplit("/", 1)[-1].removesuffix(".py"), []).append(name)
    source = Source(home, tree.read(home) if tree.exists(home) and tree.read(home).strip() else EMPTY)
    lines = [render_from(module, sorted(names)) for module, names in sorted(by_module.items())]
    names = ", ".join(f'"{name}"' for name in sorted(homes))
    text = "\n".join([source.text.rstrip(), "", *lines, "", f"__all__ = [{names}]", ""])
    return source.encode(text.replace("\r\n", "\n").replace("\n", source.newline))
