"""deprecate-package: the old paths work, warn once at the line that asks, and end in a helpful error. Asked of fresh interpreters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from migration.codemods import Outcome
from migration.errors import BadInput
from migration.tree import Overlay
from tests.migration.support import overlay, plan_of, run, write_tree

STEP: dict[str, Any] = {
    "kind": "deprecate-package",
    "package": "models/light",
    "moved_to": "models/attic",
    "names": ["Core", "Multi"],
    "message": "models.light is for old checkpoints only.",
    "replacement": "training.light",
}
MOVES: list[dict[str, Any]] = [
    {"kind": "move-module", "source": f"models/light/{name}.py", "target": f"models/attic/{name}.py"}
    for name in ("core", "multi")
]
FILES: dict[str, str | bytes] = {
    "models/__init__.py": "",
    "models/light/__init__.py": '"""Modules."""\nfrom .core import Core\nfrom .multi import Multi\n',
    "models/light/core.py": "class Core:\n    pass\n\n\ndef helper():\n    return 'helped'\n",
    "models/light/multi.py": "from .core import Core\n\n\nclass Multi(Core):\n    pass\n",
}


def deprecated(files: dict[str, str | bytes], *moves: dict[str, Any], **step: Any) -> tuple[Overlay, Outcome]:
    """The tree after the moves and the step, which a second time have nothing to do."""
    tree = overlay(files)
    plan = plan_of(*moves, {**STEP, **step})
    outcome = list(run(tree, plan).values())[-1]
    once = dict(tree.edits)
    assert {o.status for o in run(tree, plan).values()} == {"already done"}
    assert tree.edits == once
    return tree, outcome


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree, _ = deprecated(FILES, *MOVES)
    return write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})


ASK = """
import json, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        exec(compile(sys.argv[1], "user.py", "exec"), scope := {"__name__": "user"})
        found = str(scope.get("found"))
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
print(json.dumps([found, [[w.category.__name__, w.filename, w.lineno, str(w.message)] for w in caught]]))
"""


def ask(root: Path, code: str) -> tuple[str, list[list[Any]]]:
    """What a fresh interpreter calls `found` after `code`, and the warnings on the way."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", ASK, code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found, caught = json.loads(done.stdout)
    return found, caught


CORE = "<class 'models.attic.core.Core'>"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("#\nfrom models.light import Core as found", "models.light.Core"),
        ("import models.light\nfound = models.light.Core", "models.light.Core"),
        ("import models.light as light\nfound = getattr(light, 'Core')", "models.light.Core"),
        ("#\nfrom models.light.core import Core as found", "models.light.core"),
        ("#\nimport models.light.core as c; found = c.Core", "models.light.core"),
        ("#\nimport models.light.core; found = models.light.core.Core", "models.light.core"),
        ("#\nfrom models.light import core; found = core.Core", "models.light.core"),
        ("import models.light\nfound = models.light.core.Core", "models.light.core"),
    ],
)
def test_an_old_path_works_and_warns_once_at_the_line_that_asks(root: Path, code: str, name: str) -> None:
    reason = "models.light is for old checkpoints only. Use training.light instead."
    warned = [["DeprecationWarning", "user.py", 2, f"{name} is deprecated. {reason}"]]
    assert ask(root, code) == (CORE, warned)


def test_importing_the_package_alone_says_nothing(root: Path) -> None:
    assert ask(root, "import models.light, models.attic; found = models.light.__all__") == ("['Core', 'Multi']", [])


def test_a_star_import_brings_every_name_with_a_warning_each(root: Path) -> None:
    found, caught = ask(root, "#\nfrom models.light import *\nfound = (Core.__name__, Multi.__name__)")
    assert found == "('Core', 'Multi')"
    assert [(w[1], w[2], w[3].split()[0]) for w in caught] == [
        ("user.py", 2, "models.light.Core"),
        ("user.py", 2, "models.light.Multi"),
    ]


