"""Paths and dotted names in files that are not shell scripts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.analysis.commands import CALLS
from migration.analysis.paths import dotted_references, references, rewrite, rewrite_dotted

ALL = CALLS | {"shown-call", "assigned", "value", "mention"}


def roles(path: str, text: str, script: str = "train.py") -> list[str]:
    return [m.role for m in references(path, text.encode(), script)]


def rewritten(path: str, text: str, to: str = "training/train.py") -> str:
    return rewrite(path, text.encode(), "train.py", to, ALL - {"mention"})[0].decode()


@pytest.mark.parametrize(
    ("path", "text", "role"),
    [
        ("Makefile", "run:\n\t@python train.py --x\n", "call"),
        ("Makefile", "run:\n\t-$(PYTHON) -u \\\n\t  train.py\n", "call"),
        ("Makefile", "clean:\n\trm -f train.py\n", "mention"),
        ("Makefile", "run: train.py other.py\n", "value"),
        ("rules.mk", "SCRIPT := train.py\n", "value"),
        ("Makefile", "# python train.py\n", "commented-call"),
        ("ci.yml", "  - run: python train.py --x\n", "call"),
        ("ci.yml", "run: |\n  cd x\n  python \\\n    train.py\n", "call"),
        ("sweep.yaml", "program: train.py\n", "call"),
        ("sweep.yaml", "command:\n  - ${env}\n  - python\n  - -u\n  - train.py\n  - ${args}\n", "call"),
        ("c.yaml", "source: train.py  # the script\n", "value"),
        ("c.yaml", "scripts:\n  - other.py\n  - 'train.py'\n", "value"),
        ("c.yaml", "# python train.py\n", "commented-call"),
        ("c.yaml", "# made by train.py\n", "mention"),
        ("c.yaml", "note: train.py is the script\n", "mention"),
        ("c.toml", 'script = "train.py"\n', "call"),
        ("c.toml", 'files = ["a.py", "train.py"]\n', "mention"),
        ("c.toml", 'cmd = ["python", "train.py"]\n', "call"),
        ("c.json", '{\n  "program": "train.py",\n  "x": 1\n}', "call"),
        ("c.json", '{"args": ["python", "-u", "train.py"]}', "call"),
        ("c.json", '{\n "args": [\n  "python",\n  "train.py"\n ]\n}', "call"),
        ("c.json", '{"sh": "cd x\\npython train.py"}', "call"),
        ("launch.json", '{"program": "${workspaceFolder}/train.py"}', "variable"),
        ("c.ini", "[x]\nentry_point = train.py\n", "call"),
        ("Dockerfile", "RUN cd x && python train.py\n", "call"),
        ("Dockerfile", 'ENTRYPOINT ["python", "-u", "train.py"]\n', "call"),
        ("Dockerfile", "COPY train.py /app/\n", "mention"),
        ("Procfile", "web: python train.py\n", "call"),
        ("run.bat", "python train.py\r\n", "call"),
        ("notes.txt", "then python train.py by hand\n", "shown-call"),
        ("notes.txt", "train.py\n", "mention"),
        ("x.rst", "``train.py`` trains.\n", "mention"),
        ("README.md", "```bash\n$ python train.py \\\n  --x\n```\n", "call"),
        ("README.md", "- step:\n\n  ~~~\n  python train.py\n  ~~~\n", "call"),
        ("README.md", "```console\n(env) $ python train.py\nloss 1\n```", "call"),
        ("README.md", "```\n├── train.py   # entry\n```\n", "mention"),
        ("README.md", "```\ntrain.py\n```\n", "mention"),
        ("README.md", "```sh\nrm train.py\n```\n", "mention"),
        ("README.md", "```sh\n# python train.py\n```\n", "commented-call"),
        ("README.md", "```yaml\nrun: python train.py\n```\n", "call"),
        ("README.md", '```python\nos.system("python train.py")\n```\n', "call-in-string"),
        ("README.md", "Run `python train.py` now.\n", "shown-call"),
        ("README.md", "See [it](train.py).\n", "mention"),
        ("README.md", "It is **train.py**.\n", "mention"),
        ("launch", "#!/usr/bin/env bash\npython train.py\n", "call"),
        ("job.slurm", "srun python train.py\n", "call"),
        ("x.py", 'S = "train.py"\n', "value"),
        ("x.py", 'subprocess.run(["python", "train.py", "--x"])\n', "call"),
        ("x.py", 'subprocess.run([sys.executable, "-u",\n    "train.py"])\n', "call"),
        ("x.py", 'runpy.run_path("train.py")\n', "call"),
        ("x.py", 'os.system(f"python train.py --lr {lr}")\n', "call-in-string"),
        ("x.py", 'os.system("cd x; "\n  "python -u train.py")\n', "call-in-string"),
        ("x.py", '"""Usage:\n\n    python train.py --x\n"""\n', "shown-call"),
        ("x.py", '"""Reads what train.py wrote."""\n', "mention"),
        ("x.py", "# python train.py\n", "commented-call"),
        ("x.py", "x = 1  # as in train.py\n", "mention"),
        ("x.py", 'print("run python train.py")\n', "shown-call"),
        ("x.py", "p.add_argument('--x', help='see python train.py')\n", "shown-call"),
        ("x.py", 'f(f"{root}/train.py")\n', "variable"),
        ("x.py", 'def broken(:\n    os.system("python train.py")\n', "call-in-string"),
        ("tool", "#!/usr/bin/env python3\nS = 'train.py'\n", "value"),
    ],
)
def test_the_role_of_a_path_by_kind_of_file(path: str, text: str, role: str) -> None:
    assert roles(path, text) == [role]


@pytest.mark.parametrize("text", ["import train\n", "train.py\n", "x = train.py\n"])
def test_python_code_is_not_a_path(text: str) -> None:
    assert roles("x.py", text) == []


def test_offsets_lines_and_strange_bytes() -> None:
    raw = b"\xef\xbb\xbf# \xe9\r\nrun: python train.py\r\n"
    (found,) = references("c.yaml", raw, "train.py")
    assert found.line == 2
    assert rewrite("c.yaml", raw, "train.py", "a/train.py", {"call"})[0] == raw.replace(b"train.py", b"a/train.py")


def test_bytes_that_are_not_utf8_are_part_of_a_word() -> None:
    assert references("x.sh", b"python \xe9train.py", "train.py") == []


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("python -u train.py --x\n", "python -u -m pkg.train --x\n"),
        ('python "train.py"\n', "python -m pkg.train\n"),
        ("torchrun --nproc_per_node 2 train.py\n", "torchrun --nproc_per_node 2 -m pkg.train\n"),
        ('C="python \\"train.py\\" --x"\n', 'C="python -m pkg.train --x"\n'),
        ("# python train.py \\\n#   --x\n", "# python -m pkg.train \\\n#   --x\n"),
        ('"$PYTHON" train.py\n', '"$PYTHON" -m pkg.train\n'),
    ],
)
def test_a_module_takes_the_place_behind_an_interpreter(text: str, after: str) -> None:
    assert rewritten("x.sh", text, "-m pkg.train") == after


@pytest.mark.parametrize(
    "text",
    [
        "./train.py\n",
        "bash train.py\n",
        "S=train.py\npython $S\n",
        'python "$D/train.py"\n',
        "C=(python ${S:-train.py})\n",
    ],
)
def test_a_module_takes_no_other_place(text: str) -> None:
    after, done, left = rewrite("x.sh", text.encode(), "train.py", "-m pkg.train", ALL)
    assert (after.decode(), done, len(left)) == (text, [], 1)


def test_a_list_of_words_cannot_hold_a_module() -> None:
    for path, text in [
        ("x.py", 'run(["python", "train.py"])\n'),
        ("c.json", '{"cmd": ["python", "train.py"]}'),
        ("Dockerfile", 'CMD ["python", "train.py"]\n'),
    ]:
        assert rewritten(path, text, "-m pkg.train") == text


def test_spelling_and_quotes_stay() -> None:
    assert (
        rewritten("x.sh", "python ./train.py; python 'train.py'; ./train.py")
        == "python ./training/train.py; python 'training/train.py'; ./training/train.py"
    )
    assert rewritten("x.sh", "python train.py; ./train.py", "../a/train.py") == "python ../a/train.py; ../a/train.py"
    assert (
        rewritten("x.sh", "python train.py; python 'train.py'", "my dir/train.py")
        == "python 'my dir/train.py'; python 'my dir/train.py'"
    )


def test_a_notebook_is_edited_in_its_json_text() -> None:
    cells = [
        {
            "cell_type": "code",
            "source": ["!python train.py \\\n", '   --x "é"\n', "%run -i train.py\n", "out = !python train.py"],
            "outputs": [{"text": ["python train.py"]}],
        },
        {"cell_type": "code", "source": "%%bash\ncd x\npython train.py\n", "outputs": []},
        {"cell_type": "code", "source": "subprocess.run('python train.py', shell=True)\n!rm train.py", "outputs": []},
        {"cell_type": "markdown", "source": ["`train.py` trains\n", "```\n", "python train.py\n", "```"]},
    ]
    raw = json.dumps({"cells": cells}, indent=1).encode()
    assert roles("n.ipynb", raw.decode()) == ["call"] * 4 + ["call-in-string", "mention", "mention", "call"]
    after, done, _ = rewrite("n.ipynb", raw, "train.py", "a/train.py", CALLS)
    changed = [(a, b) for a, b in zip(raw.splitlines(), after.splitlines(), strict=True) if a != b]
    assert len(done) == 6 and len(changed) == 6
    assert all(b == a.replace(b"train.py", b"a/train.py", 1) or b"!rm" in a for a, b in changed)
    assert json.loads(after)["cells"][0]["outputs"] == cells[0]["outputs"]


def test_a_broken_notebook_is_read_as_text() -> None:
    assert roles("n.ipynb", '{"cells": [ "!python train.py') == ["call"]


@given(
    st.text(alphabet="py thon train.py\n\"'#`-\\/|$(){}[]:=é\r\t", max_size=80),
    st.sampled_from(["x.sh", "x.py", "x.md", "x.yaml", "Makefile", "x.ipynb", "x.txt"]),
)
def test_rewriting_there_and_back_gives_the_same_bytes(text: str, path: str) -> None:
    raw = (text + " python train.py " + text).encode()
    after, done, _ = rewrite(path, raw, "train.py", "q/w.py", ALL)
    back, undone, _ = rewrite(path, after, "q/w.py", "train.py", ALL)
    assert len(after) - len(raw) == (len(b"q/w.py") - len(b"train.py")) * len(done)
    assert (back == raw and len(done) == len(undone)) or b"q/w.py" in raw


# dotted names


@pytest.mark.parametrize(
    ("text", "whole", "prefix"),
    [
        ("_target_: a.b.C\n", 0, 1),
        ("_target_: a.b\n", 1, 1),
        ("see a.b.", 1, 1),
        ("see a.b. Then", 1, 1),
        ('"a.b"', 1, 1),
        ("x.a.b", 0, 0),
        ("a.bc a.b_c aa.b", 0, 0),
        ("a.b()", 1, 1),
        ("a.b:f", 1, 1),
        ("logs/a.b a.b/c a.b-old my-a.b", 0, 0),
        ("a.b.py", 0, 0),
        ("éa.b", 0, 0),
    ],
)
def test_whole_dotted_names(text: str, whole: int, prefix: int) -> None:
    assert len(dotted_references(text, "a.b")) == whole
    assert len(dotted_references(text.encode(), "a.b", prefix=True)) == prefix


def test_the_longest_dotted_name_wins() -> None:
    raw = b"\xef\xbb\xbfx: a.b.C\r\ny: a.b.C.run\r\nz: a.b.D \xff\r\nw: a.b\r\n"
    after = rewrite_dotted(raw, {"a.b": "n", "a.b.C": "m.k.C"})
    assert after == b"\xef\xbb\xbfx: m.k.C\r\ny: m.k.C.run\r\nz: n.D \xff\r\nw: n\r\n"
    assert rewrite_dotted(raw, {}) == raw


def test_renames_that_swap_are_done_at_once() -> None:
    assert rewrite_dotted(b"a.x b.x", {"a": "b", "b": "a"}) == b"b.x a.x"
