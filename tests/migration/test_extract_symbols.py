"""extract-symbols, one claim a test: what a moved definition takes with it, and what it leaves behind."""

from __future__ import annotations

from textwrap import dedent

import pytest

from migration.errors import BadInput
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of, run


def extract(files: dict[str, str | bytes], *steps: tuple[str, str, list[str]], **more: object) -> Overlay:
    tree = overlay({p: dedent(t) if isinstance(t, str) else t for p, t in files.items()})
    run(
        tree,
        plan_of(
            *({"kind": "extract-symbols", "source": s, "target": t, "symbols": names, **more} for s, t, names in steps)
        ),
    )
    return tree


def moved(text: str | bytes, *names: str, target: str = "parts.py") -> tuple[str, str]:
    """(target's text, what is left of the source) of a one-step extraction out of main.py."""
    tree = extract({"main.py": text}, ("main.py", target, list(names)))
    return tree.read(target).decode(), tree.read("main.py").decode()


def imports(text: str) -> list[str]:
    """Import lines at the top level, in order."""
    return [line for line in text.splitlines() if line.startswith(("import ", "from "))]


def test_a_definition_takes_its_banner_decorators_comments_and_blank_lines_along() -> None:
    piece = dedent("""\
        # -------- #
        #  helpers #
        # -------- #

        # what it does
        @staticmethod
        def f(x):  # trailing

            # inside
            return x

    """)
    target, left = moved(f"import os\n\n{piece}\nprint(os.sep)\n", "f")
    assert piece.rstrip("\n") in target
    assert "helpers" not in left
    assert "# what it does" not in left


@pytest.mark.parametrize("indent", [" ", "   ", "        ", "\t", "    \t"])
def test_any_indentation_comes_out_letter_for_letter(indent: str) -> None:
    piece = f"class A:\n{indent}def m(self):\n{indent}{indent}return 1\n"
    target, _ = moved(piece + "B = 2\nprint(B)\n", "A")
    assert piece in target


def test_only_the_needed_names_of_a_one_line_import_list_come_along() -> None:
    target, left = moved("import os, sys, math as m\ndef f(): return m.pi\nprint(os.sep, sys.path)\n", "f")
    assert imports(target) == ["import math as m"]
    assert "import os, sys\n" in left


def test_a_submodule_import_comes_along_where_its_dotted_name_is_used() -> None:
    target, _ = moved(
        "import torch, torch.nn as nn\nimport torch.utils.data\ndef f(): return torch.utils.data, nn\ntorch\n", "f"
    )
    assert (
        imports(target) == ["import torch.nn as nn", "import torch.utils.data"] or "import torch.utils.data" in target
    )


def test_a_bracketed_import_is_split_and_keeps_its_layout() -> None:
    source = "from lib import (Used,\n                 Moved,\n                 Other)\ndef f(): return Moved\nprint(Used, Other)\n"
    target, left = moved(source, "f")
    assert imports(target) == ["from lib import Moved"]
    assert "from lib import (Used,\n                 Other)\n" in left


@pytest.mark.parametrize(
    "definition",
    [
        "def f(x: Need): pass\n",
        "def f() -> Need: pass\n",
        'def f(x: "Need"): pass\n',
        'def f(x: "list[Need]"): pass\n',
        "@Need\ndef f(): pass\n",
        "@Need.wrap(1)\ndef f(): pass\n",
        "def f(x=Need): pass\n",
        "class f(Need): pass\n",
        "class f(metaclass=Need): pass\n",
        "class f:\n    x: Need = None\n",
        "class f:\n    def m(self, x: 'Need'): pass\n",
        "def f():\n    return [Need for _ in range(3)]\n",
        "def f():\n    def g():\n        return lambda: Need\n    return g\n",
        "async def f():\n    async with Need() as x:\n        yield x\n",
        "def f():\n    match 1:\n        case Need.x: pass\n",
        "f = Need\n",
        "f: int = Need.value\n",
    ],
)
def test_an_import_is_found_wherever_the_name_is_used(definition: str) -> None:
    target, left = moved("from lib import Need, Unneeded\n" + definition + "print(Unneeded)\n", "f")
    assert imports(target) == ["from lib import Need"]
    assert "from lib import Unneeded\n" in left


def test_a_local_name_that_spells_like_an_import_does_not_bring_the_import() -> None:
    target, _ = moved("import os\ndef f(os): return os.sep\nprint(os)\n", "f")
    assert imports(target) == []


