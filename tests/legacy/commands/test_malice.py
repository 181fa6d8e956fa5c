"""The corpus of `evil` through the commands, watched: nothing is imported, started, connected to or written, and the status is 2 or 3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from legacy import cli
from tests.legacy.checkpoint.test_malice import watched
from tests.legacy.commands import evil
from tests.legacy.commands.support import ROOT, save

CANARY = os.path.join(tempfile.gettempdir(), "legacy-canary-that-nobody-makes")
CORPUS = evil.corpus(CANARY)
COMMANDS = ("inspect", "translate", "verify")


@pytest.fixture(scope="module", autouse=True)
def everything_is_imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whatever the commands need themselves; after this an import is the file's doing."""
    folder = tmp_path_factory.mktemp("warm")
    path = save(folder / "good.ckpt")
    for name, more in (("inspect", []), ("translate", [folder / "a.ckpt"]), ("verify", [path])):
        assert cli.main([name, str(path), *map(str, more), "--json"]) == 0
    b"x".decode("raw_unicode_escape")
    return path


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 180 and len(evil.programs("")) >= 60


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("title", CORPUS)
def test_it_is_turned_down_and_nothing_happens(
    tmp_path: Path, everything_is_imported: Path, capsys: pytest.CaptureFixture[str], title: str, command: str
) -> None:
    path = tmp_path / "evil.ckpt"
    path.write_bytes(CORPUS[title])
    more = {"inspect": [], "translate": [tmp_path / "new.ckpt"], "verify": [everything_is_imported]}[command]
    began = time.process_time()
    with watched() as events:
        status = cli.main([command, str(path), *map(str, more), "--json"])
    took = time.process_time() - began
    told = capsys.readouterr()
    assert events == [], events
    assert os.listdir(tmp_path) == ["evil.ckpt"] and path.read_bytes() == CORPUS[title]
    assert not os.path.exists(CANARY)
    assert status in (2, 3) or (command == "verify" and status == 1), told
    json.loads(told.out)
    assert len(told.err) < 20_000 and took < 5
    assert "Traceback" not in told.err


@pytest.mark.parametrize("command", ["inspect", "translate"])
@pytest.mark.parametrize("title", evil.amplified())
def test_what_is_named_over_and_over_is_looked_through_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], title: str, command: str
) -> None:
    (tmp_path / "a.ckpt").write_bytes(evil.amplified()[title])
    more = [str(tmp_path / "b.ckpt")] if command == "translate" else []
    began = time.process_time()
    assert cli.main([command, str(tmp_path / "a.ckpt"), *more]) == 0, capsys.readouterr()
    assert time.process_time() - began < 5, "it took a minute and more"


LARGEST = sorted(
    CORPUS, key=lambda title: (title.startswith("pickle: ") and title[8:] in evil.bombs(), "inflating" in title)
)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells a process's memory so")
@pytest.mark.parametrize("title", LARGEST[-len(evil.bombs()) - 1 :])
def test_it_takes_little_time_and_memory(tmp_path: Path, title: str) -> None:
    (tmp_path / "evil.ckpt").write_bytes(CORPUS[title])
    # ru_maxrss would have the parent's memory in it
    code = "import sys, time; from legacy.cli import main; status = main(sys.argv[1:]); print(status, time.process_time(), *[line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line])"
    command = [sys.executable, "-c", code, "inspect", str(tmp_path / "evil.ckpt")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    status, seconds, kilobytes = done.stdout.split()[-3:]
    assert status in "23" and float(seconds) < 5 and int(kilobytes) < 200 * 1024
