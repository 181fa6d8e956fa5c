"""One fault a run: what it is, where it is first seen, and what it is said to be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from regression import trace
from regression.cli import main
from regression.compare.cli import localized
from regression.compare.comparable import started
from regression.compare.difference import first_difference
from regression.compare.expected import Expected
from regression.compare.judge import compare
from regression.compare.localize import bad_step
from regression.trace import Trace

ROOT = Path(__file__).parents[2]
Tiny = Callable[..., Trace]

# fault → step, phase, quantity, a word of the explanation
FAULTS = {
    "ulp": (0, "start", "parameters", "initialisation"),
    "swapped": (7, "data", "content", "same samples"),
    "swapped in the second epoch": (11, "data", "content", "same samples"),
    "order": (1, "data", "order", "sampler order"),
    "draws": (1, "forward", "random", "dropout"),
    "eval": (1, "forward", "outputs", "dropout"),
    "loss": (1, "loss", "loss", "reduction"),
    "detach": (1, "backward", "gradients", "detach"),
    "gradient": (1, "clip", "gradients", "clipping"),
    "rate": (1, "step", "options", "learning rate"),
    "after the step": (1, "step", "parameters", "after the step"),
    "schedule": (1, "schedule", "scheduler 0", "learning rates differ after step 8 (epoch 0)"),
    "key": (1, "metrics", "logged", "one side only"),
    "on epoch": (1, "metrics", "logged", "on_epoch"),
    "metric": (8, "metrics", "logged", "computed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_where_it_is(tiny: Tiny, fault: str) -> None:
    step, phase, quantity, word = FAULTS[fault]
    first = compare(tiny(), tiny("--fault", fault)).first
    assert first is not None and (first.step, first.phase, first.quantity) == (step, phase, quantity), str(first)
    assert word in first.meaning


def test_a_checkpoint_that_lacks_a_weight(tiny: Tiny) -> None:
    first = compare(tiny("--save"), tiny("--save", "--fault", "checkpoint")).first
    assert first and (first.phase, first.name, first.new) == ("checkpoint", "state_dict.head.bias", "absent")


def test_the_same_again(tiny: Tiny) -> None:
    found = compare(tiny("--save"), tiny("--save", again=1))
    assert found.same and sum(found.compared.values()) > 1000


def test_a_setting_is_told_and_its_effect_comes_first(tiny: Tiny) -> None:
    found = compare(tiny(), tiny("--lr", "0.1000001"))
    assert found.first and (found.first.step, found.first.phase) == (1, "step")
    assert found.first.relative == pytest.approx(1e-6, rel=1e-3)
    assert [d.name for d in found.divergences if d.phase == "settings"] == ["lr"]


def test_what_is_expected_is_no_divergence_and_is_counted(tiny: Tiny) -> None:
    rules = [Expected("renamed", "metrics", "*", "*loss*", ""), Expected("never", "loss", "*", "*", "")]
    found = compare(tiny(), tiny("--fault", "key"), rules)
    assert found.same and found.expected["renamed"] > 16 and found.expected["never"] == 0


def test_the_first_module_that_differs_is_found_by_running_both_again(tiny: Tiny) -> None:
    old, new = tiny(), tiny("--fault", "swapped")
    place = localized(old, new, compare(old, new)).localized
    assert place and (place["step"], place["kind"], place["name"]) == (7, "batch", "0"), place


@pytest.mark.parametrize(
    "fault, kind, name",
    [("detach", "backward", "body"), ("eval", "forward", "body.2"), ("rate", "parameter", "body.0.weight")],
)
def test_the_first_module_that_differs(tiny: Tiny, fault: str, kind: str, name: str) -> None:
    """In what running both again up to the first step leaves."""
    old, new = tiny(), tiny("--fault", fault)
    bad = bad_step(compare(old, new))
    assert bad and bad.step == 1
    again = (tiny(*told, tensors=(1, 1), save=False) for told in ((), ("--fault", fault)))
    files = [Path(f"{made.path}.tensors") / "step-1.safetensors" for made in again]
    order = [name for _, quantity, name in started(old) if quantity == "parameters"]
    place = first_difference(files[0], files[1], 1, order)
    assert place and (place.kind, place.name) == (kind, name), place
    if fault == "rate":
        assert place.ulps and 0 < place.ulps < 100 and place.max_abs < 1e-6


def regression(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "regression", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


def compared(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit status and what is told on stderr, without a start of Python."""
    status = main(["compare", *map(str, arguments)])
    return status, capsys.readouterr().err


def test_the_command_says_same_and_different(tiny: Tiny) -> None:
    done = regression("compare", tiny().path, tiny(again=1).path)
    assert done.returncode == 0 and done.stdout.startswith("same: 16 steps"), done.stderr
    done = regression("compare", tiny().path, tiny("--fault", "loss").path, "--json", "--no-replay")
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["first"]["phase"] == "loss" and told["first"]["ulps"] > 0


def test_lengths(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = compared(capsys, tiny().path, tiny(steps=3).path)
    assert status == 2 and "16 steps and the new one 3" in told and "--steps 3" in told


def test_models(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = compared(capsys, tiny().path, tiny("--width", "9").path, "--no-replay")
    assert status == 2 and "body.0.weight is float32 [8, 4]" in told


def test_versions(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tiny().path.read_text().splitlines(keepends=True)
    header = json.loads(lines[0])
    header["versions"]["torch"] = "1.0"
    (tmp_path / "older.trace").write_text(json.dumps(header) + "\n" + "".join(lines[1:]))
    status, told = compared(capsys, tmp_path / "older.trace", tiny().path)
    assert status == 2 and "torch was 1.0" in told


def test_a_run_that_was_killed_can_be_compared_as_far_as_it_went(tiny: Tiny, tmp_path: Path) -> None:
    lines = tiny().path.read_text().splitlines(keepends=True)
    (tmp_path / "killed.trace").write_text("".join(lines[:20]) + lines[20][:30])
    killed = trace.read(tmp_path / "killed.trace")
    assert not killed.complete and 0 < len(killed.steps) < 16
    found = compare(tiny(), killed)
    assert not found.divergences and f"ends after step {len(killed.steps)}" in found.incomparable


def test_not_deterministic_and_no_noise_measured(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    traces = (tiny(*told, deterministic=False).path for told in ((), ("--fault", "loss")))
    status, told = compared(capsys, *traces)
    assert status == 2 and "--noise" in told


def test_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("hello\n")
    for file, word in (("nowhere", "no trace"), ("text", "line 1")):
        status, told = compared(capsys, tmp_path / file, tmp_path / file)
        assert status == 2 and word in told and "Traceback" not in told
