"""rewrite-paths: what runs a script is rewritten, everything else keeps its bytes."""

from __future__ import annotations

from typing import Any

import pytest

from migration.codemods import Outcome
from migration.errors import BadInput
from tests.migration.support import overlay, plan_of, run

STEP = {"kind": "rewrite-paths", "files": ["exp/*.sh"], "from": "train.py", "to": "training/train.py"}


def outcome(tree_files: dict[str, str | bytes], /, **fields: Any) -> Outcome:
    """Run the step; a second run must change nothing."""
    tree, plan = overlay({"training/train.py": "", **tree_files}), plan_of({**STEP, **fields})
    first = run(tree, plan)["1"]
    again = run(tree, plan)["1"]
    assert not again.edits
    assert again.status == ("already done" if first.status in ("done", "already done") else first.status)
    return first


def after(text: str, **fields: Any) -> str:
    edited = outcome({"exp/run.sh": text}, **fields).edits.get("exp/run.sh", text)
    return edited.decode() if isinstance(edited, bytes) else str(edited)


def test_calls_commented_calls_and_calls_in_strings_are_rewritten() -> None:
    before = """\
#!/bin/bash
run() {
    # python train.py \\
    #     --model_config "$1" \\
    #     --num_gpus 2

    python train.py \\
        --model_config "$1" \\
        --num_gpus $N \\
        # --compile
    local CMD="python train.py \\
        --model_config \\"$1\\""
    CMD="$CMD --compile"
    eval $CMD
}
"""
    assert after(before) == before.replace("train.py", "training/train.py")


def test_what_only_looks_at_the_file_or_removes_it_stays_and_is_reported() -> None:
    before = 'OLD="train.py"\nif [[ -f train.py ]]; then rm "$OLD"; fi\npython train.py\n# train.py is old\n'
    result = outcome({"exp/run.sh": before})
    assert result.edits["exp/run.sh"] == before.replace("python train.py", "python training/train.py").encode()
    assert [(f.line, f.level) for f in result.findings if f.level != "change"] == [
        (1, "note"),
        (2, "note"),
        (4, "note"),
    ]


@pytest.mark.parametrize(
    "before",
    [
        'SCRIPT=train.py\npython "$SCRIPT"\n',
        'echo "try: python train.py --help"\n',
        'echo "see train.py --help"\n',
        "for s in train.py; do python $s; done\n",
    ],
)
def test_variables_that_are_run_and_shown_commands_are_rewritten(before: str) -> None:
    assert after(before) == before.replace("train.py", "training/train.py")


@pytest.mark.parametrize(
    "before", ["python a/train.py\n", "python my_train.py\n", "python train.py.bak\n", "python ../train.py\n"]
)
def test_other_paths_stay(before: str) -> None:
    assert after(before) == before


def test_a_change_is_shown_line_by_line() -> None:
    result = outcome({"exp/run.sh": "ls\npython train.py; python train.py\r\n"})
    (finding,) = result.findings
    assert (finding.level, finding.path, finding.line) == ("change", "exp/run.sh", 2)
    assert (finding.before, finding.after) == (
        "python train.py; python train.py",
        "python training/train.py; python training/train.py",
    )
    assert result.summary == "1 line in 1 file"


def test_bytes_around_it_stay() -> None:
    before = b"\xef\xbb\xbf# \xe9 caf\xc3\xa9 \r\n\tpython train.py \\  \r\n  --x  \r\n\r\necho $?   "
    result = outcome({"exp/run.sh": before})
    assert result.edits["exp/run.sh"] == before.replace(b"train.py", b"training/train.py")


def test_all_kinds_of_files_that_the_globs_name() -> None:
    files: dict[str, str | bytes] = {
        "Makefile": "run: train.py\n\t@python train.py\n",
        "a/c.yaml": "program: train.py\n",
        "README.md": "`python train.py`\n",
        "a/n.ipynb": '{"cells": [{"cell_type": "code", "source": ["!python train.py"]}]}\n',
    }
    result = outcome(files, files=["**/*.yaml", "*.md", "Makefile", "**/*.ipynb"])
    assert {path: content.decode() for path, content in result.edits.items() if content} == {
        p: str(t).replace("train.py", "training/train.py") for p, t in files.items()
    }


