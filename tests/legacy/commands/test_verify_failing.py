"""What goes wrong while `verify` is at it: a sentence and an exit status, never a traceback, and never the end of the other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from legacy import cli
from legacy.commands import verify as command
from tests.legacy.commands.support import legacy, save

BUILDERS = """
def key(*given): raise KeyError("channels")
def attribute(*given): raise AttributeError("x has no y")
def check(*given): assert False, "shape"
def leave(*given): raise SystemExit("no GPU here")
"""


@pytest.mark.parametrize(
    "name, told",
    [
        ("key", "KeyError: 'channels'"),
        ("attribute", "AttributeError: x has no y"),
        ("check", "AssertionError: shape"),
        ("leave", "SystemExit: no GPU here"),
    ],
)
def test_a_builder_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    (tmp_path / "failing_builders.py").write_text(BUILDERS)
    monkeypatch.syspath_prepend(tmp_path)
    path = str(save(tmp_path / "old.ckpt"))
    assert cli.main(["verify", path, path, "--builder", f"failing_builders:{name}"]) == 2
    assert f"could not be run with the builder failing_builders:{name}: {told}" in capsys.readouterr().err


def broken(*given: Any) -> Any:
    if "a.ckpt" in str(given[0]):
        raise KeyError("\x1b[31mhm")
    return command.Verdict(str(given[0]), str(given[1]))


def test_one_file_never_stops_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("runs/a.ckpt", "runs/b.ckpt", "new/a.ckpt", "new/b.ckpt"):
        save(tmp_path / name)
    monkeypatch.setattr(command, "verify", broken)
    assert cli.main(["verify", str(tmp_path / "runs"), str(tmp_path / "new")]) == 2
    out, err = capsys.readouterr()
    assert "b.ckpt" in out and "a.ckpt holds what nobody was prepared for: KeyError" in err and "\x1b" not in err


def test_a_mistake_of_the_tools_is_a_sentence_and_a_traceback_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(save(tmp_path / "a.ckpt"))
    monkeypatch.setattr(command, "verify", broken)
    assert cli.main(["verify", path, path]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"verify: {path} holds what nobody was prepared for: KeyError") and err.count("\n") == 1
    monkeypatch.setenv("LEGACY_TRACEBACK", "1")
    assert cli.main(["verify", path, path]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_what_a_file_says_is_no_order_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    state = {"model.\x1b[2J\nreadout": torch.ones(2)}
    more = {
        "pytorch-lightning_version": "2.1\x1b]0;owned\x07\n  all is well",
        "hyper_parameters": {"cids": "\x9b31m\u202e"},
    }
    save(path, state_dict=state, **more)
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "r"\nrename = { from = "model", to = "net" }\n')
    torch.save({"state_dict": {}}, tmp_path / "new.ckpt")
    for arguments in (
        ["inspect", path],
        ["translate", path, tmp_path / "made.ckpt", "--rules", rules],
        ["verify", path, tmp_path / "new.ckpt"],
    ):
        done = legacy(*arguments)
        text = done.out + done.err
        assert text.replace("\n", "").isprintable(), (arguments[0], text)
        assert "\n  all is well" not in text and "\\x1b" in text
