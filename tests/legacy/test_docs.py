"""What `docs/checkpoints.md` shows can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from legacy.checkpoint.rules.user import load
from legacy.cli import parser

TEXT = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
COMMANDS = [line.removeprefix("$ ") for line in TEXT.splitlines() if re.match(r"(\$ )?python -m legacy \w", line)]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_has_options_that_there_are(line: str) -> None:
    arguments = shlex.split(line)[3:]
    assert parser().parse_args(arguments).command == arguments[0]


def test_all_three_are_shown() -> None:
    assert {line.split()[3] for line in COMMANDS} == {"inspect", "translate", "verify"}


def test_the_rules_are_rules(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "rules.toml").write_text(block)
    assert [row.kind for row in load(tmp_path / "rules.toml")] == [
        "rename",
        "drop",
        "rename_hyper_parameter",
        "replace_global",
    ]


def test_the_arguments_of_load_model_are_those_it_has() -> None:
    import inspect

    from legacy import load_model

    table = TEXT[TEXT.index("| argument |") : TEXT.index("`legacy.load_checkpoint")]
    named = set(re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE))
    names = {name for cell in named for name in re.findall(r"`(\w+)`", cell)}
    assert names <= set(inspect.signature(load_model).parameters) and len(names) == 5