def test_an_import_nobody_used_before_stays_where_it_is() -> None:
    _, left = moved("import readline\nimport os\ndef f(): return os\n", "f")
    assert "import readline\n" in left
    assert "import os\n" not in left


def test_a_constant_only_the_moved_code_uses_goes_along_with_its_comment() -> None:
    target, left = moved("# metres\nLIMIT = 3\nOTHER = 4\ndef f(): return LIMIT\nprint(OTHER)\n", "f")
    assert "# metres\nLIMIT = 3\n" in target
    assert "LIMIT = 3" not in left
    assert "OTHER = 4\n" in left


def test_a_helper_others_use_too_is_imported_from_where_it_stays() -> None:
    target, left = moved("def h(): return 1\ndef f(): return h()\ndef g(): return h()\n", "f")
    assert imports(target) == ["from main import h"]
    assert "def h(): return 1\n" in left


def test_a_class_that_shadows_its_own_base_keeps_its_import() -> None:
    target, left = moved(
        "from torch.utils.data import Dataset, DataLoader\nclass Dataset(Dataset): pass\nprint(DataLoader(Dataset()))\n",
        "Dataset",
    )
    assert imports(target) == ["from torch.utils.data import Dataset"]
    assert "from torch.utils.data import DataLoader\nfrom parts import Dataset\n" in left


def test_what_a_later_step_takes_away_is_imported_from_its_new_home() -> None:
    source = "class Schedule: pass\nclass Model:\n    def s(self): return Schedule()\n"
    tree = extract({"main.py": source}, ("main.py", "model.py", ["Model"]), ("main.py", "schedules.py", ["Schedule"]))
    assert "from schedules import Schedule\n" in tree.read("model.py").decode()
    assert "__getattr__" not in tree.read("main.py").decode()


def test_a_statement_with_an_effect_runs_from_a_module_that_every_door_opens_first() -> None:
    tree = extract(
        {
            "training/train.py": "import torch\ntorch.set_float32_matmul_precision('medium')  # why\nclass A(torch.nn.Module): pass\nclass B: pass\n"
        },
        ("training/train.py", "training/a.py", ["A"]),
    )
    assert (
        tree.read("training/_train_setup.py")
        .decode()
        .endswith("import torch\ntorch.set_float32_matmul_precision('medium')  # why\n")
    )
    for path in ("training/a.py", "training/train.py"):
        assert "import training._train_setup" in tree.read(path).decode()
    assert "set_float32" not in tree.read("training/train.py").decode()


def test_statements_that_run_on_import_keep_their_place_among_the_imports() -> None:
    source = (
        "import os\nimport sys\n\n# before torch is there\nos.environ['A'] = '1'\nimport torch\nimport numpy\n"
        "torch.set_num_threads(1)\nclass A(torch.nn.Module): pass\nclass B: n = numpy, os.sep\n"
    )
    tree = extract({"main.py": source}, ("main.py", "a.py", ["A"]))
    setup = tree.read("_main_setup.py").decode()
    assert setup.endswith(
        "import os\n\n# before torch is there\nos.environ['A'] = '1'\nimport torch\ntorch.set_num_threads(1)\n"
    )
    left = tree.read("main.py").decode()
    assert left.index("import sys") < left.index("import _main_setup") < left.index("import numpy")
    assert tree.read("a.py").decode().index("import _main_setup") < tree.read("a.py").decode().index("import torch")


def test_a_guarded_import_is_resolved_from_its_new_home() -> None:
    guard = (
        "try:\n    from regularizers import make\nexcept ImportError as e:\n    print(e)\n    def make(): return []\n"
    )
    tree = extract(
        {
            "training/train.py": guard + "def f(): return make()\n",
            "training/regularizers.py": "def make(): return [1]\n",
        },
        ("training/train.py", "training/lightning/f.py", ["f"]),
    )
    target = tree.read("training/lightning/f.py").decode()
    assert "from training.regularizers import make\nexcept ImportError as e:" in target
    assert "make" not in tree.read("training/train.py").decode()


def test_future_imports_come_along() -> None:
    target, left = moved(
        '"""Doc."""\nfrom __future__ import annotations\ndef f(x: Later): pass\nclass Later: pass\nLater\n', "f"
    )
    assert "from __future__ import annotations\n" in target
    assert "from __future__ import annotations\n" in left


