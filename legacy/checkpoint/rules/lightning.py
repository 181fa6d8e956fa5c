"""Checkpoints of Lightning 0.x and 1.x in the form of 2.x: as Lightning's own migrations do it, and further where they stop.

The index is `UPGRADES`, from the version that brought a change to what makes a file from before it one from after. To add one: write
a function whose docstring says what changed, and put it under its version. The reference is pytorch_lightning/utilities/migration/migration.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from legacy.checkpoint.kinds import LIGHTNING
from legacy.checkpoint.parts import optimizers
from legacy.checkpoint.records import Call, Global
from legacy.checkpoint.rules.progress import finished_epochs, progress
from legacy.checkpoint.rules.registry import Work, rule
from legacy.checkpoint.scalars import scalar

_TO: Final = "2.0.0"  # the last version that changed what is in a checkpoint
_BEFORE: Final = "legacy_pytorch-lightning_version"
_LOOPS: Final = ("validate_loop", "test_loop", "predict_loop")


@rule("lightning-upgrade", since="Lightning 0.10 to 2.0")
def upgrade(work: Work) -> None:
    """A checkpoint of Lightning before 2.0 is given the loops, callback states and counts that 2.x resumes from; the version it was
    saved by stays in `legacy_pytorch-lightning_version`, as Lightning itself leaves it."""
    root = work.root
    version = root.get(LIGHTNING) if isinstance(root, dict) else None
    if type(version) is not str or "state_dict" not in root or not version_of(version):
        return
    name = work.rule
    for since, steps in UPGRADES.items():
        if version_of(version) < version_of(since):
            for step in steps:
                work.rule = f"{name}: {step.__name__.replace('_', '-')}"
                step(work, root)
    work.rule = name
    if version_of(version) < version_of(_TO):
        root.setdefault(_BEFORE, version)
        root[LIGHTNING] = _TO
        work.note(f"{version} → {_TO}")


def version_of(text: str) -> tuple[int, ...]:
    """To compare versions by; a release candidate is before its release. Empty for what is none."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?[.-]?(rc|a|b|dev|alpha|beta)?", text[:40])
    return (*(int(part or 0) for part in found.groups()[:3]), found[4] is None) if found else ()


def early_callback_states(work: Work, root: dict[Any, Any]) -> None:
    """0.10: the states of the two built-in callbacks moved from keys of the checkpoint into `callbacks`."""
    moved = {
        "checkpoint_callback_best_model_score": ("ModelCheckpoint", "best_model_score"),
        "checkpoint_callback_best_model_path": ("ModelCheckpoint", "best_model_path"),
        "checkpoint_callback_best": ("ModelCheckpoint", "best_model_score"),
        "early_stop_callback_wait": ("EarlyStopping", "wait_count"),
        "early_stop_callback_patience": ("EarlyStopping", "patience"),
    }
    callbacks = _dict(root, "callbacks") if moved.keys() & root.keys() else {}
    for key, (callback, name) in moved.items():
        if key in root:
            _dict(callbacks, callback)[name] = root.pop(key)
            work.note(f"{key} → callbacks[{callback!r}][{name!r}]")


def callback_classes_as_names(work: Work, root: dict[Any, Any]) -> None:
    """1.5: callbacks are found by text; up to 1.4 the key was the class itself, in `__main__` for a script's own, so that the file could not
    be loaded without it. ModelCheckpoint's text holds its options: they are its defaults, with the monitor and mode that its state tells.
    EarlyStopping's state does not tell what it watches: where its best score is ModelCheckpoint's, the same."""
    callbacks = root.get("callbacks")
    if not isinstance(callbacks, dict):
        return
    names = {key: key.name if type(key) is Global and str(key) not in work.allow else key for key in callbacks}
    saving: Any = next((state for key, state in callbacks.items() if names[key] == "ModelCheckpoint"), None)
    made: dict[Any, Any] = {}
    for key, state in callbacks.items():
        name = names[key]
        new = _state_key(work, name, state, saving) if name in ("ModelCheckpoint", "EarlyStopping") else name
        new = str(key) if new in made else new
        made[new] = state
        if new != key:
            work.note(f"callbacks: {'the class ' if type(key) is Global else ''}{key} → {new!r}")
    root["callbacks"] = made


