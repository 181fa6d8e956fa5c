"""extract-symbols: what is about the file stays with the file, and nothing is left behind that only what moved had a use for."""

from __future__ import annotations

from pathlib import Path

import pytest

from migration.errors import GateFailed
from tests.migration.test_extract_registries import migrated, same

RIGHTS = "# Copyright (c) Example.\n# Licensed under the Apache License.\n"


@pytest.mark.parametrize(
    ("top", "rest"),
    [
        (RIGHTS, "import os\n"),
        (RIGHTS, "\nimport os\n"),
        ("#!/usr/bin/env python3\n" + RIGHTS, "import os\n"),
        ("# -*- coding: utf-8 -*-\n", "import os\n"),
        (RIGHTS, ""),
        ("# What this file is about.\n", "\n\n"),
    ],
)
def test_the_first_comments_of_a_file_stay(top: str, rest: str) -> None:
    text = top + rest + "class f:\n    at = 1\n    def m(self):\n        import os\n        return os\n"
    text = text.replace("        import os\n", "") if rest else text
    done = migrated({"main.py": text + "def g():\n    return 1\n"}, ("main.py", "p.py", ["f"]))
    assert done.after.read("main.py").decode().startswith(top)
    assert top.splitlines()[-1] not in done.after.read("p.py").decode()


def test_a_file_in_another_encoding_stays_readable() -> None:
    text = "# -*- coding: latin-1 -*-\nimport os\ndef f():\n    return os\ndef g():\n    return 'é'\n".encode("latin-1")
    done = migrated({"main.py": text}, ("main.py", "p.py", ["f"]))
    assert "'é'" in done.after.source("main.py").text


def test_a_type_checking_block_goes_with_its_last_user() -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from os import PathLike\ndef f(x: 'PathLike'): pass\ndef g(): pass\n"
    done = migrated({"main.py": text}, ("main.py", "p.py", ["f"]))
    assert b"TYPE_CHECKING" not in done.after.read("main.py")


@pytest.mark.parametrize("mark", ["", "  # noqa: F401,F403"])
def test_a_star_import_goes_with_its_last_user(mark: str) -> None:
    files = {
        "helpers.py": "def helper(x):\n    return x\n",
        "main.py": f"from helpers import *{mark}\ndef f(x):\n    return helper(x)\ndef g(): pass\n",
    }
    done = migrated(files, ("main.py", "p.py", ["f"]))
    assert b"helpers" not in done.after.read("main.py")
    assert f"from helpers import *{mark}\n" in done.after.read("p.py").decode()


@pytest.mark.parametrize("symbols", [["f", "OFFSET"], ["f"]])
def test_a_constant_does_not_leave_a_statement_above_it_that_sets_up_how_it_is_made(symbols: list[str]) -> None:
    text = "import random\nimport sys\nwith open(sys.argv[0]) as file:\n    code = file.read()\nrandom.seed(3)\nOFFSET = random.random()\ndef f():\n    return OFFSET\nprint(code[:0])\n"
    with pytest.raises(GateFailed, match=r"main.py:\d+: `random.seed\(3\)` .* p.py:\d+, which"):
        migrated({"main.py": text}, ("main.py", "p.py", symbols))


def test_two_sources_taken_apart_into_one_new_package_do_not_import_each_other_through_it(tmp_path: Path) -> None:
    files = {
        "train.py": "from lib.utils import trunc\nclass Model:\n    f = staticmethod(trunc)\nprint(Model.f(1))\n",
        "lib/__init__.py": "",
        "lib/utils.py": "def trunc(x):\n    return x\nclass Meter: pass\n",
    }
    done = migrated(files, ("train.py", "core/model.py", ["Model"]), ("lib/utils.py", "core/meters.py", ["Meter"]))
    assert same(done, tmp_path, "train.py") == "1\n"
