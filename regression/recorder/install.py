"""
Puts a recorder in the place where it hears everything, before a script starts.

A callback of the Trainer hears the hooks. What has no hook is wrapped on its class, for both Lightnings: `LightningModule.log`, the
end of gradient clipping, the end of a batch (a module's own hook runs after the callbacks'), the strategy's saving, and the loaders' samplers.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from regression.launch import lightnings
from regression.recorder.recorder import Recorder


@contextmanager
def installed(recorder: Recorder, overrides: Mapping[str, Any], save: bool = True) -> Iterator[None]:
    """Inside, every Trainer is made with `overrides` and reports to `recorder`; with `save` off no checkpoint is written."""
    with ExitStack() as stack:
        for package in lightnings():
            _lightning(package, recorder, dict(overrides), save, stack)
        _replace(stack, torch.utils.data.dataloader._BaseDataLoaderIter, "_next_index", _handing)
        handle = register_optimizer_step_post_hook(lambda optimizer, *_: recorder.after_step(optimizer))
        stack.callback(handle.remove)
        shown = warnings.showwarning
        warnings.showwarning = _listening(shown, recorder)
        stack.callback(lambda: setattr(warnings, "showwarning", shown))
        yield


def _lightning(package: Any, recorder: Recorder, overrides: dict[str, Any], save: bool, stack: ExitStack) -> None:
    listener = _listener(package, recorder)

    def init(original: Any) -> Any:
        @functools.wraps(original)
        def made(self: Any, *args: Any, **kwargs: Any) -> None:
            bound = inspect.signature(original).bind_partial(self, *args, **kwargs).arguments
            given = {**bound, **bound.pop("kwargs", {}), **overrides}
            given.pop("self")
            callbacks = given.get("callbacks") or []
            callbacks = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
            if not save:
                given["logger"] = importlib.import_module(f"{package.__name__}.loggers.logger").DummyLogger()
            original(self, **{**given, "callbacks": [*callbacks, listener]})

        return made

    def fit(original: Any) -> Any:
        @functools.wraps(original)
        def fitted(self: Any, *args: Any, **kwargs: Any) -> Any:
            recorder.fit(self)
            return original(self, *args, **kwargs)

        return fitted

    def log(original: Any) -> Any:
        parameters = list(inspect.signature(original).parameters.values())[3:]

        @functools.wraps(original)
        def logged(self: Any, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
            trainer = getattr(self, "_trainer", None)
            if trainer is None or not trainer.sanity_checking:
                given = {**dict(zip((p.name for p in parameters), args, strict=False)), **kwargs}
                how = {p.name: given[p.name] for p in parameters if p.name in given and given[p.name] != p.default}
                recorder.logged(getattr(self, "_current_fx_name", None), name, value, how)
            return original(self, name, value, *args, **kwargs)

        return logged

    def clipped(original: Any) -> Any:
        @functools.wraps(original)
        def after(self: Any, model: Any, optimizer: Any) -> Any:
            result = original(self, model, optimizer)
            recorder.after_clip(model)
            return result

        return after

    def saving(original: Any) -> Any:
        @functools.wraps(original)
        def saved(self: Any, checkpoint: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
            recorder.checkpoint(filepath, checkpoint)
            return original(self, checkpoint, filepath, *args, **kwargs) if save else None

        return saved

    def advanced(original: Any) -> Any:
        @functools.wraps(original)
        def after(self: Any, *args: Any, **kwargs: Any) -> Any:
            recorder.batch_end(self.trainer, self.trainer.lightning_module)
            return original(self, *args, **kwargs)

        return after

    prefix = package.__name__
    precision = importlib.import_module(f"{prefix}.plugins.precision.precision").Precision
    strategy = importlib.import_module(f"{prefix}.strategies.strategy").Strategy
    _replace(stack, package.Trainer, "__init__", init)
    _replace(stack, package.Trainer, "fit", fit)
    _replace(stack, package.LightningModule, "log", log)
    _replace(stack, precision, "_after_closure", clipped)
    _replace(stack, strategy, "save_checkpoint", saving)
    loop = importlib.import_module(f"{prefix}.loops.training_epoch_loop")._TrainingEpochLoop
    _replace(stack, loop, "on_advance_end", advanced)


def _replace(stack: ExitStack, owner: Any, name: str, wrap: Any) -> None:
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    stack.callback(setattr, owner, name, original)


def _handing(original: Any) -> Any:
    @functools.wraps(original)
    def handed(self: Any) -> Any:
        index = original(self)
        self.__dict__.setdefault("_regression_handed", []).append(index)
        return index

    return handed


def _listening(original: Any, recorder: Recorder) -> Any:
    def shown(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
        recorder.warned(message, category)
        original(message, category, *args, **kwargs)

    return shown


def _listener(package: Any, recorder: Recorder) -> Any:
    class Listener(package.Callback):  # type: ignore[misc]
        """Passes on what Lightning tells."""

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            recorder.train_start(trainer, pl_module)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            recorder.train_end(trainer, pl_module)

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            recorder.batch_start(trainer, pl_module, batch, batch_idx)

        def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
            recorder.before_backward(loss)

        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            recorder.after_backward(pl_module)

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                recorder.validation_start()

        def on_validation_batch_start(
            self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
        ) -> None:
            if not trainer.sanity_checking:
                recorder.validation_batch(batch)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                recorder.validation_end(trainer)

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            recorder.epoch_end(trainer, pl_module)

    return Listener()
