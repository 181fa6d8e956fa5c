"""One file a kind. A codemod reads an overlay and returns edits and findings; it never touches the disk.

    @codemod(RemoveCommentedCode)
    def remove_commented_code(step, tree, context) -> Outcome: ...

File name = kind = test name = anchor in docs/codemods.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from migration.analysis.source import Source, Unparsable
from migration.errors import BadInput
from migration.outcome import Context, Finding, Moved, Outcome
from migration.plan import Step
from migration.tree import Overlay

S = TypeVar("S", bound=Step)
Codemod = Callable[[Any, Overlay, Context], Outcome]
REGISTRY: dict[type[Step], Codemod] = {}


def codemod(
    kind: type[S],
) -> Callable[[Callable[[S, Overlay, Context], Outcome]], Callable[[S, Overlay, Context], Outcome]]:
    """Register a function as the codemod of a step class."""

    def register(function: Callable[[S, Overlay, Context], Outcome]) -> Callable[[S, Overlay, Context], Outcome]:
        REGISTRY[kind] = function
        return function

    return register


def named_source(step: Step, field: str, tree: Overlay, context: Context) -> Source:
    """The Python file that a field of a step names. Raises BadInput where it is not there or does not parse."""
    where, path = f"{context.plan.file}: step {step.id!r}: field {field!r}", getattr(step, field)
    if not tree.exists(path):
        raise BadInput(f"{where}: {path}: {tree.absence(path)}")
    source = tree.source(path)
    try:
        _ = source.tree
    except Unparsable as error:
        raise BadInput(f"{where}: {error}; a file that a step names has to parse") from error
    return source


def run_step(step: Step, tree: Overlay, context: Context) -> Outcome:
    """Run the codemod of the step's kind."""
    if not REGISTRY:
        for module in pkgutil.iter_modules(__path__):
            importlib.import_module(f"{__name__}.{module.name}")
    return REGISTRY[type(step)](step, tree, context)


__all__ = ["REGISTRY", "Context", "Finding", "Moved", "Outcome", "codemod", "named_source", "run_step"]
