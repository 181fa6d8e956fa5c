"""What of a training run is written down, and when."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regression.recorder.content import leaves, plain, random_states, relative
from regression.recorder.environment import flags
from regression.recorder.outputs import Outputs
from regression.recorder.state import (
    averages,
    end_of,
    metrics,
    named,
    optimizer_state,
    options,
    schedule_of,
    served,
    settings_of,
    shortened,
)
from regression.recorder.tables import Number, Table, Tabulator, finished
from regression.recorder.tensors import Capture
from regression.trace import Record, Writer


class TwoFits(BaseException):
    """A script that trains twice is two runs. No `except Exception` of the script's is meant."""


class Recorder:
    """Listens to one run. Its methods are called by what `install` puts in place; `light` leaves out every tensor."""

    def __init__(
        self, writer: Writer, light: bool = False, capture: Capture | None = None, leave_after_capture: bool = False
    ) -> None:
        self._leave = leave_after_capture
        self._writer, self._light, self._capture = writer, light, capture
        self._tabulate = Tabulator(writer)
        self._step = self._fits = 0
        self._epoch = 0
        self._trained = False
        self._step_seconds: list[float] = []
        self._step_began: float | None = None
        self._phases: Record = {}
        self._counted, self._counts = self._phases, Counter[tuple[str, str]]()
        self._waiting: Record | None = None
        self._logged: list[Any] = []
        self._last: dict[str, Any] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._since: float | None = None
        self._began = time.perf_counter()
        self._handed: list[Any] = []
        self._warned: Counter[str] = Counter()
        self._outputs = Outputs(lambda: bool(self._phases) and not {"loss", "backward"} & self._phases.keys())
        self._module: Any = None
        self.cut_short, self.caught = False, ""
        self._in_backward = False

    # the run's frame

    @contextmanager
    def fit(self) -> Iterator[None]:
        """Around `Trainer.fit`. What leaves it early is told apart here, where no script has caught it yet."""
        self._fits += 1
        if self._fits > 1:
            raise TwoFits
        try:
            yield
        except Exception as error:
            self.caught = f"{type(error).__name__}: {error}"
            raise
        except BaseException:  # sys.exit, and so is a signal to Lightning
            self.cut_short = True
            raise

    def train_start(self, trainer: Any, module: Any) -> None:
        self._module = module
        if not self._light:
            self._outputs.listen(module)
        self._step = trainer.fit_loop.total_batch_idx + 1  # not 0 where the run is resumed
        self._epoch = trainer.current_epoch
        if self._capture:
            self._capture.attach(module)
        settings = settings_of(trainer, module)
        self._last["flags"] = settings["flags"]
        phases: Record = {"random": random_states()}
        if not self._light:
            phases["parameters"] = self._tabulate(named(module.named_parameters()))
            phases["buffers"] = self._tabulate(named(module.named_buffers()))
        self._write("start", {"start": phases, "settings": settings})
        self._since = time.perf_counter()

    def train_end(self, trainer: Any, module: Any) -> None:
        self._schedule(trainer)
        self._flush()
        if self._capture:
            self._capture.detach()
        cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._end = {
            "seconds": {name: round(value, 6) for name, value in self._seconds.items()},
            "peak_bytes": peak,
            # from one batch's end to the next one's; what lies between epochs counts for the first
            **({"step_seconds": self._step_seconds} if self._light else {}),
            "flags": flags(),
        }
        self._write("last", {"end": end_of(trainer, module), **self._rest()})

    def close(self, reached_end: bool) -> None:
        """After the script: what it warned of, and how long it all took."""
        if self._fits == 1 and reached_end:
            if self._logged:
                self._write("after", self._rest())
            unsteady = [text for text in self._warned if "does not have a deterministic implementation" in text]
            end: Record = {"record": "end", "step": self._step, "epoch": self._epoch, "phases": {}}
            end["warnings"] = dict(self._warned)
            end["nondeterministic"] = unsteady
            end["total_seconds"] = round(time.perf_counter() - self._began, 3)
            self._writer.write({**end, **getattr(self, "_end", {})})
        self._writer.close()

    @property
    def fits(self) -> int:
        return self._fits

    def warned(self, message: Any, category: type[Warning]) -> None:
        self._warned[f"{category.__name__}: {plain(str(message))}"] += 1

    # a step, in order of cause

    def batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        self._tick("data")
        self._schedule(trainer)
        self._flush()
        self._step += 1
        self._epoch = trainer.current_epoch
        data: Record = {"position": [trainer.current_epoch, batch_idx]}
        if not self._light:
            data.update(order=served(trainer), content=self._content(batch), random=random_states())
            self._outputs.take()
        self._phases = {"data": data}
        if self._capture:
            self._capture.begin(self._step, batch)
        self._tick("recording")

    def forward_start(self) -> None:
        """Every hook before the forward pass has run."""
        self._tick("forward")
        self._modes(frozen=[name for name, part in self._module.named_parameters() if not part.requires_grad])
        now = flags()
        changed = {name: value for name, value in now.items() if value != self._last["flags"][name]}
        if changed:
            self._last["flags"] = now
            self._in("settings")["flags"] = changed
        self._tick("recording")

    def before_backward(self, loss: Tensor) -> None:
        self._tick("forward")
        self._in_backward = True
        self._modes()
        if self._outputs.found and "outputs" not in self._phases.get("forward", {}):
            self._in("forward")["outputs"] = self._tabulate(self._outputs.take())
        if not self._light:
            self._in("forward").setdefault("random", random_states())
        self._add("loss", "loss", Number(loss))
        self._tick("recording")

    def after_backward(self, module: Any) -> None:
        self._tick("backward")
        self._in_backward = False
        if not self._light:
            self._add("backward", "gradients", self._gradients(module))
        self._tick("recording")

    @contextmanager
    def backward_by_hand(self, loss: Tensor) -> Iterator[None]:
        """Around `loss.backward()`, of which Lightning tells only where it calls it itself."""
        if self._in_backward or "position" not in self._phases.get("data", {}):  # of a training step
            yield
            return
        self.before_backward(loss)
        try:
            yield
        finally:
            self._in_backward = False
        self.after_backward(self._module)

    def after_clip(self, module: Any) -> None:
        self._tick("clip")
        if not self._light:
            self._add("clip", "gradients", self._gradients(module))
        if self._capture:
            self._capture.gradients(module)
        self._tick("recording")

    def after_step(self, optimizer: Any) -> None:
        """The optimiser has stepped, with these options."""
        if not self._phases:
            return
        self._tick("step")
        self._add("step", "options", options(optimizer))
        if not self._light:
            kept = list(optimizer_state(optimizer))
            if kept:
                self._add("step", "optimizer_state", self._tabulate(kept))
        self._tick("recording")

    def batch_end(self, trainer: Any, module: Any) -> None:
        self._tick("step")
        if not self._light:
            self._in("step")["parameters"] = self._tabulate(named(module.named_parameters()))
            buffers = [*named(module.named_buffers()), *averages(trainer)]
            if buffers:
                self._in("step")["buffers"] = self._tabulate(buffers)
        if self._logged:
            self._in("metrics")["logged"] = self._take_logged()
        if self._capture:
            self._capture.end(module)
        self._flush()
        now = time.perf_counter()
        if self._light and self._step_began is not None:
            self._step_seconds.append(round(now - self._step_began, 6))
        self._step_began = now
        self._waiting = self._made("step", self._phases)
        self._phases, self._trained = {}, True
        if self._leave and self._capture and self._capture.done:
            self._flush()
            os._exit(0)  # a replay: what the script would do after training is not done
        self._tick("recording")

    # what is not of a step

    def logged(self, hook: str | None, key: str, value: Any, how: dict[str, Any]) -> None:
        if not isinstance(value, Tensor) and hasattr(value, "_forward_cache"):
            # a torchmetrics object: what it made of this batch; what it makes of all of them is in callback_metrics
            value = type(value).__name__ if value._forward_cache is None else value._forward_cache
        number = Number(value) if isinstance(value, Tensor) and value.numel() else plain(value)
        self._logged.append([hook or "", key, number, {name: plain(part) for name, part in how.items()}])

    def evaluation_batch(self, batch: Any) -> None:
        if not self._light:
            self._add("data", "content", self._content(batch))

    def evaluation_start(self) -> None:
        self._flush()
        self._phases = {}

    def evaluation_end(self, kind: str, trainer: Any) -> None:
        """`kind` is `validation` or `test`."""
        self._in("metrics").update(logged=self._take_logged(), callback_metrics=metrics(trainer.callback_metrics))
        self._write(kind, self._phases)
        self._phases = {}

    def epoch_end(self, trainer: Any, module: Any) -> None:
        """After the hooks, in which the last values of an epoch are logged."""
        self._flush()
        phases: Record = {"metrics": {"logged": self._take_logged(), "metrics": metrics(trainer.callback_metrics)}}
        if not self._light:
            phases["step"] = {"buffers": self._tabulate(named(module.named_buffers()))}
        self._write("epoch", phases)
        for told in ("evaluating", "frozen"):
            self._last.pop(told, None)  # a run that is resumed does not know them

    def checkpoint(self, path: Any, content: Any) -> None:
        """A checkpoint is about to be written."""
        if self._light:
            return
        self._flush()
        tensors = [(name, leaf) for name, leaf in leaves(content) if isinstance(leaf, Tensor)]
        rest = {name: plain(leaf) for name, leaf in leaves(content) if not isinstance(leaf, Tensor)}
        stripped = list(named(iter(tensors)))
        self._write(
            "checkpoint",
            {
                "checkpoint": {
                    "file": relative(Path(str(path)).name),
                    "content": rest,
                    "tensors": self._tabulate(stripped, norms=False),
                }
            },
        )

    # how

    def _in(self, phase: str) -> Record:
        made: Record = self._phases.setdefault(phase, {})
        return made

    def _add(self, phase: str, quantity: str, value: Any) -> None:
        """Several of a step, under accumulation or manual optimisation, are told apart by their number."""
        if self._counted is not self._phases:
            self._counted, self._counts = self._phases, Counter()
        self._counts[phase, quantity] += 1
        n = self._counts[phase, quantity]
        self._in(phase)[quantity if n == 1 else f"{quantity} {n}"] = value

    def _gradients(self, module: Any) -> Table:
        return self._tabulate(named((n, p.grad) for n, p in module.named_parameters() if p.grad is not None))

    def _content(self, batch: Any) -> Record:
        tensors = [(path or "batch", leaf) for path, leaf in leaves(batch) if isinstance(leaf, Tensor)]
        rest = {path or "batch": plain(leaf) for path, leaf in leaves(batch) if not isinstance(leaf, Tensor)}
        return {"tensors": self._tabulate(tensors), **({"other": rest} if rest else {})}

    def _modes(self, **now: list[str]) -> None:
        """Which modules are not in training mode, and which parameters are frozen; told in each epoch's first step, and when it changes."""
        now["evaluating"] = [name for name, part in self._module.named_modules() if not part.training]
        changed = {what: names for what, names in now.items() if names != self._last.get(what)}
        self._last.update(changed)
        if changed:
            # in front of what came of it
            self._phases["forward"] = {**changed, **self._in("forward"), **changed}

    def _schedule(self, trainer: Any) -> None:
        """What the next step will be made with."""
        if not self._trained:
            return
        made = schedule_of(trainer)
        if made != self._last.get("schedule"):
            self._last["schedule"] = made
            self._flush()
            self._write("schedule", {"schedule": made})

    def _rest(self) -> Record:
        """What was logged since the last record that tells it."""
        return {"metrics": {"logged": self._take_logged()}} if self._logged else {}

    def _take_logged(self) -> list[Any]:
        taken, self._logged = self._logged, []
        return taken

    def _tick(self, phase: str) -> None:
        now = time.perf_counter()
        if self._since is not None:
            self._seconds[phase] += now - self._since
        self._since = now

    def _made(self, kind: str, phases: Record) -> Record:
        return {"record": kind, "step": self._step, "epoch": self._epoch, "phases": phases}

    def _write(self, kind: str, phases: Record) -> None:
        self._writer.write(shortened(finished(self._made(kind, phases))))

    def _flush(self) -> None:
        """The step before is written while the device works on the next."""
        if self._waiting is not None:
            self._writer.write(shortened(finished(self._waiting)))
            self._waiting = None