def test_old_and_new_path_lead_to_the_same_class(root: Path) -> None:
    code = "from models.light.core import Core as A\nfrom models.light import Core as B\n"
    assert ask(root, code + "from models.attic import Core as C\nfound = A is B is C")[0] == "True"


@pytest.mark.parametrize("module", ["models.light.core", "models.light"])
@pytest.mark.parametrize("loads", ["pickle.loads", "pickle._loads"])
def test_a_pickle_of_an_old_class_path_loads(root: Path, module: str, loads: str) -> None:
    pickled = f"c{module}\nCore\n(tR.".encode()
    found, caught = ask(root, f"import pickle\nfound = type({loads}({pickled!r}))")
    assert found == CORE
    assert [w[0] for w in caught] == ["DeprecationWarning"]


def test_names_beside_the_forwarded_ones_are_there_by_the_old_path_too(root: Path) -> None:
    assert ask(root, "from models.light.core import helper; found = helper()")[0] == "helped"


def test_dir_shows_the_forwarded_names(root: Path) -> None:
    found, caught = ask(root, "import models.light; found = {'Core', 'Multi'} <= set(dir(models.light))")
    assert (found, caught) == ("True", [])


def test_a_name_that_never_was_is_an_attribute_error(root: Path) -> None:
    assert ask(root, "import models.light; models.light.Cora")[0].startswith(
        "AttributeError: module 'models.light' has"
    )
    assert ask(root, "from models.light import Cora")[0].startswith("ImportError: cannot import name 'Cora'")
    assert ask(root, "import models.light; found = hasattr(models.light, 'Cora')") == ("False", [])


@pytest.mark.parametrize(
    "code",
    [
        "from models.light import Core",
        "import models.light; models.light.Core",
        "from models.light import *",
        "from models.light import core",
        "import models.light.core",
        "from models.light.core import Core",
    ],
)
@pytest.mark.parametrize("gone", ["models/attic", "models/attic/core.py"])
def test_once_the_modules_are_deleted_the_error_says_what_to_use(root: Path, code: str, gone: str) -> None:
    shutil.rmtree(root / gone) if gone == "models/attic" else (root / gone).unlink()
    (root / "models/attic/__init__.py").write_text("") if gone != "models/attic" else None
    found, caught = ask(root, code)
    assert found.startswith("ImportError: models.light")
    assert "has been removed" in found and "Use training.light instead." in found
    assert caught == []


def test_another_missing_module_is_not_mistaken_for_that(root: Path) -> None:
    (root / "models/attic/core.py").write_text("import torch_that_is_not_there\n")
    for code in ("from models.light import Core", "import models.light.core"):
        assert ask(root, code)[0] == "ModuleNotFoundError: No module named 'torch_that_is_not_there'"


# -- what is written -------------------------------------------------------------------------------------------------------


def test_importers_of_the_tree_take_the_new_path_and_see_no_warning(tmp_path: Path) -> None:
    importers = {
        "use.py": "from models.light import Core as found\n",
        "models/load.py": "def f():\n    from .light import Core, Multi\n    return Core\n",
        "deep.py": "from models.light.core import Core as found\n",
    }
    tree, _ = deprecated({**FILES, **importers}, *MOVES)
    assert tree.read("use.py") == b"from models.attic import Core as found\n"
    assert tree.read("models/load.py") == b"def f():\n    from .attic import Core, Multi\n    return Core\n"
    assert tree.read("deep.py") == b"from models.attic.core import Core as found\n"
    root = write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})
    for module in ("use", "deep"):
        assert ask(root, f"from {module} import found") == (CORE, [])


def test_modules_may_have_been_moved_by_hand_before(tmp_path: Path) -> None:
    files = {path.replace("light/c", "attic/c").replace("light/m", "attic/m"): text for path, text in FILES.items()}
    tree, _ = deprecated({**files, "models/attic/__init__.py": '"""Old."""\n'})
    root = write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})
    assert ask(root, "from models.light import Core as found")[0] == CORE
    assert tree.read("models/attic/__init__.py").startswith(b'"""Old."""\n\nfrom .core import Core\n')


