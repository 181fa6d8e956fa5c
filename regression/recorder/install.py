"""
Puts a recorder in the place where it hears everything, before a script starts.

A callback of the Trainer hears the hooks. What has no hook is wrapped on its class, for both Lightnings: `LightningModule.log`, the
end of gradient clipping, the end of a batch, of an epoch and of training (a module's own hook runs after the callbacks'), the strategy's training
step and saving, the loaders' samplers; and what a script may do past Lightning: `loss.backward()`, and telling its logger a value.
While a tuner tries learning rates or batch sizes nothing is heard.
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
    listeners = [(package, _listener(package, recorder)) for package in lightnings()]
    with ExitStack() as stack:
        ears = stack.enter_context(ExitStack())

        def listen() -> None:
            for package, listener in listeners:
                _lightning(package, recorder, listener, save, ears, stack)
                tuner = importlib.import_module(f"{package.__name__}.tuner").Tuner
                replaced(ears, tuner, "lr_find", unheard)
                replaced(ears, tuner, "scale_batch_size", unheard)
                replaced(ears, package.callbacks.LearningRateFinder, "lr_find", unheard)
                replaced(ears, package.callbacks.BatchSizeFinder, "scale_batch_size", unheard)
            replaced(ears, torch.utils.data.dataloader._BaseDataLoaderIter, "_next_index", _handing)
            replaced(ears, torch.Tensor, "backward", _by_hand(recorder))
            handle = register_optimizer_step_post_hook(lambda optimizer, *_: recorder.after_step(optimizer))
            ears.callback(handle.remove)

        def unheard(original: Any) -> Any:
            """The steps that a tuner tries, after which it puts the weights back, are not of the training."""

            @functools.wraps(original)
            def tried(*args: Any, **kwargs: Any) -> Any:
                ears.close()
                try:
                    return original(*args, **kwargs)
                finally:
                    listen()

            return tried

        for package, listener in listeners:
            replaced(stack, package.Trainer, "__init__", _with(package, listener, dict(overrides), save))
        shown = warnings.showwarning
        warnings.showwarning = _listening(shown, recorder)
        stack.callback(lambda: setattr(warnings, "showwarning", shown))
        listen()
        yield


def _with(package: Any, listener: Any, overrides: dict[str, Any], save: bool) -> Any:
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

    return init


def _lightning(package: Any, recorder: Recorder, listener: Any, save: bool, ears: ExitStack, stack: ExitStack) -> None:
    """What is heard goes on `ears`; what the loggers are told is heard until `stack` is left."""

    def fit(original: Any) -> Any:
        @functools.wraps(original)
        def fitted(self: Any, *args: Any, **kwargs: Any) -> Any:
            with recorder.fit():
                if listener not in self.callbacks:  # the script has put others in their place
                    heard = [*self.callbacks, listener]
                    self.callbacks = sorted(heard, key=lambda one: isinstance(one, package.callbacks.Checkpoint))
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
    replaced(ears, package.Trainer, "fit", fit)
    replaced(ears, package.LightningModule, "log", log)
    replaced(ears, precision, "_after_closure", clipped)
    replaced(ears, strategy, "save_checkpoint", saving)
    replaced(ears, strategy, "training_step", stepping)
    whole = importlib.import_module(f"{prefix}.loops.fit_loop")._FitLoop
    replaced(ears, whole, "on_advance_end", followed_by(recorder.epoch_end))
    replaced(ears, whole, "on_run_end", followed_by(recorder.train_end))
    loop = importlib.import_module(f"{prefix}.loops.training_epoch_loop")._TrainingEpochLoop
    replaced(ears, loop, "on_advance_end", advanced)


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
