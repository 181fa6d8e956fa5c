"""extract-symbols where names are found at run time: registries, star imports, namespaces, attributes put on a class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from migration.engine import Run, rehearse
from migration.tree import Overlay
from tests.migration.fresh import run_script
from tests.migration.gates.checks import check_of, fatal
from tests.migration.support import overlay, plan_of, write_tree

ZOO = """\
    MODELS = {}


    def register(name):
        def wrap(cls):
            MODELS[name] = cls
            return cls

        return wrap


    @register("small")
    class Small:
        pass


    @register("large")
    class Large:
        pass


    def create(name):
        return MODELS[name]()
    """
USER = "from lab.zoo import create\nprint(type(create('small')).__name__, type(create('large')).__name__)\n"


def migrated(files: Mapping[str, str | bytes], *steps: tuple[str, str, list[str]], **more: object) -> Run:
    """The plan over `files`, all gates holding."""
    tree = overlay({path: dedent(t) if isinstance(t, str) else t for path, t in files.items()})
    plan = plan_of(
        *({"kind": "extract-symbols", "source": s, "target": t, "symbols": names, **more} for s, t, names in steps)
    )
    done = rehearse(tree, plan)
    done.settle()
    return done


def printed(tree: Overlay, folder: Path, script: str) -> str:
    write_tree(folder, {path: tree.read(path) for path in tree.paths()})
    status, said = run_script(folder, script)
    assert status == 0, said
    return said


def same(done: Run, tmp_path: Path, script: str) -> str:
    """What a script prints, before and after alike."""
    said = printed(done.before, tmp_path / "before", script)
    assert printed(done.after, tmp_path / "after", script) == said
    return said


def warnings(done: Run) -> list[str]:
    return [
        f"{f.path}:{f.line}: {f.message}" for o in done.outcomes.values() for f in o.findings if f.level == "warning"
    ]


@pytest.mark.parametrize("reexport", [True, False])
def test_what_enters_itself_in_a_registry_is_still_loaded_with_it(tmp_path: Path, reexport: bool) -> None:
    files = {"lab/__init__.py": "", "lab/zoo.py": ZOO, "train.py": USER}
    steps = [("lab/zoo.py", "lab/small.py", ["Small"]), ("lab/zoo.py", "lab/large.py", ["Large"])]
    done = migrated(files, *steps, reexport=reexport)
    assert same(done, tmp_path, "train.py") == "Small Large\n"
    left = done.after.read("lab/zoo.py").decode()
    assert left.index("import lab.small as") < left.index("import lab.large as")


def test_a_registry_that_moves_loads_what_enters_itself_there(tmp_path: Path) -> None:
    files = {"lab/__init__.py": "", "lab/zoo.py": ZOO, "train.py": USER}
    registry = ("lab/zoo.py", "lab/registry.py", ["MODELS", "register", "create"])
    done = migrated(files, registry, ("lab/zoo.py", "lab/nets.py", ["Small", "Large"]))
    assert done.after.read("train.py").startswith(b"from lab.registry import create\n")
    assert same(done, tmp_path, "train.py") == "Small Large\n"


def test_a_subclass_that_its_base_hears_of_is_still_loaded_with_the_base(tmp_path: Path) -> None:
    text = """\
        class Base:
            found = []

            def __init_subclass__(cls):
                Base.found.append(cls.__name__)


        class A(Base):
            pass


        if __name__ == "__main__":
            print(Base.found)
        """
    done = migrated({"train.py": text}, ("train.py", "parts/a.py", ["A"]))
    assert same(done, tmp_path, "train.py") == "['A']\n"


def test_a_decorator_that_keeps_nothing_has_nothing_loaded() -> None:
    text = """\
        import functools


        def timed(f):
            @functools.wraps(f)
            def inner(*args):
                return f(*args)

            return inner


        @timed
        @functools.lru_cache
        def f():
            return g()


        @timed
        def g():
            return 1


        def h():
            return f()
        """
    done = migrated({"train.py": text}, ("train.py", "parts/f.py", ["f"]))
    assert "registers" not in done.after.read("train.py").decode()


def test_a_registry_of_another_module_is_loaded_by_the_source_and_said() -> None:
    files = {
        "registry.py": "REG = {}\ndef register(c):\n    REG[c.__name__] = c\n    return c\n",
        "train.py": "from registry import REG, register\n@register\nclass Net: pass\nprint(REG['Net'])\n",
    }
    done = migrated(files, ("train.py", "parts.py", ["Net"]), reexport=False)
    assert "import parts as _parts" in done.after.read("train.py").decode()
    assert any("train.py:2: Net may make itself known" in w for w in warnings(done))


LEANING = """\
    import math


    def act(x):
        return max(x, 0)


    class Net:
        def f(self, x):
            return act(x)


    def mlp():
        return act(1)
    """


def test_a_star_import_brings_what_moved_and_what_stayed(tmp_path: Path) -> None:
    files = {
        "a/__init__.py": "from .nets import *\n",
        "a/nets.py": LEANING,
        "use.py": "from a import Net\nfrom a.nets import *\nprint(Net().f(2), mlp(), math.pi, sorted(n for n in globals() if n[0] != '_'))\n",
    }
    done = migrated(files, ("a/nets.py", "a/net/core.py", ["Net"]))
    assert "2 1 3.14" in same(done, tmp_path, "use.py")


def test_the_gate_sees_what_a_star_import_no_longer_brings() -> None:
    files = {
        "a/__init__.py": "from .nets import *\n",
        "a/nets.py": "class Net: pass\ndef f(): pass\n",
        "use.py": "from a.nets import *\nNet\n",
    }
    said = fatal(
        check_of(files, {"a/nets.py": "def f(): pass\n", "a/core.py": "class Net: pass\n"}), "importers-resolve"
    )
    assert [s.partition(": ")[0] for s in said] == ["a/__init__.py:1", "use.py:1"]


def test_looking_into_a_namespace_is_warned_of_where_names_are_answered_for_on_demand() -> None:
    files = {
        "nets.py": LEANING + "\n\n    def build(name):\n        return globals()[name]()\n",
        "main.py": "import nets as n\nprint(n.__dict__['Net'])\nprint(vars(n)['Net'])\nn.Net = None\n",
    }
    said = warnings(migrated(files, ("nets.py", "net.py", ["Net"])))
    assert any(w.startswith("nets.py:18: globals() does not find Net") for w in said)
    assert sorted(w.partition(": ")[0] for w in said if w.startswith("main.py")) == [
        "main.py:2",
        "main.py:3",
        "main.py:4",
    ]


def test_a_moved_function_that_looks_names_up_is_warned_of() -> None:
    files = {"main.py": "class A: pass\ndef make(n):\n    return globals()[n]()\ndef calc(n):\n    return eval(n)\n"}
    said = warnings(migrated(files, ("main.py", "p.py", ["make", "calc"])))
    assert [w.partition(", ")[0] for w in said] == [
        "main.py:3: make looks names up with globals()",
        "main.py:5: calc looks names up with eval()",
    ]


@pytest.mark.parametrize("uses", ["", "print(_default(0))\n"])
def test_what_is_put_on_a_class_goes_where_the_class_goes(tmp_path: Path, uses: str) -> None:
    files = {
        "lab.py": f"class Enc:\n    pass\n\n\ndef _default(self):\n    return 3\n\n\nEnc.default = _default\nsetattr(Enc, 'more', 4)\n{uses}",
        "use.py": "from lab import Enc\nprint(Enc().default(), Enc.more)\n",
    }
    done = migrated(files, ("lab.py", "enc.py", ["Enc"]))
    assert b"from enc import Enc" in done.after.read("use.py")
    assert same(done, tmp_path, "use.py").endswith("3 4\n")


def test_what_is_done_to_several_classes_at_once_and_stays_is_warned_of() -> None:
    files = {"lab.py": "class A: pass\nclass B: pass\nfor n in (1, 2):\n    A.n = n\n    B.n = n\n"}
    said = warnings(migrated(files, ("lab.py", "a.py", ["A"]), ("lab.py", "b.py", ["B"])))
    assert [w.partition(", ")[0] for w in said] == ["lab.py:3: changes A", "lab.py:3: changes B"]
