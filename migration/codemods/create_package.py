"""create-package: a folder becomes a Python package; steps that move things there fill it."""

from __future__ import annotations

from migration.codemods import Context, Outcome, codemod
from migration.errors import BadInput
from migration.plan import CreatePackage
from migration.tree import Overlay


@codemod(CreatePackage)
def create_package(step: CreatePackage, tree: Overlay, context: Context) -> Outcome:
    """Write `package/__init__.py` where there is none. Raises BadInput where `package` is a file."""
    if tree.exists(step.package):
        raise BadInput(
            f"{context.plan.file}: step {step.id!r}: field 'package': {step.package} is a file, a folder was expected"
        )
    init = f"{step.package}/__init__.py"
    if tree.exists(init):
        return Outcome("already done", f"{init} is there")
    name = step.package.rsplit("/", 1)[-1].replace("_", " ")
    return Outcome(summary=f"{init} made", edits={init: f'"""{name[0].upper()}{name[1:]}."""\n'.encode()})
