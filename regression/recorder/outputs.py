"""What the parts of a network give, as it is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from regression.recorder.content import leaves


class Outputs:
    """The tensors that a module's children have given since they were taken, while `wanted`."""

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self.wanted = wanted
        self.found: list[tuple[str, Tensor]] = []

    def listen(self, module: Any) -> None:
        for name, child in module.named_children():
            if any(True for _ in child.parameters()):
                child.register_forward_hook(_Hook(self, name))

    def given(self, name: str, value: Any) -> None:
        if self.wanted():
            tensors = [(path, leaf) for path, leaf in leaves(value, name) if isinstance(leaf, Tensor)]
            self.found += [(f"{path}#{len(self.found) + i}", leaf) for i, (path, leaf) in enumerate(tensors)]

    def take(self) -> list[tuple[str, Tensor]]:
        taken, self.found = self.found, []
        return taken


class _Hook:
    """A forward hook that a copy, or a pickle, of the module does not have."""

    def __init__(self, outputs: Outputs, name: str) -> None:
        self._outputs, self._name = outputs, name

    def __call__(self, module: Any, inputs: Any, output: Any) -> None:
        self._outputs.given(self._name, output)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (
            nullcontext(),
            "__exit__",
        )  # takes anything, does nothing, is there wherever the pickle is read
