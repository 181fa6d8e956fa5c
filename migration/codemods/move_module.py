"""move-module: a module moves whole; its relative imports are counted from the new place, its importers and callers follow."""

from __future__ import annotations

import ast
from collections.abc import Callable

from migration.analysis import modules
from migration.analysis.callers import point_callers
from migration.analysis.importers import Renames, repoint
from migration.analysis.imports import rehome_text
from migration.analysis.module_callers import point_module_callers
from migration.analysis.moved_script import rooted, runs_by_path
from migration.analysis.source import Unparsable
from migration.codemods import Context, Finding, Outcome, codemod
from migration.errors import BadInput
from migration.plan import DeprecatePackage, EntryPoint, MoveModule
from migration.tree import Overlay


@codemod(MoveModule)
def move_module(step: MoveModule, tree: Overlay, context: Context) -> Outcome:
    """Move `source` to `target`. A missing source with the target in place is already done. Raises BadInput."""
    where = f"{context.plan.file}: step {step.id!r}"
    if not tree.exists(step.source):
        if tree.exists(step.target):
            return Outcome("already done", f"{step.target} is in place")
        raise BadInput(f"{where}: field 'source': {step.source}: {tree.absence(step.source)}")
    if tree.exists(step.target):
        # A package that was deprecated keeps a forwarder under the old name; the module itself has then moved already.
        if _forwards(step, tree, context):
            return Outcome("already done", f"{step.target} is in place, {step.source} forwards to it")
        raise BadInput(
            f"{where}: field 'target': {step.target} is there already, and so is {step.source}; remove one of them by hand"
        )
    raw = tree.read(step.source)
    python = step.source.endswith(".py")
    if python:
        source = tree.source(step.source)
        try:
            text = rehome_text(
                tree, source, 0, len(source.text), step.target, context.roots, modules.path_hints(source)
            )
        except Unparsable as error:
            raise BadInput(f"{where}: {error}; a file that a step names has to parse") from error
        raw = source.encode(text)
    outcome = Outcome(
        summary=f"{step.source} → {step.target}",
        edits={step.source: None, step.target: raw},
        modes={step.target: tree.mode(step.source)},
    )
    packaged = tree.exists(modules.join(modules.folder_of(step.source), "__init__.py"))
    for init in modules.package_inits(tree, step.target, context.roots) if packaged else ():
        name = modules.folder_of(init).rsplit("/", 1)[-1]
        outcome.edits.setdefault(init, f'"""{name.replace("_", " ").capitalize()}."""\n'.encode())
    imported = False
    if python:
        _check_importable(step, tree, context, where)
        renames = Renames(modules={step.source: step.target})
        imported = _follow(tree, outcome, lambda now: repoint(now, renames, context), (".py", ".ipynb"), step)
        _follow(tree, outcome, lambda now: point_module_callers(now, step.source, step.target, context.roots))
    called = _follow(tree, outcome, lambda now: point_callers(now, step.source, step.target))
    if raw != tree.read(step.source):
        outcome.findings.append(
            Finding("change", step.target, None, "its relative imports are counted from the new place")
        )
    if python and modules.folder_of(step.source) != modules.folder_of(step.target):
        nodes = (n for n in ast.walk(tree.source(step.source).tree) if isinstance(n, ast.Name))
        for line in sorted({n.lineno for n in nodes if n.id == "__file__"}):
            message = f"__file__ is {step.target} from here on; look at what is reckoned from it"
            outcome.findings.append(Finding("warning", step.source, line, message))
    if python and runs_by_path(tree.source(step.source), called, imported):
        try:
            _put_roots(step, tree, context, outcome)
        except BadInput as error:
            raise BadInput(f"{where}: field 'target': {error}") from error
    return outcome


def _check_importable(step: MoveModule, tree: Overlay, context: Context, where: str) -> None:
    """Raise BadInput where the new place has no module name and somebody imports the module."""
    if modules.dotted_name(step.target, context.roots):
        return
    anywhere = modules.join(modules.folder_of(step.source), "moved.py")
    importers, _ = repoint(tree, Renames(modules={step.source: anywhere}), Context(context.plan), skip={step.source})
    if importers:
        raise BadInput(
            f"{where}: field 'target': {step.target!r} cannot be imported from the roots {', '.join(context.roots)}, and {min(importers)} imports {step.source}: every folder and file name has to be a Python identifier and no keyword"
        )


def _follow(
    tree: Overlay,
    outcome: Outcome,
    pointing: Callable[[Overlay], tuple[dict[str, bytes | None], list[Finding]]],
    suffixes: tuple[str, ...] = ("",),
    step: MoveModule | None = None,
) -> bool:
    """Let others follow the module; whether one of them, with one of `suffixes`, did."""
    edits, findings = pointing(Overlay(tree, outcome.edits))
    outcome.edits |= edits
    outcome.findings += findings
    return any(path.endswith(suffixes) for path in edits if step is None or path != step.target)


def _put_roots(step: MoveModule, tree: Overlay, context: Context, outcome: Outcome) -> None:
    """A script finds what it found through its folder, unless an entry-point step sees to that."""
    if any(other.file == step.target for other in context.steps(EntryPoint)):
        return
    now = Overlay(tree, outcome.edits)
    text, names = rooted(tree, step.source, now, step.target, context.roots)
    if names:
        outcome.edits[step.target] = now.source(step.target).encode(text)
        message = f"is run by path: puts the root on sys.path, where {', '.join(names)} is found"
        outcome.findings.append(Finding("change", step.target, None, message))


def _forwards(step: MoveModule, tree: Overlay, context: Context) -> bool:
    packages = [s for s in context.steps(DeprecatePackage) if step.source.startswith(s.package + "/")]
    return bool(packages) and b"sys.modules[__name__]" in tree.read(step.source)