def test_a_module_in_place_of_a_path() -> None:
    result = outcome({"exp/run.sh": "python -u train.py --x\n./train.py\n"}, to="-m training.train")
    assert result.edits["exp/run.sh"] == b"python -u -m training.train --x\n./train.py\n"
    (warning,) = [f for f in result.findings if f.level == "warning"]
    assert warning.line == 2 and "interpreter" in warning.message


def test_a_folder_in_a_variable_is_a_warning() -> None:
    result = outcome({"exp/run.sh": 'python "$ROOT/train.py"\n'})
    assert result.status == "nothing to do"
    assert [(f.level, f.line) for f in result.findings] == [("warning", 1)]


def test_already_done_and_nothing_to_do() -> None:
    assert outcome({"exp/run.sh": "python training/train.py\n"}).status == "already done"
    assert outcome({"exp/run.sh": "python -m training.train\n"}, to="-m training.train").status == "already done"
    assert outcome({"exp/run.sh": "ls\n"}).status == "nothing to do"
    assert outcome({"exp/run.sh": "python ./train.py\n"}, to="train.py").status in ("already done", "done")


def test_a_pattern_without_files_is_noted() -> None:
    result = outcome({"exp/run.sh": "python train.py\n"}, files=["exp/*.sh", "old/*.sh"])
    assert [f.path for f in result.findings if f.level == "note"] == ["old/*.sh"]
    nothing = outcome({}, files=["old/*.sh"])
    assert (nothing.status, [f.level for f in nothing.findings]) == ("nothing to do", ["note", "warning"])


def test_records_and_binary_files_are_never_touched() -> None:
    files: dict[str, str | bytes] = {
        "exp/run.sh.backup": "python train.py\n",
        "wandb/run-1-a/files/x.sh": "python train.py\n",
        "exp/data.bin": b"\0python train.py\n",
    }
    assert not outcome(files, files=["**/*"]).edits


def test_a_call_that_works_where_a_cd_leads_stays() -> None:
    before = "cd training\npython train.py\n"
    result = outcome({"exp/run.sh": before})
    assert not result.edits
    assert [(f.level, f.line) for f in result.findings] == [("warning", 2)]
    assert after('cd "$(dirname "$0")/.."\npython train.py\n') == 'cd "$(dirname "$0")/.."\npython training/train.py\n'


def test_a_new_path_that_leads_nowhere_is_a_warning() -> None:
    result = outcome({"exp/run.sh": "python train.py\n"}, to="nowhere/train.py")
    assert [(f.level, f.path) for f in result.findings if f.level == "warning"] == [("warning", "nowhere/train.py")]


def test_a_module_that_is_not_there_is_a_warning() -> None:
    result = outcome({"exp/run.sh": "python train.py\n"}, to="-m no.such")
    assert [(f.path, f.message) for f in result.findings if f.level == "warning"] == [
        ("-m no.such", "no import root leads to this module of the repository")
    ]
    assert not [f for f in outcome({"exp/run.sh": "python train.py\n"}, to="-m training.train").findings if f.level == "warning"]  # fmt: skip


def test_a_script_that_nothing_ever_called_is_a_warning() -> None:
    (warning,) = outcome({"exp/run.sh": "ls\n"}).findings
    assert (warning.level, warning.path) == ("warning", "exp/*.sh")
    assert warning.message.startswith("nothing calls train.py, nor training/train.py")
    assert not outcome({"exp/run.sh": "python training/train.py\n"}).findings


def test_a_path_may_climb_only_as_far_as_the_old_one() -> None:
    assert after("python ../train.py\n", **{"from": "../train.py", "to": "../training/train.py"}) == "python ../training/train.py\n"  # fmt: skip


@pytest.mark.parametrize("to", ["-m", "-m a/b.py", "-u train.py", "folder/", "../x.py", "a/../../x.py", "/x.py"])
def test_a_target_that_is_neither_a_path_nor_a_module_is_refused(to: str) -> None:
    with pytest.raises(BadInput, match="field 'to'"):
        outcome({"exp/run.sh": "python train.py\n"}, to=to)
