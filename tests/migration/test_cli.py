"""The commands as a person or a script runs them: exit status, sentences, what is on the disk afterwards."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.migration.support import write_tree

ROOT = Path(__file__).parents[2]
PLAN = """
schema = 1
name = "small"
title = "A small plan"

[[step]]
id = "1"
title = "Extract"
kind = "extract-symbols"
source = "train.py"
target = "parts/model.py"
symbols = ["Model"]

[[step]]
id = "2"
title = "Scripts"
kind = "rewrite-paths"
files = ["*.sh"]
from = "train.py"
to = "-m train"
"""
FILES: dict[str, str | bytes] = {
    "train.py": "import os\n\n\nclass Model:\n    here = os.sep\n\n\ndef main():\n    return Model()\n",
    "use.py": "from train import Model\n",
    "run.sh": "#!/bin/bash\npython train.py --x 1\n",
}


def migration(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "migration", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=None,
    )


def digest(root: Path) -> dict[str, tuple[int, str]]:
    """Mode and SHA-256 of every file but our own state and git's."""
    return {
        str(p.relative_to(root)): (p.stat().st_mode, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in sorted(root.rglob("*"))
        if p.is_file() and not {".migration", ".git", "__pycache__"} & set(p.relative_to(root).parts)
    }


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    write_tree(tmp_path / "repo", FILES)
    (tmp_path / "repo" / "run.sh").chmod(0o755)
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path / "repo"


def run(command: str, repo: Path, *more: str) -> subprocess.CompletedProcess[str]:
    plan = () if command in ("status", "rollback") else ("--plan", repo.parent / "plan.toml")
    return migration(command, "--repo", repo, *plan, *more)


def test_plan_and_diff_write_nothing(repo: Path) -> None:
    before = digest(repo)
    done = run("plan", repo)
    assert done.returncode == 0, done.stderr
    assert "Model → parts/model.py" in done.stdout
    patch = run("diff", repo)
    assert patch.stdout.startswith("diff --git a/parts/__init__.py b/parts/__init__.py\nnew file mode 100644\n")
    assert digest(repo) == before
    assert not (repo / ".migration").exists()


def test_the_diff_is_what_apply_does(repo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(repo, other)
    patch = run("diff", repo).stdout
    subprocess.run(["git", "apply", "-"], cwd=other, input=patch, text=True, check=True)
    run("apply", repo, "--yes")
    assert digest(repo) == digest(other)


def test_apply_status_verify_rollback(repo: Path) -> None:
    before = digest(repo)
    done = run("apply", repo, "--yes")
    assert done.returncode == 0, done.stderr
    assert (repo / "parts/model.py").exists()
    assert (repo / "run.sh").read_text() == "#!/bin/bash\npython -m train --x 1\n"
    assert (repo / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (repo / ".migration/report.html").read_text().startswith("<!doctype html>")
    status = json.loads(run("status", repo, "--json").stdout)
    assert [r["steps"] for r in status["applied"]] == [["1", "2"]]
    assert status["applied"][0]["digest"] == hashlib.sha256(PLAN.encode()).hexdigest()
    assert run("verify", repo).returncode == 0
    assert run("rollback", repo, "--yes").returncode == 0
    assert digest(repo) == before
    assert run("rollback", repo, "--yes").returncode == 0


def test_a_second_apply_changes_nothing(repo: Path) -> None:
    run("apply", repo, "--yes")
    once = digest(repo)
    done = run("apply", repo, "--yes")
    assert done.returncode == 0
    assert digest(repo) == once
    assert len(json.loads(run("status", repo, "--json").stdout)["applied"]) == 1


def test_apply_in_two_parts_ends_where_one_apply_ends(repo: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(repo, whole)
    subprocess.run(
        "git init -q && git add -A && git -c user.name=x -c user.email=x@x commit -qm x",
        shell=True,
        cwd=repo,
        check=True,
    )
    assert migration("apply", "--repo", whole, "--plan", repo.parent / "plan.toml", "--yes").returncode == 0
    assert run("apply", repo, "--yes", "--only", "2").returncode == 0
    assert run("apply", repo, "--yes", "--only", "1").returncode == 0
    assert digest(repo) == digest(whole)
    assert run("verify", repo).returncode == 0
    assert "/.migration/" in (repo / ".git/info/exclude").read_text()


DUPLICATE = """
[[step]]
id = "0"
title = "One script"
kind = "remove-duplicate"
duplicate = "old/run.sh"
canonical = "run.sh"
"""


def test_verify_compares_duplicates_as_the_migration_found_them(repo: Path) -> None:
    """Not the one that is gone with the one that a later step has respelt since."""
    write_tree(repo, {"old/run.sh": FILES["run.sh"]})
    (repo.parent / "plan.toml").write_text(PLAN.replace("[[step]]", f"{DUPLICATE}\n[[step]]", 1))
    assert run("apply", repo, "--yes").returncode == 0 and not (repo / "old/run.sh").exists()
    told = json.loads(run("verify", repo, "--json").stdout)
    assert told["decisions"] == []


def test_verify_tells_a_definition_that_was_edited_afterwards(repo: Path) -> None:
    run("apply", repo, "--yes")
    model = repo / "parts/model.py"
    model.write_text(model.read_text().replace("os.sep", "os.linesep"))
    done = run("verify", repo)
    assert done.returncode == 1
    assert "definitions-intact" in done.stderr


def test_json_is_one_object_on_stdout(repo: Path) -> None:
    for command in ("plan", "diff", "apply", "verify", "status", "audit", "rollback"):
        done = run(command, repo, "--json", *(["--yes"] if command in ("apply", "rollback") else []))
        assert done.returncode == 0, (command, done.stderr)
        assert isinstance(json.loads(done.stdout), dict), command


def test_uncommitted_edits_in_a_file_to_be_changed_need_a_decision(repo: Path) -> None:
    subprocess.run(
        "git init -q && git add -A && git -c user.name=x -c user.email=x@x commit -qm x",
        shell=True,
        cwd=repo,
        check=True,
    )
    (repo / "use.py").write_text("from train import Model  # being edited\n")
    before = digest(repo)
    done = run("apply", repo, "--yes")
    assert done.returncode == 3
    assert "use.py" in done.stderr
    assert "Commit or stash" in done.stderr
    assert digest(repo) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["plan", "--repo", "{repo}/none"], "none is not a folder"),
        (["apply", "--repo", "{repo}/train.py", "--yes"], "not a folder"),
        (["plan", "--repo", "{repo}", "--plan", "none.toml"], "no plan 'none.toml'"),
        (["plan", "--repo", "{repo}", "--plan", "{plan}", "--only", "7"], "no step '7'"),
        (["plan", "--repo", "{repo}", "--plan", "{repo}/train.py"], "not a TOML file"),
    ],
)
def test_bad_input_exits_with_2_and_a_sentence(repo: Path, arguments: list[str], sentence: str) -> None:
    before = digest(repo)
    done = migration(*[a.format(repo=repo, plan=repo.parent / "plan.toml") for a in arguments])
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert digest(repo) == before


def test_bad_input_with_json_is_json_too(repo: Path) -> None:
    done = migration("plan", "--repo", repo, "--plan", "none", "--json")
    assert done.returncode == 2
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["status"] == 2


@pytest.mark.parametrize("command", ["plan", "diff", "apply", "verify", "status", "rollback", "audit"])
def test_help_has_an_example(command: str) -> None:
    assert f"example: python -m migration {command}" in " ".join(migration(command, "--help").stdout.split())


def test_no_command_imports_torch(repo: Path) -> None:
    for command in ("plan", "diff", "apply", "verify", "status", "audit", "rollback"):
        plan = "" if command in ("status", "rollback") else f", '--plan', {str(repo.parent / 'plan.toml')!r}"
        code = f"import sys; from migration.cli import main; main([{command!r}, '--repo', {str(repo)!r}{plan}]); sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0, command


def test_a_tilde_is_the_home_folder(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(repo.parent))
    assert json.loads(migration("status", "--repo", "~/repo", "--json").stdout)["repo"] == str(repo)
