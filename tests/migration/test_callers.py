"""Callers of a script that goes are pointed at the one that stays, from wherever they call it."""

from __future__ import annotations

import pytest

from migration.analysis.callers import point_callers
from tests.migration.support import overlay

GONE, STAYS = "jake/x/train.py", "training/train.py"


def pointed(path: str, text: str, *, gone_is_there: bool = True) -> tuple[str, list[str]]:
    """The text afterwards, and the levels of the findings."""
    tree = overlay({path: text, STAYS: "", **({GONE: ""} if gone_is_there else {})})
    edits, findings = point_callers(tree, GONE, STAYS)
    assert set(edits) <= {path}
    content = edits.get(path)
    if content is not None:
        tree.edit(edits)
        assert point_callers(tree, GONE, STAYS)[0] == {}
    return (content.decode() if content is not None else text), [f.level for f in findings]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("run.sh", "python jake/x/train.py\n", "python training/train.py\n"),
        ("exp/run.sh", "python ./jake/x/train.py\n", "python ./training/train.py\n"),
        ("jake/x/run.sh", "python train.py --x\n", "python ../../training/train.py --x\n"),
        ("jake/x/run.sh", "python ./train.py\n", "python ../../training/train.py\n"),
        ("jake/run.sh", "python x/train.py\n", "python ../training/train.py\n"),
        ("jake/y/run.sh", "python ../x/train.py\n", "python ../../training/train.py\n"),
        ("jake/x/run.sh", "# python train.py \\\n#   --x\n", "# python ../../training/train.py \\\n#   --x\n"),
        (
            "jake/x/run.sh",
            'CMD="python train.py \\"$A\\""\neval $CMD\n',
            'CMD="python ../../training/train.py \\"$A\\""\neval $CMD\n',
        ),
        ("run.sh", "S=jake/x/train.py\npython $S\n", "S=training/train.py\npython $S\n"),
        ("run.sh", "cd jake/x && python train.py\n", "cd jake/x && python ../../training/train.py\n"),
        (
            "jake/run.sh",
            'cd "$(dirname "$0")/x"\npython train.py\n',
            'cd "$(dirname "$0")/x"\npython ../../training/train.py\n',
        ),
        (
            "jake/x/run.sh",
            'cd "$(dirname "$0")/../.."\npython jake/x/train.py\n',
            'cd "$(dirname "$0")/../.."\npython training/train.py\n',
        ),
        ("Makefile", "run:\n\tcd jake/x; python train.py\n", "run:\n\tcd jake/x; python ../../training/train.py\n"),
        (
            "ci.yml",
            "run: |\n  cd jake/x\n  python train.py\n",
            "run: |\n  cd jake/x\n  python ../../training/train.py\n",
        ),
        ("README.md", "```bash\npython jake/x/train.py\n```\n", "```bash\npython training/train.py\n```\n"),
        (
            "jake/x/README.md",
            "```bash\npython train.py \\\n  --x\n```\n",
            "```bash\npython ../../training/train.py \\\n  --x\n```\n",
        ),
        (
            "tools/x.py",
            'subprocess.run(["python", "jake/x/train.py"])\n',
            'subprocess.run(["python", "training/train.py"])\n',
        ),
        (
            "nb/a.ipynb",
            '{"cells": [{"cell_type": "code", "source": "!python ../jake/x/train.py"}]}',
            '{"cells": [{"cell_type": "code", "source": "!python ../training/train.py"}]}',
        ),
    ],
)
def test_a_call_resolves_from_the_same_folder_as_before(path: str, before: str, after: str) -> None:
    assert pointed(path, before)[0] == after
    assert pointed(path, before, gone_is_there=False)[0] == after


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "clean.sh",
            'DUPLICATE_SCRIPT="jake/x/train.py"\nif [[ -f "$DUPLICATE_SCRIPT" ]]; then\n  rm "$DUPLICATE_SCRIPT"\nfi\n',
        ),
        ("clean.sh", "rm jake/x/train.py\n"),
        ("clean.sh", 'for f in "jake/x/train.py"; do safe_remove "$f"; done\n'),
        ("clean.sh", 'echo "python jake/x/train.py is gone"\n'),
        ("README.md", "Delete `jake/x/train.py`.\n"),
        ("c.yaml", "old: jake/x/train.py\n"),
        ("x.py", 'os.remove("jake/x/train.py")\n'),
        ("jake/x/run.sh", "[ -f train.py ]\n"),
    ],
)
def test_a_mention_is_noted_and_never_rewritten(path: str, text: str) -> None:
    assert pointed(path, text) == (text, ["note"])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("jake/x/run.sh", 'python "$HERE/train.py"\n'),
        ("run.sh", "python $ROOT/jake/x/train.py\n"),
        ("run.sh", "python /home/me/repo/jake/x/train.py\n"),
        ("a.sh", "python ~/repo/jake/x/train.py\n"),
    ],
)
def test_a_folder_that_cannot_be_told_is_a_warning(path: str, text: str) -> None:
    assert pointed(path, text) == (text, ["warning"])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("training/run.sh", "python train.py\n"),
        ("run.sh", "python train.py\n"),
        ("run.sh", "python training/train.py\n"),
        ("other/run.sh", 'python "$HERE/train.py"\n'),
        ("jake/x/run.sh", "cd ../../training; python train.py\n"),
        ("jake/x/run.sh.bak", "python train.py\n"),
    ],
)
def test_another_file_of_the_same_name_is_none_of_its_business(path: str, text: str) -> None:
    assert pointed(path, text) == (text, [])


def test_the_repository_relative_file_wins_where_it_exists() -> None:
    tree = overlay({"train.py": "", GONE: "", STAYS: "", "jake/x/run.sh": "python train.py\n"})
    assert point_callers(tree, GONE, STAYS) == ({}, [])


def test_shell_scripts_that_go_have_callers_too() -> None:
    tree = overlay(
        {
            "jake/x/all.sh": "",
            "exp/all.sh": "",
            "README.md": "```\nbash jake/x/all.sh\n```\n",
            "jake/x/night.sh": "./all.sh\nbash all.sh\n. ./all.sh\n",
        }
    )
    edits, _ = point_callers(tree, "jake/x/all.sh", "exp/all.sh")
    assert edits == {
        "README.md": b"```\nbash exp/all.sh\n```\n",
        "jake/x/night.sh": b"../../exp/all.sh\nbash ../../exp/all.sh\n. ../../exp/all.sh\n",
    }


def test_files_to_skip_are_skipped() -> None:
    tree = overlay({GONE: "", STAYS: "", "a.sh": f"python {GONE}\n", "b.sh": f"python {GONE}\n"})
    assert set(point_callers(tree, GONE, STAYS, skip={"a.sh"})[0]) == {"b.sh"}
