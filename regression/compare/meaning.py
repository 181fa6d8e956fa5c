"""What a first divergence usually means, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from regression.compare.cause import base

if TYPE_CHECKING:
    from regression.compare.judge import Divergence

# of each step, the phases and quantities that were recorded
Recorded = Mapping[int, set[tuple[str, str]]]


def meaning(of: Divergence, all_of_them: Sequence[Divergence], recorded: Recorded) -> str:
    """A sentence for the divergence, in the light of what else differs in its step, and of what was recorded there: what was not is not said to be equal."""
    there = {(d.phase, d.quantity) for d in all_of_them if d.step == of.step}
    absent = "absent" in (of.old, of.new)
    known = {(phase, base(quantity)) for phase, quantity in recorded.get(of.step, ())}
    first_step = of.step == min(recorded, default=of.step)
    match of.phase, base(of.quantity):
        case "start", "parameters":
            return "the weights differ before the first step: seed, order in which the layers are made, initialisation, or what was loaded"
        case "start", "buffers":
            return "a buffer differs before the first step: how it is computed, or what was loaded"
        case "settings", "flags" if of.step:
            return "a global switch of torch is set otherwise once training has begun: a hook, a callback, or a library sets it"
        case "settings", "flags":
            return (
                "a global switch of torch is set otherwise: a statement of the script's module level was lost or moved"
            )
        case "settings", "hyper_parameters" | "data_hyper_parameters":
            return "a hyper-parameter differs: an option's default, its name, or what save_hyperparameters sees"
        case "settings", "trainer":
            return "the Trainer is made with another argument: an option's default, or one that is not passed on"
        case "start", "random":
            return "the random state differs before the first step: something draws once more, or once less, or a seed moved"
        case "data", "position":
            return "the batches are counted otherwise: another number of them an epoch, or an epoch less"
        case "data", "order":
            return "sampler order differs: seed, epoch, or shard of the sampler"
        case "data", "content":
            if ("data", "order") in there:
                return "the samples are others because the sampler's order is"
            return "the same samples have other content: dataset, transform, collate, or dtype"
        case "data", "random":
            return "the random state differs before the forward pass: the loader, or a callback, draws otherwise"
        case "forward", "evaluating":
            return "a module is in the other mode: train() or eval() was called, or no longer is"
        case "forward", "frozen":
            return "another set of parameters is trained: requires_grad"
        case "forward", "outputs" if ("forward", "random") in there:
            return (
                "another output, and another number of random numbers drawn on the way to it: dropout, noise, or mode"
            )
        case "forward", "outputs" if first_step:
            return (
                "equal data give another output in the first step: the network's forward pass, its dtype or autocast region, "
                "or the weights at the start differ, changed by a hook after they were recorded (on_train_start, on_train_batch_start)"
            )
        case "forward", "outputs":
            return (
                "equal data and weights give another output: the network's forward pass, its dtype or autocast region"
            )
        case "forward", "random":
            return "the forward pass draws another number of random numbers: dropout, noise, or mode"
        case "loss", _ if ("forward", "outputs") not in known:
            return "the loss differs, and no output of the network was recorded before it: forward pass, loss function, or the weights at the start"
        case "loss", _:
            return "the network's output is equal and the loss is not: loss function, mask, reduction, clamp or regulariser"
        case "backward", _:
            if absent:
                return (
                    "a parameter has a gradient on one side only: detach, requires_grad, or a branch that is not used"
                )
            if ("loss", "loss") not in known:
                return "the first gradient differs, and no loss was recorded: forward pass, loss, detach or a custom backward"
            return "first gradient differs while the loss is equal: detach or a custom backward, or a gradient left over from the step before"
        case "clip", _ if ("backward", "gradients") not in known:
            return "gradients differ as the optimiser sees them, and were not recorded before: forward pass, loss, backward, or clipping"
        case "clip", _:
            return "gradients are equal before clipping and differ after it: clipping value or algorithm, scaler, or a hook before the step"
        case "step", "options":
            return "the optimiser steps with another option: learning rate, weight decay, betas, or how parameters are grouped"
        case "step", "optimizer_state":
            return "gradients and options are equal, the optimiser's state is not: another optimiser, its order of parameters, or its state on resume"
        case "step", "parameters":
            return "the optimiser's state is equal, the weights after the step are not: a proximal update, a hook after the step, or zeroed gradients"
        case "step", "buffers":
            return "a buffer is updated otherwise: running statistics, or an average of the weights"
        case "schedule", _:
            rates = next((d for d in all_of_them if d.phase == "schedule" and d.quantity.startswith("options")), None)
            if rates is None:
                return "the scheduler's state differs, the learning rates that it gave do not: how it is made, or what it keeps"
            return f"learning rates differ after step {rates.step} (epoch {rates.epoch}): schedule, its interval, or the metric that it watches"
        case "metrics", _:
            if absent and ": " not in of.name:
                return "a value is logged on one side only: its key, its hook, or on_step/on_epoch"
            if ": " in of.name:
                return "a value is logged with another option: on_step, on_epoch, sync_dist or reduce_fx"
            return "training is equal and a logged value is not: how the metric is computed, reduced or averaged, or which batches it sees"
        case "checkpoint", _:
            return "a checkpoint's file or content differs: what is saved, when, under which name, or which are kept"
        case "end", _:
            return "the run ends otherwise: when it stops, or the state that a callback ends in"
    return ""
