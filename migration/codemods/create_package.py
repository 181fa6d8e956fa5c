"""create-package: a folder becomes a Python package; steps that move things there fill it."""

from __future__ import annotations

from keyword import iskeyword

from migration.codemods import Context, Outcome, codemod
from migration.errors import BadInput
from migration.plan import CreatePackage, MoveModule
from migration.tree import Overlay


@codemod(CreatePackage)
def create_package(step: CreatePackage, tree: Overlay, context: Context) -> Outcome:
    """Write `package/__init__.py` where there is none. Raises BadInput where that cannot be."""
    where = f"{context.plan.file}: step {step.id!r}: field 'package'"
    name = step.package.rsplit("/", 1)[-1]
    if tree.exists(step.package):
        raise BadInput(f"{where}: {step.package} is a file, a folder was expected")
    init = f"{step.package}/__init__.py"
    if tree.exists(init):
        return Outcome("already done", f"{init} is there")
    if not name.isidentifier() or iskeyword(name):
        raise BadInput(f"{where}: a package called {name!r} cannot be imported; a Python name was expected")
    if tree.exists(f"{step.package}.py") and not any(
        s.source == f"{step.package}.py" for s in context.steps(MoveModule)
    ):
        raise BadInput(f"{where}: {step.package}.py has the same name, and the package would hide it; move it first")
    words = name.replace("_", " ")
    return Outcome(summary=f"{init} made", edits={init: f'"""{words[0].upper()}{words[1:]}."""\n'.encode()})