def test_what_else_the_package_does_stays(tmp_path: Path) -> None:
    init = "# Top.\n'''Words with \"\"\" and \\\\.'''\nfrom .core import Core, helper  # both\n# Number.\nN = 3\n__all__ = ['Core', 'N']\n"
    tree, _ = deprecated({**FILES, "models/light/__init__.py": init}, *MOVES)
    text = tree.read("models/light/__init__.py").decode()
    assert text.startswith("# Top.\n")
    assert "helper  # both\n# Number.\nN = 3\n" in text
    root = write_tree(tmp_path, {path: tree.read(path) for path in tree.paths()})
    found, caught = ask(root, "from models.light import N, helper\nimport models.light as m; found = m.__doc__, N")
    assert caught == []
    assert found.startswith("('Words with " + '"' * 3 + r" and \\.") and found.endswith(", 3)")
    assert len(ask(root, "from models.light import Core")[1]) == 1


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("try:\n    from .core import Core\nexcept ImportError:\n    Core = None\n", "Core"),
        ("from .core import *\n", "what `import *` brings"),
    ],
)
def test_a_name_that_the_package_still_binds_itself_is_reported(statement: str, name: str) -> None:
    init = f"{statement}from .multi import Multi\n"
    _, outcome = deprecated({**FILES, "models/light/__init__.py": init}, *MOVES)
    assert [f.message for f in outcome.findings if f.level == "warning"] == [
        f"{name} is still bound by a statement of the package, so asking for it raises no warning"
    ]


def test_where_the_new_home_does_not_export_a_name_importers_take_its_module() -> None:
    files: dict[str, str | bytes] = {
        **FILES,
        "models/attic/__init__.py": "class Core: ...\n",
        "models/attic/multi.py": "class Multi: ...\n",
        "use.py": "from models.light import Core, Multi\n",
    }
    tree, _ = deprecated(files)
    assert tree.read("use.py") == b"from models.attic import Core\nfrom models.attic.multi import Multi\n"
    assert b'"Core": "..attic",' in tree.read("models/light/__init__.py")


def test_the_package_may_import_the_future() -> None:
    init = "from __future__ import annotations\nfrom .core import Core\nfrom .multi import Multi\nN: int = 3\n"
    tree, _ = deprecated({**FILES, "models/light/__init__.py": init}, *MOVES)
    text = tree.read("models/light/__init__.py").decode()
    compile(text, "__init__.py", "exec")
    assert text.index("__future__") < text.index("import importlib") < text.index("N: int = 3")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_endings_and_byte_order_mark_are_kept(newline: str) -> None:
    init = "\ufeff" + '"""Módulos."""\nfrom .core import Core\nfrom .multi import Multi\nN = 1\n'.replace("\n", newline)
    tree, _ = deprecated({**FILES, "models/light/__init__.py": init.encode()}, *MOVES)
    text = tree.read("models/light/__init__.py").decode()
    assert text.startswith('\ufeff"""Módulos.')
    assert text.count("\r\n") == (text.count("\n") if newline == "\r\n" else 0)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ({"names": ["Cora"]}, r"defines 'Cora' \(did you mean 'Core'\?\)"),
        ({"package": "models/lights"}, "field 'package': models/lights/__init__.py: no such file"),
        ({"moved_to": "attic", "names": ["Far"]}, "field 'moved_to': .* share no package"),
    ],
)
def test_bad_input_gets_a_sentence(step: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        deprecated({**FILES, "attic/far.py": "class Far: ...\n"}, *MOVES, **step)


def test_a_package_that_does_not_parse_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"models/light/__init__\.py does not parse"):
        run(overlay({**FILES, "models/light/__init__.py": "def (\n"}), plan_of(STEP))
