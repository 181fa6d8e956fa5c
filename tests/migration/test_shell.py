"""What a script's path is there for, in shell text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.analysis.shell import mentions


def roles(text: str, script: str = "train.py") -> list[str]:
    return [m.role for m in mentions(text, script)]


@pytest.mark.parametrize(
    "text",
    [
        "python train.py",
        "python3.11 -u ./train.py --a b",
        "python -W ignore -X dev train.py",
        "CUDA_VISIBLE_DEVICES=0,1 OMP_NUM_THREADS=1 python train.py &",
        "torchrun --nproc_per_node 4 --standalone train.py --lr 1",
        "python -m torch.distributed.run --nproc_per_node=2 train.py",
        "python -m pdb train.py",
        "python -um cProfile -o out.prof train.py",
        "accelerate launch --config_file c.yaml train.py",
        "srun -n 1 --gres gpu:1 python -u train.py",
        "exec python train.py",
        "nohup nice -n 10 python train.py > log 2>&1 &",
        "time python train.py",
        "conda run -n env python train.py",
        "uv run train.py",
        '"$PYTHON" train.py',
        "${PY:-python} train.py",
        "$(which python) train.py",
        "/opt/env/bin/python 'train.py'",
        'python "train.py"',
        "./train.py --a",
        "train.py --a",
        "if ! python train.py; then exit 1; fi",
        "while read -r x; do python train.py $x; done < list",
        "(cd a && python train.py)",
        "out=$(python train.py | tail -n 1)",
        "out=`python train.py`",
        "diff <(python train.py) b",
        "python \\\n  -u \\\n  train.py \\\n  --x 1",
        "CMD=(python -u train.py --x)",
        "find . -name x -exec python train.py {} +",
        "xargs -n 1 python train.py < list",
        'f() { python train.py "$@"; }',
        "case $1 in a) python train.py ;; esac",
        'run() { python "$1"; }\nrun train.py',
    ],
)
def test_a_script_that_is_run_is_a_call(text: str) -> None:
    assert roles(text) == ["call"]


@pytest.mark.parametrize(
    "text",
    [
        "bash x.sh",
        "sh -e ./x.sh a",
        "source x.sh",
        ". x.sh",
        "./x.sh",
        "sbatch --time 1:00 x.sh",
        "sudo -u me ./x.sh",
        "bash -euo pipefail x.sh",
        "env A=1 ./x.sh",
    ],
)
def test_a_shell_script_that_is_run_is_a_call(text: str) -> None:
    assert roles(text, "x.sh") == ["call"]


@pytest.mark.parametrize(
    "text",
    [
        'CMD="python train.py \\\n    --config \\"$C\\" \\\n    --lr $LR"\nCMD="$CMD --compile"\neval $CMD',
        'CMD="python \\"train.py\\" --x"',
        "bash -c 'python train.py'",
        'bash -lc "cd x && python train.py"',
        'sbatch --wrap="python train.py --lr 1"',
        'ssh host "cd repo; nohup python train.py &"',
        'tmux new-session -d "python train.py"',
        "bash <<EOF\npython train.py\nEOF",
        "cat > job.sh <<EOF\n#!/bin/bash\npython train.py --x $Y\nEOF",
        "sbatch <<'EOF'\n#!/bin/bash\n#SBATCH -n 1\nsrun python train.py\nEOF",
        "bash <<< 'python train.py'",
        'eval "python train.py"',
        "PRE='torchrun --nproc 2'\nCMD=\"$PRE train.py\"\n$CMD",
    ],
)
def test_a_command_in_a_string_is_a_call_in_a_string(text: str) -> None:
    assert roles(text) == ["call-in-string"]


@pytest.mark.parametrize(
    "text",
    [
        "    # python train.py \\\n    #     --a 1 \\\n    #     --b 2\n",
        "#python -u train.py",
        "  ## CUDA_VISIBLE_DEVICES=0 python \\\n  ##   -u \\\n  ##   train.py\n",
        "# cd x && ./train.py",
        '# CMD="python train.py --a"',
        "ls # python train.py",
    ],
)
def test_a_commented_out_invocation_is_told_from_prose(text: str) -> None:
    assert roles(text) == ["commented-call"]


@pytest.mark.parametrize(
    "text",
    [
        "# Usage: python train.py [options]",
        'echo "run: python train.py --help"',
        "echo python train.py",
        "cat <<EOF\nusage: python train.py\nEOF",
        'echo "or train.py --help by hand"',
        "printf 'x\\npython train.py\\n'",
    ],
)
def test_a_command_shown_to_a_person_is_a_shown_call(text: str) -> None:
    assert roles(text) == ["shown-call"]


@pytest.mark.parametrize(
    "text",
    [
        "rm train.py",
        "sudo rm -f train.py",
        "/bin/rm train.py",
        "[[ -f train.py ]]",
        "[ -f train.py ] || exit 1",
        "test -e train.py",
        'DUPLICATE="train.py"\n[ -f "$DUPLICATE" ] && rm "$DUPLICATE"',
        'DUPLICATE=train.py\nsafe_remove "$DUPLICATE"',
        "case $x in train.py) ;; esac",
        "# train.py is where it starts, don't touch",
        "# this time train.py is slow",
        "echo 'deleting train.py'",
        "grep -q 'python train.py' x.sh",
        "sed -i 's|python train.py|python y.py|' x.sh",
        "pkill -f 'python train.py'",
        "python other.py train.py",
        "python other.py --script train.py",
        "python -c 'x' train.py",
        "python - train.py < other.py",
        "python -m module train.py",
        "cp train.py backup/",
        "cat list > train.py",
        "files=(a.py train.py)",
        "git add train.py",
        "SCRIPT=train.py\npython $SCRIPT\nrm $SCRIPT",
        'S=train.py\npython $S\nfor f in "$S"; do rm "$f"; done',
        'drop() { local f=$1; rm "$f"; }\nS=train.py\npython $S\ndrop "$S"',
        'source lib.sh\nS=train.py\npython $S\nsafe_remove "$S"',
        "S=train.py\npython $S\ncat new > $S",
        'S=train.py\npython $S\nbash -c "rm $S"',
    ],
)
def test_a_mention_is_not_a_call(text: str) -> None:
    assert set(roles(text)) == {"mention"}


@pytest.mark.parametrize(
    "text",
    [
        "SCRIPT=train.py\npython $SCRIPT",
        'SCRIPT="train.py"\n[ -f "$SCRIPT" ] || exit\nexec python -u "${SCRIPT}" --x',
        'local SCRIPT=train.py\ntorchrun --nproc 2 "$SCRIPT"',
        "S=${1:-train.py}\npython $S",
        'S="${S:-train.py}"\npython "$S"',
        "for s in train.py; do python $s; done",
        'ALL=(train.py)\nfor s in "${ALL[@]}"; do python "$s"; done',
        'SCRIPT=train.py\nCMD="python $SCRIPT --x"\neval $CMD',
        "A=train.py\nB=$A\npython $B",
        "run() { local s=$1; python $s; }\nS=train.py\npython $S",
    ],
)
def test_a_variable_that_is_run_later_is_assigned(text: str) -> None:
    assert roles(text) == ["assigned"]


def test_variables_that_name_each_other_end() -> None:
    assert roles("A=train.py\nA=$B\nB=$A") == ["mention"]
    chain = "".join(f"V{i}=$V{i + 1}\n" for i in range(500))
    assert roles(f"{chain}V500=train.py\npython $V0") == ["mention"]


@pytest.mark.parametrize(
    "text",
    [
        'python "$DIR/train.py"',
        "python $DIR/train.py",
        "python ${DIR}/./train.py",
        'python "$DIR"/train.py',
        'python "$(dirname "$0")/train.py"',
    ],
)
def test_a_variable_folder_is_reported_as_such(text: str) -> None:
    assert roles(text) == ["variable"]


@pytest.mark.parametrize(
    "word",
    [
        "my_train.py",
        "a/train.py",
        "/train.py",
        "../train.py",
        "train.py.bak",
        "train.pyc",
        "train.py~",
        "pre-train.py",
        "étrain.py",
        "train.py/x",
        "x.train.py",
        "train.py-old",
        "a\\ train.py",
        "*train.py",
        "$Xtrain.py",
        "${X}train.py",
        "train.py$X",
        "'a'train.py",
        "tr'ain.py'",
    ],
)
def test_only_whole_paths_count(word: str) -> None:
    assert roles(f"python {word} --x") == []


@pytest.mark.parametrize(
    "word",
    [
        "./train.py",
        ".//train.py",
        "'train.py'",
        '"./train.py"',
        "train.py;",
        "train.py&&ls",
        "train.py|tee x",
        "train.py>x",
    ],
)
def test_spellings_of_the_same_path(word: str) -> None:
    assert roles(f"python {word}") == ["call"]


def test_a_path_with_folders_and_spaces() -> None:
    assert roles("python ./a//b.py; python a/./b.py; python b.py; python a/c/../b.py", "a/b.py") == ["call", "call"]
    assert roles("python 'my dir/b.py'", "my dir/b.py") == ["call"]


@pytest.mark.parametrize(
    "text",
    [
        "if [ -f x ; then\n  python train.py \\\n  --x\n",
        "f() {\n python train.py\n",
        'A="unclosed\npython train.py\n',
        "for x in; do; )) python train.py\ndone",
        "<<<<< ((\npython train.py\n",
    ],
)
def test_text_that_does_not_parse_is_read_by_its_words(text: str) -> None:
    assert roles(text)[0] in ("call", "call-in-string")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffpython train.py\r\n",
        "# é\npython train.py\n",
        "python train.py \\\r\n  --x\r\n",
        "x='😀'; python train.py",
    ],
)
def test_offsets_hold_for_byte_order_mark_crlf_and_non_ascii(text: str) -> None:
    (found,) = mentions(text, "train.py")
    assert found.role == "call" and text[found.start : found.end] == "train.py"


def test_crlf_here_documents_and_continued_comments() -> None:
    assert roles("bash <<EOF\r\npython train.py\r\nEOF\r\nrm train.py\r\n") == ["call-in-string", "mention"]
    assert roles("# python \\\r\n#   train.py\r\n") == ["commented-call"]


def test_lines_are_counted_from_one() -> None:
    assert [m.line for m in mentions("python train.py\n\npython train.py", "train.py")] == [1, 3]


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("python -u train.py", True),
        ("torchrun train.py", True),
        ("python 'train.py'", True),
        ("python -m pdb train.py", True),
        ("./train.py", False),
        ("bash train.py", False),
        ("srun train.py", False),
        ("python ${X:-train.py}", False),
        ('C="python \\"train.py\\""', True),
        ("uv run train.py", True),
        ("deepspeed train.py", False),
    ],
)
def test_where_a_module_can_take_the_place(text: str, module: bool) -> None:
    assert [m.module for m in mentions(text, "train.py")] == [module]


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("python train.py", ""),
        ("cd a/b\npython train.py", "a/b"),
        ("cd a\ncd b && python train.py", "a/b"),
        ("(cd a; ls)\npython train.py", ""),
        ("cd a\ncd ..\npython train.py", ""),
        ('cd "$(dirname "$0")"\npython train.py', "@"),
        ('cd "$(dirname "${BASH_SOURCE[0]}")/.." && python train.py', "@/.."),
        ('HERE="$(cd "$(dirname "$0")" && pwd)"\ncd "$HERE/x"\npython train.py', "@/x"),
        ('cd "${0%/*}"\npython train.py', "@"),
        ("cd $X\npython train.py", None),
        ("cd -\npython train.py", None),
        ("bash -c 'cd a; python train.py'", "a"),
        ("cd a\nbash -c 'cd b; python train.py'", "a/b"),
        ("f() { cd a; }\npython train.py", ""),
    ],
)
def test_the_working_directory_is_followed(text: str, folder: str | None) -> None:
    assert mentions(text, "train.py")[-1].folder == folder


def test_a_comment_behind_a_stray_carriage_return_is_read() -> None:
    assert [m.role for m in mentions("\r# python train.py --x 1\n", "train.py")] == ["commented-call"]


@given(
    st.text(alphabet="abc$\"'`\\ \n#(){}<>;&|é\r=-", max_size=60),
    st.text(alphabet="$\"'`\\ \n#(){}<>;&|=", max_size=20),
)
def test_any_text_is_read_and_every_offset_is_the_path(before: str, after: str) -> None:
    text = before + " train.py " + after
    for found in mentions(text, "train.py"):
        assert text[found.start : found.end].endswith("train.py")
        assert found.outer[0] <= found.start and found.end <= found.outer[1]
