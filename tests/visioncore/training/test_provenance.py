from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from visioncore.training.provenance import git_commit, plain, provenance, versions


def test_plain_values_survive_a_weights_only_load(tmp_path: Path) -> None:
    value = {
        "path": Path("a/b"),
        "date": datetime.date(2022, 2, 16),
        "cids": (1, np.int64(2)),
        "scale": np.float64(0.5),
        "tensor": torch.tensor(3),
        3: {"deep": [None, True, 1e-3]},
        ("a", 1): {"x"},
    }
    torch.save(plain(value), tmp_path / "a.pt")
    assert torch.load(tmp_path / "a.pt", weights_only=True) == {
        "path": "a/b",
        "date": "2022-02-16",
        "cids": [1, 2],
        "scale": 0.5,
        "tensor": 3,
        3: {"deep": [None, True, 1e-3]},
        "('a', 1)": ["x"],
    }


def test_plain_leaves_plain_values_as_they_are() -> None:
    value = {"a": [1, 2.5, "x", None, True, {"b": []}]}
    assert plain(value) == value and type(plain(np.float64(1.0))) is float and type(plain(np.bool_(True))) is bool


def test_what_is_kept() -> None:
    kept = provenance({"model": {"a": 1}})
    assert set(kept) == {"configs", "git_commit", "versions"} and kept["configs"] == {"model": {"a": 1}}
    assert versions()["torch"] == torch.__version__ and versions()["python"] is not None


def test_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path / "no_repository") is None
    repository = tmp_path / "repository"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repository)]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert git_commit(repository) == head


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) is None
