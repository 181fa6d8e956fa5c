"""Code in interpreters that have imported nothing of it yet: forked from one small server."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

SERVER = """
import json, os, runpy, sys, traceback
sys.dont_write_bytecode = True
for line in sys.stdin:
    folder, code = json.loads(line)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        sys.path[:0] = [folder]
        status = 0
        try:
            exec(code, {})
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        output = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, output]), flush=True)
"""


@cache
def _server() -> subprocess.Popen[str]:
    command = [sys.executable, "-I", "-S", "-c", SERVER]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _run(folder: Path, code: str) -> tuple[int, str]:
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps([str(folder), code]) + "\n")
    server.stdin.flush()
    status, output = json.loads(server.stdout.readline())
    return status, output


def run_script(root: Path, script: str) -> tuple[int, str]:
    """Exit status and output of `python script` in `root`."""
    path = root / script
    return _run(path.parent, f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')")


def import_first(root: Path, module: str, names: list[str]) -> tuple[int, str]:
    """`from module import names` in an interpreter that starts in `root`."""
    return _run(root, f"found = __import__({module!r}, fromlist={names!r})\nfor n in {names!r}: getattr(found, n)")
