"""What the old trainer got wrong, each thing behind a switch of its own.

All switches are off by default; `Compat.all()` is the old trainer, bit for bit. The table in the documentation is made from
`FLAGS`, and the quirk's number is the one of the regression suite.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def _flag(quirk: str, old: str, new: str) -> bool:
    """A switch, off, with what it switches between; declared `bool` for the dataclass's sake."""
    flag: bool = field(default=False, metadata={"quirk": quirk, "old": old, "new": new})
    return flag


@dataclass(frozen=True)
class Flag:
    """A row of the documentation's table."""

    name: str
    quirk: str
    old: str
    new: str


@dataclass(frozen=True)
class Compat:
    """One switch for each quirk; True gives the old behaviour."""

    core_lr_scale_ignored: bool = _flag(
        "Q1", "core_lr_scale has no effect", "the core's learning rate is lr times core_lr_scale"
    )
    pretrained_loads_nothing: bool = _flag(
        "Q2",
        "a pretrained checkpoint's keys never match, nothing is loaded, freeze_vision freezes random weights",
        "keys match whatever wrapped the network, what was loaded is reported and frozen, no match is an error",
    )
    weight_decay_on_regularized: bool = _flag(
        "Q3",
        "parameters of an l2 or group_lasso regularizer get weight decay all the same",
        "they are kept out of the weight decay",
    )
    prox_per_group: bool = _flag(
        "Q4",
        "proximal updates run once for each parameter group, with that group's learning rate",
        "once a step, each parameter with the learning rate of its own group",
    )
    step_without_closure: bool = _flag(
        "Q5",
        "the closure runs before the optimiser's step; a gradient scaler then never steps",
        "the optimiser gets the closure, and proximal updates follow real steps only",
    )
    sync_every_step: bool = _flag(
        "Q6",
        "the step waits for the device to look at losses, dataset indices and penalties, and prints",
        "nothing in a training step waits for the device",
    )
    heartbeat_key_never_logged: bool = _flag(
        "Q7", "train_loss is never logged, the heartbeat has no number to show", "train_loss is logged every epoch"
    )
    unshuffled_without_process_group: bool = _flag(
        "Q8",
        "without a process group the samples come in order, one dataset after the other",
        "they are shuffled, in the order that a process group of one would give",
    )
    plateau_verbose: bool = _flag(
        "Q9", "the plateau schedule asks for `verbose`, which current torch refuses", "it does not"
    )
    curriculum_never_anneals: bool = _flag(
        "Q10",
        "the curriculum never learns the step, is sharded twice, scores by raw frame, and weights validation too",
        "it learns the step at every epoch, is sharded once, scores by the sample's frame, in training only",
    )
    fork_only_workers: bool = _flag(
        "Q11", "the tagged dataset is a class local to a method, so workers need fork", "it can be pickled"
    )
    warmup_starts_at_zero: bool = _flag(
        "Q12",
        "cosine_warmup trains the first epoch at learning rate 0 and divides by zero when warm-up is the whole run",
        "the warm-up starts at base / warmup_epochs and may last as long as the run",
    )
    pooled_bps: bool = _flag(
        "Q13",
        "a one-column mask pools the cells of a dataset; cells are clamped at 0, silent ones count, ranks are averaged",
        "bits per spike of each cell over the samples of all ranks; silent cells are left out, negative ones count",
    )
    nan_of_dead_cells: bool = _flag(
        "trap 1",
        "a cell without a valid sample makes the bits per spike of its dataset, and of all, NaN",
        "it is left out of the mean, as in the lab's own later copy",
    )
    nan_under_mask_skips: bool = _flag(
        "Q14",
        "a NaN target under a zero mask makes the dataset's whole batch be skipped",
        "what the mask hides is not looked at",
    )
    aux_last_dataset_only: bool = _flag(
        "Q15",
        "the predictive-coding loss sees only the last dataset of a batch",
        "it is the mean over the datasets of the batch",
    )
    validation_reshuffled: bool = _flag(
        "Q16",
        "5 % of the validation batches, other ones every epoch",
        "5 % of the validation samples, of every dataset, the same ones every epoch",
    )
    ramp_off_after_end: bool = _flag(
        "Q17",
        "linear_ramp falls back to 0 after its end, an unknown regularizer type does nothing",
        "it holds lambda, and an unknown type is an error",
    )
    hyper_parameters_lost: bool = _flag(
        "Q18",
        "load_from_checkpoint loses scheduler, warm-up and core_lr_scale; no config's content is kept",
        "all of them are hyper-parameters, and the checkpoint holds the configs",
    )
    unseeded: bool = _flag(
        "Q19",
        "weights are drawn unseeded, and setting up the data seeds every global generator",
        "weights are drawn from the run's seed, and the data touch no global generator",
    )
    default_logger_on_other_ranks: bool = _flag(
        "Q20", "ranks other than 0 get Lightning's default logger", "they get none"
    )
    float32_stimulus: bool = _flag(
        "Q21", "the stimulus is kept as float32, four times the memory", "it is kept as it was recorded, uint8"
    )
    normalise_last: bool = _flag(
        "Q21", "pixelnorm is applied after the ops it should precede", "ops are applied in the order they are written"
    )
    downsample_averages_indices: bool = _flag(
        "C31",
        "downsampling averages trial indices, so that a frame can belong to half a trial",
        "indices are decimated, not averaged",
    )
    old_networks: bool = _flag(
        "D34",
        "the networks run the lags backwards, blur off centre and start at other scales",
        "as written in the model config's own `compat`, by default none of it",
    )

    @classmethod
    def all(cls) -> Compat:
        """The old trainer."""
        return cls(**{flag.name: True for flag in FLAGS})

    @classmethod
    def parse(cls, given: Any) -> Compat:
        """`"all"`, `""` or None, `"a,b"`, a list of names, or a mapping from name to bool, as a Compat.

        In a list or mapping, too, `all` means every flag, and what else a mapping says overrides it. Raises ValueError: not a flag,
        with the nearest name; not a bool.
        """
        if isinstance(given, cls):
            return given
        chosen = {name.strip(): value for name, value in _pairs(given)}
        everything = chosen.pop("all", False)
        known = [flag.name for flag in FLAGS]
        for name, value in chosen.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"; did you mean {close[0]!r}?" if close else f"; the flags are {', '.join(known)}"
                raise ValueError(f"compat: there is no flag {name!r}{hint}")
            if not isinstance(value, bool):
                raise ValueError(f"compat.{name}: true or false is expected, {value!r} found")
        if not isinstance(everything, bool):
            raise ValueError(f"compat.all: true or false is expected, {everything!r} found")
        return cls(**{**dict.fromkeys(known, everything), **chosen})

    def names(self) -> list[str]:
        """The switches that are on, in the order of their declaration; `parse` reads it."""
        return [flag.name for flag in FLAGS if getattr(self, flag.name)]


def _pairs(given: Any) -> Iterable[tuple[str, Any]]:
    if given is None:
        return []
    if isinstance(given, str):
        given = [name for name in given.split(",") if name.strip()]
    if isinstance(given, Mapping):
        return [(str(name), value) for name, value in given.items()]
    if isinstance(given, Iterable):
        return [(str(name), True) for name in given]
    raise ValueError(f"compat: names of flags, a list or a mapping of them is expected, {given!r} found")


FLAGS: tuple[Flag, ...] = tuple(Flag(item.name, **item.metadata) for item in fields(Compat))


def markdown_table() -> str:
    """The flags as docs/compat.md shows them."""
    rows = [f"| `{flag.name}` | {flag.quirk} | {flag.old} | {flag.new} |" for flag in FLAGS]
    return "\n".join(["| flag | quirk | the old trainer | by default |", "| --- | --- | --- | --- |", *rows])