def test_a_type_checking_block_comes_along_reduced_to_what_is_needed() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lib import A, B\ndef f(x: 'A'): pass\ndef g(x: 'B'): pass\n"
    target, _ = moved(source, "f")
    assert "from typing import TYPE_CHECKING\n" in target
    assert "if TYPE_CHECKING:\n    from lib import A\n" in target


def test_a_definition_chosen_by_if_moves_whole() -> None:
    source = (
        "import sys\nif sys.version_info > (3,):\n    def f(): return 3\nelse:\n    def f(): return 2\nprint(f())\n"
    )
    target, left = moved(source, "f")
    assert source[source.index("if sys") : source.index("print")] in target
    assert imports(target) == ["import sys"]
    assert "def f" not in left


def test_a_star_import_comes_along_where_a_name_may_come_from_it() -> None:
    target, _ = moved("from lib import *\ndef f(): return unknown\ndef g(): return 1\n", "f")
    assert imports(target) == ["from lib import *"]
    target, _ = moved("from lib import *\ndef f(): return len([])\ndef g(): return 1\n", "f")
    assert imports(target) == []


def test_relative_imports_are_counted_from_the_new_place() -> None:
    tree = extract(
        {
            "pkg/__init__.py": "",
            "pkg/losses.py": "L = 1\n",
            "pkg/main.py": "from .losses import L\nfrom . import losses\ndef f(): return L, losses\n",
        },
        ("pkg/main.py", "pkg/sub/f.py", ["f"]),
    )
    assert imports(tree.read("pkg/sub/f.py").decode()) == ["from ..losses import L", "from .. import losses"]


def test_crlf_files_stay_crlf() -> None:
    tree = extract(
        {"main.py": b"import os\r\ndef f():\r\n    return os\r\ndef g(): pass\r\n"}, ("main.py", "parts.py", ["f"])
    )
    for path in ("main.py", "parts.py"):
        assert b"\n" not in tree.read(path).replace(b"\r\n", b"")


def test_a_byte_order_mark_stays_on_the_source_and_is_not_copied() -> None:
    tree = extract({"main.py": b"\xef\xbb\xbfdef f(): pass\ndef g(): pass\n"}, ("main.py", "parts.py", ["f"]))
    assert tree.read("main.py").startswith(b"\xef\xbb\xbf")
    assert b"\xef\xbb\xbf" not in tree.read("parts.py")


def test_non_ascii_identifiers_and_text_keep_their_slices() -> None:
    piece = 'def größe(α): return α  # „ü"\n'
    target, left = moved("# ünïcödé ✓\nx = 1\n" + piece + "print(x)\n", "größe")
    assert piece in target
    assert left.startswith("# ünïcödé ✓\nx = 1\n") or "x = 1\n" in left


def test_a_file_without_a_final_newline_gets_one_for_what_moves_and_keeps_the_rest() -> None:
    target, left = moved("def g(): pass\ndef f(): return 1", "f")
    assert target.endswith("def f(): return 1\n")
    assert left.startswith("from parts") or "def g(): pass" in left


def test_a_second_move_into_a_file_appends_in_order() -> None:
    tree = extract(
        {"main.py": "import os\ndef a(): return os\ndef b(): return os\ndef c(): pass\n"},
        ("main.py", "p.py", ["b"]),
        ("main.py", "p.py", ["a"]),
    )
    text = tree.read("p.py").decode()
    assert text.count("import os") == 1
    assert "def a(): return os\n" in text
    assert "def b(): return os\n" in text


def test_an_existing_target_keeps_its_text_and_stops_importing_what_arrives() -> None:
    files = {
        "main.py": "def f(): return 1\ndef g(): pass\n",
        "parts.py": '"""Parts."""\nfrom main import f, g\nx = f()\n',
    }
    with_import = extract(files, ("main.py", "parts.py", ["f"]))
    text = with_import.read("parts.py").decode()
    assert text.startswith('"""Parts."""\nfrom main import g\n')
    assert "def f(): return 1\n" in text


def test_a_new_package_exports_the_public_names_of_the_plan() -> None:
    tree = extract(
        {"t/main.py": "class A: pass\nclass _B: pass\nclass C: pass\n"},
        ("t/main.py", "t/parts/a.py", ["A", "_B"]),
        ("t/main.py", "t/parts/c.py", ["C"]),
    )
    init = tree.read("t/parts/__init__.py").decode()
    assert imports(init) == ["from .a import A", "from .c import C"]
    assert '__all__ = ["A", "C"]' in init


