"""Batch, activations and gradients of every module, and parameters, of chosen steps, as safetensors beside the trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regression.recorder.content import leaves


class Capture:
    """Writes `FOLDER/step-N.safetensors` for each step in `steps`; tensors are numbered in the order in which they were made."""

    def __init__(self, folder: Path, steps: range) -> None:
        self._folder, self._steps = folder, steps
        self._found: dict[str, Tensor] | None = None
        self._handles: list[Any] = []
        self._step = 0
        self._n = 0

    def attach(self, module: Any) -> None:
        for name, part in module.named_modules():
            if name:
                clean = name.replace("_orig_mod.", "").replace("._orig_mod", "")
                hook = lambda _m, _in, out, name=clean: self._output(name, out)  # noqa: E731
                self._handles.append(part.register_forward_hook(hook))

    def detach(self) -> None:
        for handle in self._handles:
            handle.remove()

    def begin(self, step: int, batch: Any) -> None:
        self._step, self._n = step, 0
        self._found = {} if step in self._steps else None
        if self._found is not None:
            for path, leaf in leaves(batch):
                if isinstance(leaf, Tensor):
                    self._found[f"batch/{path or 'batch'}"] = _copy(leaf)

    @property
    def done(self) -> bool:
        """Whether the last of the chosen steps has been written."""
        return self._step >= self._steps.stop - 1 and self._found is None

    def end(self, module: Any) -> None:
        """After the step: with gradients as the optimiser saw them, and parameters."""
        if self._found is None:
            return
        for name, parameter in module.named_parameters():
            clean = name.replace("_orig_mod.", "")
            self._found[f"parameter/{clean}"] = _copy(parameter)
        from safetensors.torch import save_file

        self._folder.mkdir(exist_ok=True)
        save_file(self._found, self._folder / f"step-{self._step}.safetensors")
        self._found = None

    def gradients(self, module: Any) -> None:
        if self._found is not None:
            for name, parameter in module.named_parameters():
                if parameter.grad is not None:
                    self._found[f"gradient/{name.replace('_orig_mod.', '')}"] = _copy(parameter.grad)

    def _output(self, name: str, value: Any) -> None:
        if self._found is None:
            return
        for path, leaf in leaves(value, name):
            if isinstance(leaf, Tensor):
                key = f"{self._n:05d}/{path}"
                self._n += 1
                self._found[f"forward/{key}"] = _copy(leaf)
                if leaf.requires_grad:
                    leaf.register_hook(lambda gradient, key=key: self._arrived(key, gradient))  # type: ignore[no-untyped-call]

    def _arrived(self, key: str, gradient: Tensor) -> None:
        if self._found is not None:
            self._found[f"backward/{key}"] = _copy(gradient)


def _copy(tensor: Tensor) -> Tensor:
    kept = tensor.detach().cpu().contiguous().clone()
    return torch.view_as_real(kept) if kept.is_complex() else kept
