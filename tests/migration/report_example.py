"""A small migration made by hand: a script loses two classes to new modules, its copy goes, its callers follow."""

from __future__ import annotations

from migration.gates import Failure, Verdict
from migration.outcome import Finding, Moved, Outcome
from migration.plan import Plan
from migration.report import Report
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of

BEAT = 'class Beat:\n    """Says that it is alive."""\n\n    every = 10\n'
SAMPLER = "class Sampler:\n    weight = 2\n"
TRAIN = f"import os\n\n\n{BEAT}\n\n{SAMPLER}\n\ndef main():\n    print(os.getcwd(), Beat, Sampler)\n"
FILES: dict[str, str | bytes] = {
    "training/train.py": TRAIN,
    "jake/train.py": TRAIN.replace("weight = 2", "weight = 3"),
    "jake/run.sh": "#!/bin/sh\npython train.py --n 3\n",
    "jake/look.py": "from train import Sampler\n",
    "conf/a.yaml": "_target_: training.train.Sampler\n",
    "README.md": "Run training/train.py\n",
}
HOLDS = Verdict("parses", "Every touched file parses", [])


def plan() -> Plan:
    return plan_of(
        {
            "id": "1.1",
            "title": "Remove the copy",
            "kind": "remove-duplicate",
            "duplicate": "jake/train.py",
            "canonical": "training/train.py",
        },
        {
            "id": "3.4",
            "title": "Extract the sampler",
            "kind": "extract-symbols",
            "source": "training/train.py",
            "target": "training/samplers.py",
            "symbols": ["Sampler"],
            "risk": "medium",
        },
        {
            "id": "3.5",
            "title": "Extract the callback",
            "kind": "extract-symbols",
            "source": "training/train.py",
            "target": "training/callbacks.py",
            "symbols": ["Beat"],
        },
    )


def outcomes() -> dict[str, Outcome]:
    first = TRAIN.replace(f"{SAMPLER}\n\n", "").replace(
        "import os\n", "import os\nfrom training.samplers import Sampler\n"
    )
    second = first.replace(f"{BEAT}\n\n", "").replace("import os\n", "import os\nfrom training.callbacks import Beat\n")
    callers = {
        "jake/train.py": None,
        "jake/run.sh": b"#!/bin/sh\npython training/train.py --n 3\n",
        "jake/look.py": b"from training.train import Sampler\n",
        "conf/a.yaml": b"_target_: training.samplers.Sampler\n",
    }
    found = [
        Finding("warning", "jake/run.sh", 2, "runs `train.py` with 3 workers"),
        Finding("warning", "jake/look.py", 1, "runs `look.py` with 4 workers"),
        Finding(
            "behaviour",
            "training/train.py",
            13,
            "`Sampler.weight` is taken over",
            "    weight = 2\n",
            "    weight = 3\n",
        ),
    ]
    return {
        "1.1": Outcome("done", "pointed 3 files at `training/train.py`", callers, {}, found),
        "3.4": Outcome(
            "done",
            "moved 1",
            {"training/samplers.py": SAMPLER.encode(), "training/train.py": first.encode()},
            moved=[Moved("Sampler", "training/train.py", "training/samplers.py", (10, 11), SAMPLER)],
        ),
        "3.5": Outcome(
            "done",
            "moved 1",
            {"training/callbacks.py": BEAT.encode(), "training/train.py": second.encode()},
            moved=[Moved("Beat", "training/train.py", "training/callbacks.py", (4, 7), BEAT)],
        ),
    }


def example(verdicts: list[Verdict] | None = None, *, applied: bool = True) -> Report:
    return made(FILES, plan(), outcomes(), verdicts if verdicts is not None else [HOLDS], applied=applied)


def failing() -> Verdict:
    return Verdict(
        "cycles",
        "No import cycle that was not there",
        [
            Failure("training/callbacks.py", 3, "imports `training.train`, which imports it", True),
            Failure("jake/look.py", 1, "parses slowly", False),
        ],
    )


def made(
    files: dict[str, str | bytes],
    plan: Plan,
    outcomes: dict[str, Outcome],
    verdicts: list[Verdict],
    *,
    applied: bool = True,
) -> Report:
    """The report of hand-made outcomes over a small tree."""
    before = overlay(files)
    after = Overlay(before)
    for outcome in outcomes.values():
        after.edit(outcome.edits, outcome.modes)
    return Report.build(plan, before, after, outcomes, verdicts, applied=applied, seconds=1.25)