def test_the_old_module_answers_for_what_left_unless_the_plan_says_no() -> None:
    _, left = moved("def f(): pass\ndef g(): pass\n", "f")
    assert "from parts import f as f\n" in left
    tree = extract({"main.py": "def f(): pass\ndef g(): pass\n"}, ("main.py", "parts.py", ["f"]), reexport=False)
    assert "parts" not in tree.read("main.py").decode()


def test_names_in_all_stay_in_all() -> None:
    target, left = moved('__all__ = ["f", "g"]\ndef f(): pass\ndef g(): pass\n', "f")
    assert '__all__ = ["f", "g"]\n' in left
    assert "from parts import f\n" in left
    assert '__all__ = ["f"]\n' in target


def test_a_shebang_stays_with_the_script() -> None:
    target, left = moved(
        "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n# about f\ndef f(): pass\ndef g(): pass\n", "f"
    )
    assert left.startswith("#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n")
    assert "#!" not in target
    assert "# about f\ndef f(): pass\n" in target


def test_the_import_of_what_left_lands_below_the_path_line_it_needs() -> None:
    source = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parents[1]))\nX = 1\ndef f(): return 1\nprint(f(), X)\n"
    tree = extract({"s/main.py": source}, ("s/main.py", "s/parts.py", ["f"]))
    left = tree.read("s/main.py").decode()
    assert left.index("sys.path.insert") < left.index("from s.parts import f") < left.index("print(f(), X)")


def test_comments_inside_a_split_import_are_kept() -> None:
    target, left = moved(
        "from lib import (\n    A,  # for f\n    B,  # for g\n)\ndef f(): return A\ndef g(): return B\n", "f"
    )
    assert "# for f" in target + left
    assert "# for g" in left


def test_line_drift_is_reported_and_not_fatal() -> None:
    tree = overlay({"main.py": "\n\ndef f():\n    pass\n"})
    plan = plan_of(
        {
            "kind": "extract-symbols",
            "source": "main.py",
            "target": "p.py",
            "symbols": ["f"],
            "expect_lines": {"f": [1, 2]},
        }
    )
    messages = [f.message for f in run(tree, plan)["1"].findings]
    assert any("expects lines 1–2, found at 3–4" in m for m in messages)


@pytest.mark.parametrize(
    ("files", "symbols", "sentence"),
    [
        ({"main.py": "def first(): pass\n"}, ["frist"], "did you mean 'first'"),
        ({"main.py": "def f(): pass\ndef f(): pass\n"}, ["f"], "defined 2 times"),
        ({"main.py": "def f(): pass\n", "p.py": "def f(): pass\n"}, ["f"], "defined in both"),
        ({"main.py": "def f(:\n"}, ["f"], "main.py:1: does not parse"),
        ({"main.py": "from lib import f\n"}, ["f"], "only imported there"),
        ({"other.py": "def f(): pass\n"}, ["f"], "no such file"),
        ({"main.py": "def f(): return np\nimport numpy as np\n", "p.py": "np = 3\n"}, ["f"], "rename one"),
        (
            {"main.py": "N = 0\ndef f():\n    global N\n    N += 1\ndef g(): return 1\nprint(N)\n"},
            ["f"],
            "rebind the module-level name 'N'",
        ),
    ],
)
def test_bad_input_gets_a_sentence(files: dict[str, str], symbols: list[str], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        extract(dict(files), ("main.py", "p.py", symbols))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "BATCH = 8\nclass f:\n    size = lambda self: BATCH\nif __name__ == '__main__':\n    if f:\n        BATCH = 9\n",
            r"main.py:6: 'BATCH' is bound in the main guard, and f \(line 2\), which goes to p.py, .* pass it as an argument",
        ),
        ("def f(): return args\nif __name__ == '__main__':\n    args = 1\n    f()\n", "main.py:3: 'args' is bound in"),
        ("def f(): return sys\nif __name__ == '__main__':\n    import sys\n", "import it at the top of the file"),
    ],
)
def test_what_the_main_guard_binds_cannot_be_read_from_another_module(source: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        extract({"main.py": source}, ("main.py", "p.py", ["f"]))


def test_an_import_that_the_main_guard_repeats_is_taken_from_the_top() -> None:
    target, _ = moved("import sys\ndef f(): return sys\nif __name__ == '__main__':\n    import sys\n    f(sys)\n", "f")
    assert imports(target) == ["import sys"]