def _state_key(work: Work, name: str, state: Any, saving: Any) -> str:
    """The text by which Lightning finds the state, where the file tells what is in it."""
    if name == "ModelCheckpoint" and isinstance(state, dict) and "monitor" in state:
        every = {"every_n_train_steps": 0, "every_n_epochs": 1, "train_time_interval": None}
        return f"ModelCheckpoint{ {**_monitored(work, state), **every} }"
    if name == "EarlyStopping" and isinstance(state, dict) and isinstance(saving, dict) and saving.get("monitor"):
        best = _number(work, state.get("best_score"))
        if best is not None and best == _number(work, saving.get("best_model_score")):
            return f"EarlyStopping{_monitored(work, saving)}"
    work.warn(
        f"the state of {name} will not be restored: it does not tell what was monitored, and Lightning since 1.5 finds it by that. "
        f"Rename callbacks[{name!r}] to what the callback has as its state_key to have it back"
    )
    return name


def _monitored(work: Work, saving: dict[Any, Any]) -> dict[str, Any]:
    """What a ModelCheckpoint's state tells of its monitor and mode."""
    monitor = saving["monitor"] if type(saving["monitor"]) is str else None
    best, current = (_number(work, saving.get(name)) for name in ("best_model_score", "current_score"))
    rose = monitor is not None and best is not None and current is not None and best > current
    return {"monitor": monitor, "mode": "max" if rose else "min"}


def fit_loop_from_counts(work: Work, root: dict[Any, Any]) -> None:
    """1.6: progress is in `loops`; before, `epoch` and `global_step` were all. Lightning's migration fills in the optimiser's steps and the
    completed epochs alone, and training then goes on for too many steps; here every count of a finished epoch is there. Saved
    after the end of training, `global_step` was one too many: the optimisers' own steps are believed first."""
    epochs, stored = root.get("epoch"), root.get("global_step")
    if type(epochs) is not int or type(stored) is not int or not 0 <= epochs < 1 << 53 or not 0 <= stored < 1 << 53:
        return
    loops = _dict(root, "loops")
    counted = _optimizer_steps(work)
    steps = stored if counted is None else counted
    if not isinstance(loops.get("fit_loop"), dict):
        loops["fit_loop"] = finished_epochs(epochs, steps, scheduled=bool(root.get("lr_schedulers")))
        work.note(f"fit_loop: {epochs} epochs, {steps} steps")
    else:
        total = _dict(_dict(_dict(_dict(loops["fit_loop"], _OPTIMIZER_OLD), "optimizer"), "step"), "total")
        if not total.get("completed"):
            total.update(ready=steps, completed=steps)
            work.note(f"fit_loop: {steps} steps of the optimisers")
        done = loops["fit_loop"].setdefault("epoch_progress", progress(epochs, wide=True))
        if isinstance(done, dict) and isinstance(done.get("current"), dict) and not done["current"].get("completed"):
            done["current"]["completed"] = epochs
    if steps != stored:
        root["global_step"] = steps
        work.note(f"global_step: {stored} → {steps}, what the optimisers count")


_LOOKED_AT: Final = 64  # parameters of an optimiser: enough to meet one that was trained from the start
_OPTIMIZER_OLD: Final = "epoch_loop.batch_loop.optimizer_loop.optim_progress"


def _optimizer_steps(work: Work) -> int | None:
    """The steps that the optimisers have counted, each its own, as Lightning counts since 1.6; None where one does not count."""
    total = 0
    found = list(optimizers(work.root))
    for optimizer in found:
        states = [state for state in islice(optimizer["state"].values(), _LOOKED_AT) if isinstance(state, dict)]
        counts = [_number(work, state.get("step")) for state in states]
        known = [int(count) for count in counts if count is not None and count == count and 0 <= count < 1 << 53]
        if not known:
            return None
        total += max(known)
    return total if found else None


def _number(work: Work, value: Any) -> float | None:
    if type(value) in (int, float):
        return float(value)
    return scalar(work.checkpoint, value) if type(value) is Call else None


