"""Who leans on whom, and a drawing of it in which nothing lies over anything else."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.report.graph import draw, fitted, len_of, picture
from migration.report.imports import imports_of
from migration.report.layout import Layout, layered
from tests.migration.support import overlay

MODULE = "training/train.py"


def edges(files: dict[str, str | bytes], *paths: str) -> set[tuple[str, str, str, tuple[str, ...]]]:
    tree = overlay({MODULE: "class A: pass\n", **files})
    return {(e.importer, e.module, e.role, e.names) for e in imports_of(tree, paths or (MODULE,))}


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("a.py", "from training.train import A, B as C\n", ("A", "B")),
        ("a.py", "import training.train as t\n", ()),
        ("a.py", "from training import train\n", ()),
        ("a.py", "def f():\n    if 1:\n        from training.train import A\n", ("A",)),
        ("training/b.py", "from .train import A\n", ("A",)),
        ("training/b.py", "from . import train\n", ()),
        ("training/b.py", "from train import A\n", ("A",)),
        (
            "other/b.py",
            "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'training'))\nfrom train import A\n",
            ("A",),
        ),
    ],
)
def test_an_import_of_any_form_is_found(path: str, text: str, names: tuple[str, ...]) -> None:
    assert edges({path: text}) == {(path, MODULE, "import", names)}


@pytest.mark.parametrize(
    ("path", "text", "role"),
    [
        ("run.sh", "python training/train.py --n 3\n", "call"),
        ("jobs/run.sh", "python ../training/train.py\n", "call"),
        ("jobs/run.sh", 'CMD="python $ROOT/training/train.py"\n', "call"),
        ("jobs/run.sh", "python ${ROOT}/training/train.py\n", "call"),
        ("jobs/run.sh", "cd ..; python train.py\n", "call"),
        ("run.sh", "torchrun -m training.train\n", "call"),
        ("conf/a.yaml", "_target_: training.train.A\n", "mention"),
        ("a.py", "import subprocess\nsubprocess.run(['python', 'training/train.py'])\n", "mention"),
    ],
)
def test_a_call_or_a_dotted_name_is_found(path: str, text: str, role: str) -> None:
    assert edges({path: text}) == {(path, MODULE, role, ())}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run.sh", "# python training/train.py\n"),
        ("run.sh", "python training/train.pyc my_train.py training/train.py.backup\n"),
        ("run.sh", "python training/retrain.py pretraining.train\n"),
        ("notes.md", "training/train.py\n"),
        ("a.py", "from training.trainer import A\n"),
        ("a.py", '"""See training/train.py."""\n'),
        ("b/a.py", "import train\n"),
        ("logs/wandb/run-1/files/code/a.py", "from training.train import A\n"),
    ],
)
def test_what_only_looks_like_a_use_is_none(path: str, text: str) -> None:
    assert edges({path: text}) == set()


def test_a_dotted_name_means_the_innermost_module_alone() -> None:
    files: dict[str, str | bytes] = {
        "pkg/__init__.py": "",
        "pkg/sub/__init__.py": "",
        "pkg/sub/a.py": "",
        "c.yaml": "_target_: pkg.sub.a.Net\n",
    }
    assert edges(files, *(path for path in files if path.endswith(".py"))) == {
        ("c.yaml", "pkg/sub/a.py", "mention", ())
    }


def test_a_bare_name_that_two_files_bear_is_nobody() -> None:
    files: dict[str, str | bytes] = {
        "jake/train.py": "",
        "jobs/run.sh": "python train.py\n",
        "jake/run.sh": "python train.py\n",
    }
    assert edges(files, MODULE, "jake/train.py") == {("jake/run.sh", "jake/train.py", "call", ())}


def test_notebook_cells_count_magics_and_all() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["import training.train"]},
        {"cell_type": "code", "source": ["%load_ext autoreload\n", "from training.train import A"]},
    ]
    shell = [{"cell_type": "code", "source": "!python training/train.py\nx = ("}]
    assert edges(
        {
            "a.ipynb": json.dumps({"cells": cells}),
            "b.ipynb": json.dumps({"cells": shell}),
            "c.ipynb": "{broken training.train",
        }
    ) == {
        ("a.ipynb", MODULE, "import", ("A",)),
        ("b.ipynb", MODULE, "call", ()),
    }


def test_a_file_that_does_not_parse_is_read_as_text() -> None:
    assert edges({"a.py": "def broken(:\n    run('training/train.py')\n"}) == {("a.py", MODULE, "mention", ())}


def test_each_pair_comes_once_with_its_first_line() -> None:
    tree = overlay({MODULE: "", "a.py": "x = 1\nimport training.train\nfrom training.train import A\n"})
    (edge,) = imports_of(tree, [MODULE])
    assert (edge.line, edge.names) == (2, ("A",))


def test_a_very_long_line_takes_no_time_to_speak_of() -> None:
    assert edges({"a.json": '{"training": "' + "ab/" * 300_000 + '"}'}) == set()


KEYS = [f"k{i}" for i in range(9)]
PAIRS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)).filter(lambda p: p[0] != p[1]), max_size=24, unique=True
)
SIZES = st.fixed_dictionaries({key: st.tuples(st.floats(50, 300), st.floats(30, 400)) for key in KEYS})


@given(sizes=SIZES, pairs=PAIRS)
def test_boxes_never_overlap_and_no_arrow_runs_over_a_box(
    sizes: dict[str, tuple[float, float]], pairs: list[tuple[str, str]]
) -> None:
    found = layered(sizes, pairs)
    assert set(found.boxes) == set(sizes) and set(found.routes) == set(pairs)
    for a, b in itertools.combinations(found.boxes.values(), 2):
        assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
    for box in found.boxes.values():
        assert (
            box.x >= 0
            and box.y >= -1e-6
            and box.x + box.width <= found.width + 1e-6
            and box.y + box.height <= found.height + 1e-6
        )
    assert not crossed(found)


def crossed(found: Layout) -> list[tuple[tuple[str, str], str]]:
    """Arrows whose level stretch within a column touches a box of that column."""
    over = []
    for pair, points in found.routes.items():
        for (x0, y0), (x1, _) in itertools.pairwise(points[1:-1]):
            over += [
                (pair, key)
                for key, b in found.boxes.items()
                if min(x0, x1) < b.x + b.width and b.x < max(x0, x1) and b.y < y0 < b.y + b.height and key not in pair
            ]
    return over


@given(sizes=SIZES, pairs=PAIRS)
def test_arrows_of_a_graph_without_cycles_point_right(
    sizes: dict[str, tuple[float, float]], pairs: list[tuple[str, str]]
) -> None:
    found = layered(sizes, [(a, b) for a, b in pairs if a < b])
    assert all(points[0][0] < points[-1][0] for points in found.routes.values())


def test_nothing_to_draw_is_an_empty_drawing() -> None:
    assert layered({}, []) == Layout({}, {}, 0.0, 0.0)


def test_a_definition_has_one_colour_in_both_homes_and_the_rest_has_none() -> None:
    files: dict[str, str | bytes] = {
        MODULE: "class A: pass\ndef main(): pass\n",
        "jake/train.py": "class A: pass\n",
        "run.sh": "python training/train.py\n",
    }
    tree = overlay(files)
    drawn = picture(tree, [MODULE, "jake/train.py"], imports_of(tree, [MODULE]), {"A": 4}, {"jake/train.py": "goes"})
    assert [(line.label, line.colour) for key in (MODULE, "jake/train.py") for line in drawn.nodes[key].lines] == [
        ("A", 4),
        ("main", None),
        ("A", 4),
    ]
    assert drawn.nodes["jake/train.py"].tag == "goes"
    assert [(a, b, imports) for a, b, imports, _ in drawn.arrows] == [("run.sh", MODULE, False)]


def test_many_importers_are_few_boxes_that_still_name_them() -> None:
    files: dict[str, str | bytes] = {f"jake/d{i % 40}/look{i}.py": "from training.train import A\n" for i in range(200)}
    tree = overlay({MODULE: "class A: pass\n", **files})
    drawn = picture(tree, [MODULE], imports_of(tree, [MODULE]), {}, {})
    assert len(drawn.nodes) < 20
    assert all(path in "\n".join(node.hint for node in drawn.nodes.values()) for path in files)


def test_a_long_module_shows_what_moves_and_counts_the_rest() -> None:
    text = "".join(f"def f{i}(): pass\n" for i in range(60))
    drawn = picture(overlay({MODULE: text}), [MODULE], [], {"f59": 0}, {})
    labels = [line.label for line in drawn.nodes[MODULE].lines]
    assert len(labels) == 18 and "f59" in labels and labels[-1] == "… and 43 more"


def test_the_drawing_is_well_formed_whatever_the_names_are() -> None:
    path = "a<b>&\"c'/<script>alert(1)</script>.py"
    tree = overlay({path: "class 名前: pass\n", "run <x>.sh": "python x\n"})
    svg = draw(picture(tree, [path], [], {"名前": 0}, {}), 'a "title" <b>', "before")
    root = ET.fromstring(svg)
    assert root.get("aria-label") == 'a "title" <b>'
    assert "<script>" not in svg


@given(st.text(max_size=60), st.integers(2, 30))
def test_fitted_text_fits(text: str, columns: int) -> None:
    assert len_of(fitted(text, columns)) <= columns


def test_fitted_text_keeps_both_ends() -> None:
    assert fitted("model_load_eval_stack_multidataset.py", 21) == "model_load…dataset.py"
