"""
Puts a recorder in the place where it hears everything, before a script starts.

A callback of the Trainer hears the hooks. What has no hook is wrapped on its class, for both Lightnings: `LightningModule.log`, the
end of gradient clipping, the end of a batch, of an epoch and of training (a module's own hook runs after the callbacks'), the strategy's training
step and saving, the loaders' samplers; and what a script may do past Lightning: `loss.backward()`, and telling its logger a value.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from regression.launch import lightnings, replaced
from regression.recorder.recorder import Recorder


@contextmanager
def installed(recorder: Recorder, overrides: Mapping[str, Any], save: bool = True) -> Iterator[None]:
    """Inside, every Trainer is made with `overrides` and reports to `recorder`; with `save` off no checkpoint is written."""
    with ExitStack() as stack:
        for package in lightnings():
            _lightning(package, recorder, dict(overrides), save, stack)
        replaced(stack, torch.utils.data.dataloader._BaseDataLoaderIter, "_next_index", _handing)
        replaced(stack, torch.Tensor, "backward", _by_hand(recorder))
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
            with recorder.fit():
                for kind in {type(logger) for logger in self.loggers}:
                    replaced(stack, kind, "log_metrics", _outside(recorder))
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

    def stepping(original: Any) -> Any:
        @functools.wraps(original)
        def stepped(*args: Any, **kwargs: Any) -> Any:
            recorder.forward_start()
            return original(*args, **kwargs)

        return stepped

    def followed_by(told: Any) -> Any:
        def followed(original: Any) -> Any:
            @functools.wraps(original)
            def ended(self: Any) -> None:
                original(self)
                told(self.trainer, self.trainer.lightning_module)

            return ended

        return followed

    prefix = package.__name__
    precision = importlib.import_module(f"{prefix}.plugins.precision.precision").Precision
    strategy = importlib.import_module(f"{prefix}.strategies.strategy").Strategy
    replaced(stack, package.Trainer, "__init__", init)
    replaced(stack, package.Trainer, "fit", fit)
    replaced(stack, package.LightningModule, "log", log)
    replaced(stack, precision, "_after_closure", clipped)
    replaced(stack, strategy, "save_checkpoint", saving)
    replaced(stack, strategy, "training_step", stepping)
    whole = importlib.import_module(f"{prefix}.loops.fit_loop")._FitLoop
    replaced(stack, whole, "on_advance_end", followed_by(recorder.epoch_end))
    replaced(stack, whole, "on_run_end", followed_by(recorder.train_end))
    loop = importlib.import_module(f"{prefix}.loops.training_epoch_loop")._TrainingEpochLoop
    replaced(stack, loop, "on_advance_end", advanced)


def _handing(original: Any) -> Any:
    @functools.wraps(original)
    def handed(self: Any) -> Any:
        index = original(self)
        self.__dict__.setdefault("_regression_handed", []).append(index)
        return index

    return handed


def _by_hand(recorder: Recorder) -> Any:
    def hearing(original: Any) -> Any:
        @functools.wraps(original)
        def backward(loss: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            with recorder.backward_by_hand(loss):
                return original(loss, *args, **kwargs)

        return backward

    return hearing


def _outside(recorder: Recorder) -> Any:
    """Values that a script gives to its logger. Those that Lightning gives to it were heard when they were logged, or are its own times."""

    def hearing(original: Any) -> Any:
        @functools.wraps(original)
        def log_metrics(self: Any, metrics: Any, step: Any = None, *args: Any, **kwargs: Any) -> Any:
            caller = str(sys._getframe(1).f_globals.get("__name__"))
            if not caller.startswith(("pytorch_lightning.", "lightning.", "lightning_fabric.", "_regression.")):
                for key, value in metrics.items():
                    recorder.logged("logger", key, value, {} if step is None else {"step": step})
            return original(self, metrics, step, *args, **kwargs)

        return log_metrics

    return hearing


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

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            recorder.batch_start(trainer, pl_module, batch, batch_idx)

        def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
            recorder.before_backward(loss)

        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            recorder.after_backward(pl_module)

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                recorder.evaluation_start()

        def on_validation_batch_start(
            self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
        ) -> None:
            if not trainer.sanity_checking:
                recorder.evaluation_batch(batch)

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                recorder.evaluation_end("validation", trainer)

        def on_test_start(self, trainer: Any, pl_module: Any) -> None:
            recorder.evaluation_start()

        def on_test_batch_start(
            self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
        ) -> None:
            recorder.evaluation_batch(batch)

        def on_test_end(self, trainer: Any, pl_module: Any) -> None:
            recorder.evaluation_end("test", trainer)

    return Listener()