def batches_that_stepped(work: Work, root: dict[Any, Any]) -> None:
    """1.6.5: loggers count batches in a number of their own, which starts where the optimiser's steps are."""
    fit = _dict(root, "loops").get("fit_loop") if root.get("loops") else None
    if isinstance(fit, dict) and "_batches_that_stepped" not in _dict(fit, "epoch_loop.state_dict"):
        fit["epoch_loop.state_dict"]["_batches_that_stepped"] = root.get("global_step", 0)
        work.note("epoch_loop.state_dict: _batches_that_stepped")


def model_checkpoint_key(work: Work, root: dict[Any, Any]) -> None:
    """1.9: `save_on_train_epoch_end` is no longer part of the text that finds ModelCheckpoint's state."""
    callbacks = root.get("callbacks")
    if not isinstance(callbacks, dict):
        return
    new = {
        key: re.sub(", 'save_on_train_epoch_end': (None|True|False)", "", key)
        if type(key) is str and key.startswith("ModelCheckpoint")
        else key
        for key in callbacks
    }
    if len(set(new.values())) < len(callbacks):
        work.warn(
            "two ModelCheckpoints differ in save_on_train_epoch_end alone: their states keep the old keys and are not restored"
        )
        return
    changed = [key for key, after in new.items() if key != after]
    if changed:
        root["callbacks"] = {new[key]: state for key, state in callbacks.items()}
        work.note("callbacks: save_on_train_epoch_end left out of ModelCheckpoint's key", len(changed))


def apex_dropped(work: Work, root: dict[Any, Any]) -> None:
    """2.0: NVIDIA's apex is no longer supported, and its state of no use."""
    if "amp_scaling_state" in root:
        del root["amp_scaling_state"]
        work.note("amp_scaling_state")


def loops_flattened(work: Work, root: dict[Any, Any]) -> None:
    """2.0: the loops over batches, over optimisers and over data loaders are gone, their children moved up. Lightning's migration forgets
    the validation loop within the fit loop; it is moved here as the others are."""
    loops = root.get("loops")
    if not isinstance(loops, dict):
        return
    fit = loops.get("fit_loop")
    if isinstance(fit, dict):
        leftover = fit.pop("epoch_loop.batch_loop.state_dict", None)
        if leftover:
            _dict(fit, "epoch_loop.state_dict")["old_batch_loop_state_dict"] = leftover
        optimizing = fit.get(_OPTIMIZER_OLD)
        if isinstance(optimizing, dict):
            optimizing.pop("optimizer_position", None)
        fit.pop("epoch_loop.val_loop.dataloader_progress", None)
        loops["fit_loop"] = {_moved_up(key): value for key, value in fit.items()}
        if list(loops["fit_loop"]) != list(fit):
            work.note("fit_loop")
    for name in _LOOPS:
        loop = loops.get(name)
        if isinstance(loop, dict) and any(
            key == "dataloader_progress" or str(key).startswith("epoch_loop.") for key in loop
        ):
            loop.pop("dataloader_progress", None)
            loops[name] = {str(key).removeprefix("epoch_loop."): value for key, value in loop.items()}
            work.note(name)


_MOVED: Final = {
    "epoch_loop.batch_loop.optimizer_loop.": "epoch_loop.automatic_optimization.",
    "epoch_loop.batch_loop.manual_loop.": "epoch_loop.manual_optimization.",
    "epoch_loop.optimizer_loop.": "epoch_loop.automatic_optimization.",
    "epoch_loop.manual_loop.": "epoch_loop.manual_optimization.",
    "epoch_loop.val_loop.epoch_loop.": "epoch_loop.val_loop.",
}


def _moved_up(key: Any) -> Any:
    for old, new in _MOVED.items():
        if type(key) is str and key.startswith(old):
            return new + key.removeprefix(old)
    return key


def _dict(owner: Any, key: str) -> dict[Any, Any]:
    """The dict under `key`, put there where there is none."""
    found: Any = owner.get(key)
    made: dict[Any, Any] = found if isinstance(found, dict) else {}
    owner[key] = made
    return made


UPGRADES: Final[dict[str, list[Callable[[Work, dict[Any, Any]], None]]]] = {
    "0.10.0": [early_callback_states],
    "1.5.0": [callback_classes_as_names],
    "1.6.0": [fit_loop_from_counts],
    "1.6.5": [batches_that_stepped],
    "1.9.0": [model_checkpoint_key],
    "2.0.0": [apex_dropped, loops_flattened],
}
