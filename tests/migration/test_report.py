"""The one structure behind every form of the report."""

from __future__ import annotations

import json

from migration.outcome import Finding, Outcome
from tests.migration.report_example import FILES, HOLDS, SAMPLER, example, failing, made, outcomes, plan
from tests.migration.support import plan_of


def decision() -> dict[str, Outcome]:
    return {
        "1.1": Outcome(
            "kept",
            "they differ",
            findings=[
                Finding("decision", "jake/train.py", 13, "`Sampler.weight` differs", "weight = 2\n", "weight = 3\n")
            ],
        )
    }


def test_each_step_counts_its_own_lines_where_two_edit_one_file() -> None:
    steps = example().to_json()["steps"]
    train = [file for step in steps for file in step["files"] if file["path"] == "training/train.py"]
    assert train == [
        {"path": "training/train.py", "change": "modified", "added": 1, "removed": 4},
        {"path": "training/train.py", "change": "modified", "added": 1, "removed": 6},
    ]


def test_files_say_what_became_of_them() -> None:
    assert {f["path"]: f["change"] for f in example().to_json()["files"]} == {
        "conf/a.yaml": "modified",
        "jake/look.py": "modified",
        "jake/run.sh": "modified",
        "jake/train.py": "deleted",
        "training/callbacks.py": "created",
        "training/samplers.py": "created",
        "training/train.py": "modified",
    }


def test_an_edit_that_changes_nothing_is_no_change() -> None:
    step = {"kind": "entry-point", "file": "training/train.py", "max_lines": 9, "symbols_left": []}
    report = made(
        FILES, plan_of(step), {"1": Outcome("already done", edits={"README.md": b"Run training/train.py\n"})}, [HOLDS]
    )
    assert report.files == [] and report.steps[0].files == []
    assert report.headline == "Nothing to do"


def test_a_moved_definition_has_both_places() -> None:
    moved = example().to_json()["steps"][1]["moved"][0]
    assert moved["source"] == {"path": "training/train.py", "lines": [10, 11]}
    assert moved["target"] == {"path": "training/samplers.py", "lines": [1, 2]}
    assert moved["intact"] is True and len(moved["sha256"]) == 12


def test_a_definition_whose_text_changed_on_the_way_is_not_intact() -> None:
    changed = outcomes()
    changed["3.4"].edits["training/samplers.py"] = SAMPLER.replace("2", "7").encode()
    moved = made(FILES, plan(), changed, [HOLDS]).steps[1].moved[0]
    assert not moved.intact and moved.target_lines == (1, 2)


def test_carriage_returns_in_the_new_home_do_not_make_a_text_another_one() -> None:
    changed = outcomes()
    changed["3.4"].edits["training/samplers.py"] = SAMPLER.replace("\n", "\r\n").encode()
    assert made(FILES, plan(), changed, [HOLDS]).steps[1].moved[0].intact


def test_the_json_has_the_promised_keys_and_is_json() -> None:
    data = json.loads(json.dumps(example([HOLDS, failing()]).to_json()))
    assert {
        "plan",
        "repo",
        "applied",
        "ok",
        "steps",
        "gates",
        "decisions",
        "behaviour_changes",
        "files",
        "seconds",
        "next",
    } <= set(data)
    assert set(data["plan"]) == {"name", "title", "digest", "file"}
    assert data["gates"][1] == {
        "name": "cycles",
        "claim": "No import cycle that was not there",
        "holds": False,
        "failures": [
            {
                "path": "training/callbacks.py",
                "line": 3,
                "message": "imports `training.train`, which imports it",
                "fatal": True,
            },
            {"path": "jake/look.py", "line": 1, "message": "parses slowly", "fatal": False},
        ],
    }
    assert [c["message"] for c in data["behaviour_changes"]] == ["`Sampler.weight` is taken over"]


def test_the_verdict_follows_gates_and_decisions() -> None:
    assert (example().ok, example().headline) == (True, "Applied")
    assert example(applied=False).headline == "Ready to apply"
    refused = example([HOLDS, failing()], applied=False)
    assert (refused.ok, refused.headline) == (False, "A gate does not hold")
    asked = made(FILES, plan(), decision(), [], applied=False)
    assert (asked.ok, asked.headline, [s.step.id for s in asked.steps]) == (False, "A decision is needed", ["1.1"])


def test_a_warning_of_a_gate_does_not_stop_anything() -> None:
    only_warning = failing().__class__("cycles", "claim", failing().failures[1:])
    assert example([only_warning]).ok


def test_what_to_do_next_fits_the_verdict() -> None:
    done = " ".join(example().next)
    assert "report.html" in done and "migration rollback --repo" in done and "git -C" not in done
    ready = example(applied=False).next
    assert "migration diff" in ready[0] and "migration apply" in ready[1] and "--plan test.toml" in ready[1]
    assert "unchanged" in example([failing()], applied=False).next[0]
    assert "step 1.1" in made(FILES, plan(), decision(), [], applied=False).next[0]
    assert "on_divergence" in made(FILES, plan(), decision(), [], applied=False).next[0]


def test_the_totals_count_steps_that_do_something() -> None:
    assert example().totals == "3 of 3 steps changed 7 files (+11 -28 lines), 1 of 1 gate hold, 1.2 s"
