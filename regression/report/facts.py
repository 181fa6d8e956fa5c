"""What the report says, whatever it is written in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from regression.compare.bits import MOST_ULPS
from regression.compare.flatten import values
from regression.compare.judge import Comparison, Divergence
from regression.report.curves import Curves, curves
from regression.report.surroundings import Setting, environment, started
from regression.report.timing import Measured, Timing, measured
from regression.trace import PHASES, Trace

OF_A_PHASE = {
    "start": "weights, buffers and random states before the first step",
    "data": "sampler order and content of each batch",
    "forward": "outputs of the network, modes, random numbers drawn",
    "loss": "loss of each batch",
    "backward": "gradients",
    "clip": "gradients as the optimiser sees them",
    "step": "the optimiser's options and state, weights after the step",
    "schedule": "learning rates and schedulers, loss scale",
    "metrics": "logged values, validation",
    "checkpoint": "files, their content and tensors",
    "end": "when the run stops, states of callbacks",
    "settings": "hyper-parameters, arguments of the Trainer, torch's switches",
}


@dataclass(frozen=True)
class Verdict:
    """`kind`: same, different, or incomparable."""

    kind: str
    title: str
    why: str


@dataclass(frozen=True)
class Cause:
    """What became of a phase: values compared, values that differ, the first step at which one does."""

    phase: str
    compared: int
    differ: int
    first: int | None


@dataclass(frozen=True)
class Facts:
    old: Trace
    new: Trace
    found: Comparison
    timing: Timing | None
    verdict: Verdict
    causes: list[Cause]
    curves: Curves
    environment: list[Setting]
    covered: str
    missing: list[str]
    notes: list[str]


def gather(old: Trace, new: Trace, found: Comparison, throughput: Measured | None) -> Facts:
    timing = measured(throughput) if throughput else None
    drawn = curves(old, new)
    return Facts(
        old=old,
        new=new,
        found=found,
        timing=timing,
        verdict=verdict(found, len(new.steps)),
        causes=causes(found, new),
        curves=drawn,
        environment=[*environment(old, new)],
        covered=covered(old, new),
        missing=[*missing(old, new, found, timing, drawn)],
        notes=[*found.notes, *_not_finite(drawn)],
    )


def verdict(found: Comparison, steps: int) -> Verdict:
    compared = f"{counted(steps, 'step')}, {counted(sum(found.compared.values()), 'value')}"
    if found.incomparable:
        return Verdict("incomparable", "Not comparable", f"{found.incomparable[0].upper()}{found.incomparable[1:]}.")
    if found.first:
        first = found.first
        if first.phase == "settings":
            return Verdict("different", "Different settings", f"{compared} compared: nothing but settings differs.")
        where = f"from step {first.step} on" if first.step else "before the first step"
        return Verdict(
            "different", f"Different {where}", f"{compared} compared. The first cause is in phase {first.phase}."
        )
    if found.noise:
        return Verdict(
            "same", "The same within noise", f"{compared}: none is off that repeated old runs would not explain."
        )
    meant = sum(found.expected.values())
    but = f", but for {meant:,} that are expected to differ" if meant else ""
    return Verdict("same", "The same", f"{compared}: equal bit for bit{but}.")


def causes(found: Comparison, new: Trace) -> list[Cause]:
    """One for each phase, in the order in which a fault spreads."""
    compared = found.compared
    if not compared.keys() <= set(PHASES):  # judged together, within noise
        compared = Counter(phase for record in new.records for phase, _, _ in values(new, record))
    made = []
    for phase in PHASES:
        of_it = [d for d in found.divergences if d.phase == phase]
        differ = sum(1 + d.others for d in of_it)
        made.append(Cause(phase, compared.get(phase, 0), differ, min((d.step for d in of_it), default=None)))
    return made


def covered(old: Trace, new: Trace) -> str:
    """One sentence on what was compared."""
    first = max(old.began, new.began)
    last = min((trace.steps[-1]["step"] for trace in (old, new) if trace.steps), default=0)
    depth = (
        "losses, options and metrics"
        if "light" in _levels(old, new)
        else "every tensor by a hash of its bits, every number exactly"
    )
    return f"Steps {first + 1} to {last}: {depth}."


def missing(old: Trace, new: Trace, found: Comparison, timing: Timing | None, drawn: Curves) -> Iterator[str]:
    """What a reader might take for compared, and is not."""
    sides = (old, new)
    on_gpu = ["gpu" in trace.header["versions"] and trace.header["device"] != "cpu" for trace in sides]
    if not all(on_gpu):
        yield "Not compared on a GPU" + (
            ": only one of the two ran on one." if any(on_gpu) else ": both ran on a processor."
        )
    if "light" in _levels(old, new):
        yield "No tensors: a trace of level light has losses, options and times only."
    for name, trace in zip(("old", "new"), sides, strict=True):
        if not trace.complete:
            last = trace.records[-1]["step"] if trace.records else 0
            yield f"The {name} run did not reach its end: nothing after step {last} was compared."
    if old.began != new.began:
        yield f"One run goes on from a later step: what was before step {max(old.began, new.began) + 1} was not compared."
    if not any(record["phases"].get("metrics", {}).get("logged") for trace in sides for record in trace.records):
        yield "Nothing was logged, so that no metric was compared."
    if not drawn.validated:
        yield "No validation metrics: no validation ran, or it logged nothing."
    if not any(record["record"] == "checkpoint" for trace in sides for record in trace.records):
        yield "No checkpoints: none was saved, or they were not recorded."
    if all(str(started(trace).get("trainer", {}).get("world_size", 1)) == "1" for trace in sides):
        yield "One process each: how several share the data was not compared."
    for name, trace in zip(("old", "new"), sides, strict=True):
        if not trace.deterministic and found.noise is None:
            yield f"The {name} run is not deterministic: a difference may be noise of the device."
    if found.noise is None and not (old.deterministic and new.deterministic):
        yield "The noise between two runs of the old trainer was not measured."
    if found.divergences and found.localized is None:
        yield "The difference was not followed into the network's modules."
    if timing is None:
        yield "Throughput: it was not measured, or its result not given (compare --throughput FILE.json)."
    for name, n in found.expected.items():
        if not n:
            yield f"Expected difference “{name}” did not show."


def _levels(*traces: Trace) -> set[str]:
    return {trace.header["level"] for trace in traces}


def _not_finite(drawn: Curves) -> Iterator[str]:
    for side, losses in (("old", drawn.loss.old), ("new", drawn.loss.new)):
        bad = [x for x, value in zip(drawn.loss.x, losses, strict=True) if not math.isfinite(value)]
        if bad:
            yield f"the {side} run has no finite loss at {counted(len(bad), 'step')}, the first is {bad[0]}"


def settings_that_differ(found: Comparison) -> list[Divergence]:
    """Beside the first difference: they are often why."""
    return [d for d in found.divergences[1:] if d.phase == "settings"]


def sides_of(divergence: Divergence) -> tuple[str, str]:
    """Both values with all their digits."""
    return str(divergence.old), str(divergence.new)


def distance(divergence: Divergence) -> str:
    """How far apart, in words."""
    if divergence.max_abs is None:
        return ""
    if divergence.max_abs == 0:
        return "the norms are equal to six digits, the bits are not"
    parts = [f"{divergence.max_abs:.3g} absolute"]
    if divergence.relative is not None:
        parts.append(f"{divergence.relative:.3g} relative")
    if divergence.ulps is not None and divergence.ulps <= MOST_ULPS:
        parts.append(f"{divergence.ulps:,} ulp")
    return ", ".join(parts)


def counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
