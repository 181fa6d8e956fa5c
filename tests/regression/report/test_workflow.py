"""The recipe for a GPU runner names nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILE = ROOT / ".github" / "workflows" / "regression.yml"


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(FILE.read_text())
    return content


def commands(workflow: dict[Any, Any]) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_when_and_where(workflow: dict[Any, Any]) -> None:
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML takes `on` for true
    assert workflow["permissions"] == {"contents": "read"}
    assert [name for name, job in workflow["jobs"].items() if "gpu" in job["runs-on"]] == ["record", "compare"]


def test_only_the_comment_may_write_and_it_runs_nothing_of_the_tree(workflow: dict[Any, Any]) -> None:
    writing = [name for name, job in workflow["jobs"].items() if "write" in job.get("permissions", {}).values()]
    assert writing == ["comment"]
    assert not any("checkout" in step.get("uses", "") for step in workflow["jobs"]["comment"]["steps"])


def test_actions_have_a_major_version(workflow: dict[Any, Any]) -> None:
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)


def test_no_text_of_a_pull_request_is_put_into_a_command(workflow: dict[Any, Any]) -> None:
    assert not any("${{" in command for command in commands(workflow))


def test_targets_options_and_paths_exist(workflow: dict[Any, Any]) -> None:
    ran = "\n".join(commands(workflow))
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z]+)", ran)) <= set(targets)
    known = (ROOT / "regression" / "conftest.py").read_text()
    tested = [line for line in ran.splitlines() if " pytest " in line]
    assert len(tested) == 2
    for line in tested:
        assert (ROOT / line.split(" pytest ")[1].split()[0]).is_dir()
        assert all(f'"{option}"' in known for option in re.findall(r"--[a-z-]+", line))
