"""What a Trainer, its optimiser and its loaders are like right now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from regression.recorder.content import leaves, plain, random_states
from regression.recorder.environment import flags
from regression.trace import Record


def named(parts: Any) -> Iterator[tuple[str, Tensor]]:
    """Under the names they have without torch.compile."""
    for name, tensor in parts:
        yield name.replace("_orig_mod.", ""), tensor


def options(optimizer: Any) -> Record:
    """Every option of every parameter group, and how many parameters it has."""
    made = {}
    for i, group in enumerate(optimizer.param_groups):
        made[str(i)] = {key: plain(value) for key, value in group.items() if key not in ("params", "param_names")}
        made[str(i)]["parameters"] = len(group["params"])
    return made


def optimizer_state(optimizer: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that an optimiser keeps, by the number of its parameter."""
    i = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for key, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    yield f"{i}.{key}", value
            i += 1


def averages(trainer: Any) -> Iterator[tuple[str, Tensor]]:
    """The weights that a callback averages beside the module's."""
    for callback in trainer.callbacks:
        for name, value in vars(callback).items():
            if isinstance(value, AveragedModel):
                for key, tensor in named(value.state_dict().items()):
                    yield f"{type(callback).__name__}.{name}.{key}", tensor


def shortened(record: Record) -> Record:
    """A table equal to an earlier one of the same record is told by that one's phase."""
    seen: list[tuple[str, Any]] = []
    for phase, quantities in record["phases"].items():
        for quantity, value in quantities.items():
            if isinstance(value, dict) and "hash" in value:
                same = next((name for name, table in seen if table == value), None)
                if same is not None:
                    quantities[quantity] = {"as": same}
                else:
                    seen.append((f"{phase}.{quantity}", value))
    return record


def served(trainer: Any) -> Any:
    """The indices that made the batch, of every loader whose sampler was listened to."""
    combined = getattr(trainer.fit_loop, "_combined_loader", None)
    iterators = getattr(getattr(combined, "_iterator", None), "iterators", None) or []
    order = []
    for iterator in iterators:
        handed = getattr(iterator, "_regression_handed", None)
        order.append(plain(handed.pop(0)) if handed else None)
    return order


def metrics(metrics: Any) -> Record:
    """Values as JSON has them."""
    return {key: plain(value) for key, value in metrics.items()}


def callback_states(trainer: Any) -> Iterator[tuple[str, Any]]:
    """What callbacks would keep in a checkpoint, where it is anything."""
    for callback in trainer.callbacks:
        state = callback.state_dict()
        if state:
            yield callback.state_key.replace("'", ""), state


def trainer_settings(trainer: Any) -> Record:
    """The Trainer's arguments that decide what is trained."""
    kept = (
        "max_epochs",
        "max_steps",
        "min_epochs",
        "accumulate_grad_batches",
        "gradient_clip_val",
        "gradient_clip_algorithm",
        "precision",
        "check_val_every_n_epoch",
        "val_check_interval",
        "log_every_n_steps",
        "limit_train_batches",
        "limit_val_batches",
        "num_sanity_val_steps",
        "world_size",
    )
    return {name: plain(getattr(trainer, name, None)) for name in kept}


def settings_of(trainer: Any, module: Any) -> Record:
    """What a run is asked to be."""
    settings: Record = {
        "hyper_parameters": _kept(dict(module.hparams)),
        "flags": flags(),
        "trainer": trainer_settings(trainer),
    }
    data = getattr(trainer, "datamodule", None)
    if data is not None and getattr(data, "hparams", None):
        settings["data_hyper_parameters"] = _kept(dict(data.hparams))
    return settings


def end_of(trainer: Any, module: Any) -> Record:
    """What it came to."""
    return {
        "stopped": {"epoch": trainer.current_epoch, "global_step": trainer.global_step},
        "hyper_parameters": _kept(dict(module.hparams)),
        "callbacks": {name: _kept(state) for name, state in callback_states(trainer)},
        "random": random_states(),
    }


def schedule_of(trainer: Any) -> Record:
    """What the next step will be made with."""
    made: Record = {f"options of {i}": options(optimizer) for i, optimizer in enumerate(trainer.optimizers)}
    for i, config in enumerate(trainer.lr_scheduler_configs):
        state = config.scheduler.state_dict() if hasattr(config.scheduler, "state_dict") else {}
        made[f"scheduler {i}"] = _kept(
            {key: part for key, part in state.items() if key != "_get_lr_called_within_step"}
        )
        made[f"scheduler {i}"]["interval"] = f"{config.interval} × {config.frequency}"
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is not None:
        made["scaler"] = _kept(scaler.state_dict())
    return made


def _kept(value: Any) -> Record:
    return {path: plain(leaf) for path, leaf in leaves(value)}
