"""move-module: a module moves whole; its relative imports are counted from the new place, its importers and callers follow."""

from __future__ import annotations

from migration.analysis import modules
from migration.analysis.callers import point_callers
from migration.analysis.importers import Renames, repoint
from migration.analysis.imports import rehome_text
from migration.analysis.source import Unparsable
from migration.codemods import Context, Finding, Outcome, codemod
from migration.errors import BadInput
from migration.plan import DeprecatePackage, MoveModule
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
    if step.source.endswith(".py") and step.target.endswith(".py"):
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
    if step.source.endswith(".py"):
        renames = Renames(modules={step.source: step.target})
        edits, findings = repoint(Overlay(tree, outcome.edits), renames, context)
        outcome.edits |= edits
        outcome.findings += findings
    edits, findings = point_callers(Overlay(tree, outcome.edits), step.source, step.target)
    outcome.edits |= edits
    outcome.findings += findings
    if raw != tree.read(step.source):
        outcome.findings.append(
            Finding("change", step.target, None, "its relative imports are counted from the new place")
        )
    return outcome


def _forwards(step: MoveModule, tree: Overlay, context: Context) -> bool:
    packages = [s for s in context.steps(DeprecatePackage) if step.source.startswith(s.package + "/")]
    return bool(packages) and b"sys.modules[__name__]" in tree.read(step.source)
