"""Looking at a tree by importing it: every door in a fresh process that can change nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from migration.probe import Door, DoorResult
from migration.probe.doors import doors_into, doors_to_statement
from migration.probe.interpreter import probe
from migration.tree import Overlay
from tests.migration.support import overlay

ENTER = Door("module", "a", "a.py")


def through(code: str, *doors: Door, **files: str) -> DoorResult:
    """What comes of importing a.py with this content, or of going through the first other door."""
    tree = overlay({"a.py": code, **{f"{name}.py": text for name, text in files.items()}})
    return probe(tree, doors or [ENTER])[0]


# -- what code may not do

HARMFUL = [
    "open('made.txt', 'w').write('x')",
    "open('a.py', 'a').write('x = 1')",
    "open('a.py', 'r+').truncate()",
    "import io; io.open('made.txt', 'wb').write(b'x')",
    "import pathlib; pathlib.Path('made.txt').write_text('x')",
    "import os; os.close(os.open('made.txt', os.O_CREAT | os.O_WRONLY))",
    "import os; os.mkdir('made')",
    "import os; os.makedirs('made/deep')",
    "import pathlib; pathlib.Path('made').mkdir()",
    "import os; os.remove('victim.txt')",
    "import pathlib; pathlib.Path('victim.txt').unlink()",
    "import os; os.rename('victim.txt', 'made.txt')",
    "import os; os.truncate('victim.txt', 0)",
    "import os; os.chmod('victim.txt', 0)",
    "import os; os.symlink('victim.txt', 'made.txt')",
    "import os; os.mkfifo('made.txt')",
    "import shutil; shutil.copy('victim.txt', 'made.txt')",
    "import shutil; shutil.rmtree('folder')",
    "import tempfile, os; os.close(tempfile.mkstemp(dir='.')[0])",
    "import subprocess; subprocess.run(['touch', 'made.txt'])",
    "import os; os.system('touch made.txt')",
    "import os; os.popen('touch made.txt').read()",
    "import os; os.spawnvp(os.P_WAIT, 'touch', ['touch', 'made.txt'])",
    "import os\nif os.fork() == 0:\n    os.execvp('touch', ['touch', 'made.txt'])\nos.wait()",
    "import sqlite3; sqlite3.connect('made.txt').execute('create table a (b)')",
    "import logging; logging.basicConfig(filename='made.txt'); logging.warning('x')",
    "import multiprocessing as m\np = m.get_context('fork').Process(target=open, args=('made.txt', 'w'))\np.start()\np.join()",
]


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(p.relative_to(root)): (p.lstat().st_mode, p.read_bytes() if p.is_file() else b"")
        for p in root.rglob("*")
        if "__pycache__" not in p.parts
    }


@pytest.mark.parametrize("code", HARMFUL)
def test_what_changes_the_disk_does_not_while_it_is_looked_at(code: str) -> None:
    tree = overlay({"a.py": code + "\n", "victim.txt": "precious", "folder/file.txt": "precious"})
    before = state(tree.root)
    probe(tree, [ENTER])
    assert state(tree.root) == before
    subprocess.run([sys.executable, "-B", "a.py"], cwd=tree.root, capture_output=True, check=False)
    assert state(tree.root) != before  # it really would have


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
        "import http.client; http.client.HTTPConnection('127.0.0.1', 9).request('GET', '/')",
        "import os; os.kill(os.getppid(), 0)",
    ],
)
def test_what_reaches_out_is_refused(code: str) -> None:
    result = through(code + "\n")
    assert not result.ok and result.limitation and "refused" in result.message


def test_a_refusal_that_the_code_swallows_is_still_known() -> None:
    result = through("try:\n    import os\n    os.remove('x')\nexcept OSError:\n    pass\n1 / 0\n")
    assert result.limitation


def test_reading_and_computing_are_free() -> None:
    result = through(
        "import json, math\nX = json.loads(open(__file__.replace('a.py', 'b.json')).read())\nY = math.pi\n"
    )
    assert result.error == "FileNotFoundError"
    assert through("X = open(__file__).read()\nY = sum(range(9))\n").ok


def test_output_goes_nowhere_and_input_is_empty(capfd: pytest.CaptureFixture[str]) -> None:
    result = through("import sys, os\nprint('hello')\nos.write(2, b'hello')\nassert sys.stdin.read() == ''\n")
    assert result.ok and capfd.readouterr() == ("", "")


# -- one door, one process


def test_every_door_is_a_fresh_process() -> None:
    tree = overlay(
        {
            "a.py": "import json, builtins\njson.seen = builtins.seen = 1\n",
            "b.py": "import json, builtins\nassert not hasattr(json, 'seen') and not hasattr(builtins, 'seen')\n",
        }
    )
    first, second = probe(tree, [ENTER, Door("module", "b", "b.py")])
    assert first.ok and second.ok
    assert first.loaded == ["a.py"] and second.loaded == ["b.py"]


def test_answers_come_in_the_order_of_the_questions() -> None:
    tree = overlay(
        {f"m{i}.py": "import time\n" + ("time.sleep(0.2)\n" if i == 0 else "") + f"N{i} = 1\n" for i in range(6)}
    )
    results = probe(tree, [Door("module", f"m{i}", f"m{i}.py") for i in range(6)])
    assert [f"N{i}" in r.names for i, r in enumerate(results)] == [True] * 6


def test_a_door_that_hangs_is_ended_and_the_next_one_answers() -> None:
    tree = overlay({"a.py": "while True: pass\n", "b.py": "X = 1\n"})
    stuck, fine = probe(tree, [ENTER, Door("module", "b", "b.py")], timeout=0.5)
    assert (stuck.ok, stuck.error, stuck.limitation) == (False, "TimeoutError", True)
    assert "0.5 s" in stuck.message and fine.ok


@pytest.mark.parametrize("end", ["import os\nos._exit(0)\n", "import os\nos.abort()\n"])
def test_a_door_that_ends_its_interpreter_is_told(end: str) -> None:
    tree = overlay({"a.py": end, "b.py": "X = 1\n"})
    ended, fine = probe(tree, [ENTER, Door("module", "b", "b.py")])
    assert not ended.ok and "ended before" in ended.message and fine.ok


@pytest.mark.parametrize("error", ["SystemExit(2)", "KeyboardInterrupt", "Exception('why')", "GeneratorExit"])
def test_whatever_is_raised_is_an_answer(error: str) -> None:
    result = through(f"raise {error}\n")
    assert not result.ok and result.error == error.partition("(")[0] and result.chain == [("a.py", 1)]


def test_no_doors_no_process() -> None:
    assert probe(overlay({}), []) == []


# -- what is found


def test_edits_that_are_not_on_the_disk() -> None:
    tree = overlay({"a.py": "X = 1\n", "gone.py": "Y = 1\n"})
    new = Overlay(tree, {"a.py": b"from b import Z\n", "b.py": b"Z = 2\n", "gone.py": None})
    edited, gone = probe(new, [ENTER, Door("module", "gone", "gone.py")], lost=["gone"])
    assert edited.ok and "Z" in edited.names and edited.loaded == ["a.py", "b.py"]
    assert not gone.ok and gone.error == "ModuleNotFoundError"


def test_the_chain_leads_through_the_tree_to_the_error() -> None:
    tree = overlay({"a.py": "import os\nimport b\n", "b.py": "\n\nfrom c import missing\n", "c.py": "X = 1\n"})
    (result,) = probe(tree, [ENTER])
    assert result.chain == [("a.py", 2), ("b.py", 3)]
    assert result.why.endswith("(a.py:2 → b.py:3)")


def test_a_file_that_does_not_parse_is_named() -> None:
    result = through("import b\n", b="x = (\n")
    assert result.error == "SyntaxError" and result.chain[-1][0] == "b.py"


def test_the_entries_are_looked_through_in_order() -> None:
    tree = overlay({"one/m.py": "X = 1\n", "two/m.py": "Y = 1\n"})
    first, second = probe(tree, [Door("module", "m", "one/m.py", e) for e in (("one", "two"), ("two", "one"))])
    assert first.loaded == ["one/m.py"] and second.loaded == ["two/m.py"]


def test_a_package_goes_before_a_module_and_both_before_a_bare_folder() -> None:
    tree = overlay(
        {"p/__init__.py": "A = 1\n", "p.py": "B = 1\n", "q.py": "C = 1\n", "q/x.py": "", "r/x.py": "D = 1\n"}
    )
    doors = [Door("module", n, f"{n}.py") for n in ("p", "q", "r.x")]
    assert [r.loaded for r in probe(tree, doors)] == [["p/__init__.py"], ["q.py"], ["r/x.py"]]


def test_the_tree_may_hide_the_standard_library_as_it_would() -> None:
    tree = overlay({"a.py": "import random\nX = random.mine\n", "random.py": "mine = 1\n"})
    assert probe(tree, [ENTER])[0].loaded == ["a.py", "random.py"]


@pytest.mark.parametrize(
    "raw", [b"X = 1\r\nY = 2\r\n", b"\xef\xbb\xbfX = 1\nY = 2", b"# coding: latin-1\nX = '\xe4'\nY = 2\n"]
)
def test_whatever_the_file_is_written_in(raw: bytes) -> None:
    (result,) = probe(overlay({"a.py": raw}), [ENTER])
    assert result.ok and {"X", "Y"} <= set(result.names)


# -- scripts and statements


def test_a_script_runs_without_what_its_main_guard_holds() -> None:
    code = (
        "import sys\nNAME = __name__\nassert sys.path[0].endswith('tools')\n\nif __name__ == '__main__':\n    1 / 0\n"
    )
    tree = overlay({"tools/run.py": code})
    (result,) = probe(tree, [Door("script", "", "tools/run.py", ("tools", "."))])
    assert result.ok and "NAME" in result.names and result.loaded == ["tools/run.py"]
    assert result.ran[("tools/run.py", 3, 0)] == 1


def test_a_script_is_main_and_can_be_imported_a_second_time() -> None:
    tree = overlay(
        {
            "run.py": "import sys\nassert __name__ == '__main__' and sys.modules['__main__'].__file__ == __file__\nimport b\n",
            "b.py": "import sys\nassert 'run' not in sys.modules\n",
        }
    )
    assert probe(tree, [Door("script", "", "run.py")])[0].ok


def test_a_script_that_is_not_there() -> None:
    assert probe(overlay({}), [Door("script", "", "run.py")])[0].error == "FileNotFoundError"


def test_statements_stand_in_for_their_file() -> None:
    tree = overlay(
        {
            "tools/run.py": "raise SystemExit\n",
            "pkg/__init__.py": "",
            "pkg/a.py": "X = 1\n",
            "pkg/b.py": "raise SystemExit\n",
        }
    )
    script = Door("statements", "__main__", "tools/run.py", ("tools", "."), "from pkg.a import X\nHERE = __file__\n")
    module = Door("statements", "pkg.b", "pkg/b.py", (".",), "from .a import X\nfrom . import a\n", "pkg")
    broken = Door("statements", "__main__", "tools/run.py", ("tools",), "from pkg.a import X\n")
    first, second, third = probe(tree, [script, module, broken], lost=["pkg"])
    assert first.ok and {"X", "HERE"} <= set(first.names) and first.loaded == ["pkg/__init__.py", "pkg/a.py"]
    assert second.ok and second.loaded == ["pkg/__init__.py", "pkg/a.py"]
    assert third.error == "ModuleNotFoundError"


def test_what_ran_is_counted_in_order() -> None:
    code = "'''doc'''\nimport b\nif b:\n    X = 1\nelse:\n    X = 2\nfor i in range(3):\n    Y = i\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    Z = 1\n"
    result = through(code, b="W = 1\n")
    assert [place[:2] for place in result.ran] == [
        ("a.py", 2),
        ("b.py", 1),
        ("a.py", 3),
        ("a.py", 4),
        ("a.py", 7),
        ("a.py", 9),
        ("a.py", 10),
        ("a.py", 12),
    ]
    assert set(result.ran.values()) == {1}


def test_a_file_under_two_names_runs_twice() -> None:
    tree = overlay(
        {"p/__init__.py": "", "p/a.py": "X = 1\n", "run.py": "import sys\nsys.path.append('p')\nimport a, p.a\n"}
    )
    (result,) = probe(tree, [Door("script", "", "run.py")])
    assert result.ran[("p/a.py", 1, 0)] == 2 and result.loaded.count("p/a.py") == 2


# -- which doors there are


def test_the_ways_into_a_file() -> None:
    tree = overlay(
        {
            "pkg/__init__.py": "",
            "pkg/a.py": "",
            "tools/run.py": "#!/usr/bin/env python\n",
            "tools/lib.py": "",
            "top.py": "",
            "x-y.py": "",
        }
    )
    ways = {p: [(d.kind, d.name, d.entries) for d in doors_into(tree, p, ["."])] for p in tree.paths()}
    assert ways["pkg/__init__.py"] == [("module", "pkg", (".",))]
    assert ways["pkg/a.py"] == [("module", "pkg.a", (".",))]
    assert ways["top.py"] == [("module", "top", (".",))]
    assert ways["tools/lib.py"] == [("module", "tools.lib", (".",)), ("module", "lib", ("tools", "."))]
    assert ways["tools/run.py"][-1] == ("script", "", ("tools",))
    assert ways["x-y.py"] == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("import sys\nsys.path.insert(0, 'lib')\nimport target\n", "import sys\nsys.path.insert(0, 'lib')\n"),
        (
            "import sys, os\nROOT = os.path.dirname(__file__)\nWORK = 1 / 0\nsys.path.append(ROOT)\nimport target\n",
            "import sys, os\nROOT = os.path.dirname(__file__)\nsys.path.append(ROOT)\n",
        ),
        ("import target\nimport sys\nsys.path.append('lib')\n", ""),
        ("import sys\ndef f():\n    import target\nsys.path.append('lib')\n", "import sys\nsys.path.append('lib')\n"),
        (
            "import sys\ndef f():\n    sys.path.append('lib')\n    import target\n",
            "import sys\nsys.path.append('lib')\n",
        ),
        (
            "import sys\ndef use():\n    sys.path.append('lib')\nuse()\nimport target\n",
            "import sys\ndef use():\n    sys.path.append('lib')\nuse()\n",
        ),
        ("import os\nos.chdir('..')\nimport target\n", "import os\nos.chdir('..')\n"),
        ("work()\nimport target\n", ""),
    ],
)
def test_a_statement_is_come_to_behind_the_lines_that_arrange_the_path(text: str, kept: str) -> None:
    source = overlay({"tools/a.py": text}).source("tools/a.py")
    node = next(n for n in source.imports if n.names[0].name == "target")
    (code,) = {d.code for d in doors_to_statement(source, node, ["."])}
    assert code == kept + "import target"
