"""Old module paths import, each with one warning that names the replacement and the line that asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from legacy.checkpoint.rules.moved import table
from legacy.old_names import modules

ROOT = Path(__file__).parents[2]
SHIM = ROOT / "legacy" / "shim"


def python(
    tmp_path: Path, code: str, *path: Path, options: tuple[str, ...] = ("-W", "always::DeprecationWarning")
) -> str:
    """What a script prints and warns."""
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *options, str(script)], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + "".join(
        line for line in done.stderr.splitlines(True) if "Deprecation" in line and "script.py" in line
    )


EVERY = """
import importlib, legacy, warnings
from legacy.old_names import _looked_up, modules
legacy.install()
legacy.install()
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for module, names in modules().items():
        found = importlib.import_module(module)
        assert set(names) <= set(dir(found))
        for name, new in names.items():
            assert getattr(found, name) is _looked_up(new), (module, name)
        importlib.import_module(module)
told = [str(one.message).split(" ")[0] for one in told if "has moved" in str(one.message)]
assert len(told) == len(set(told)), told
assert {module for module, names in modules().items() if names} <= set(told)
import pickle
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    of_script = [pickle.loads(b"c__main__\\nEpochHeartbeat\\n.") for _ in range(2)]
assert of_script[0] is of_script[1] and of_script[0].__module__ == "visioncore.training.callbacks"
(told,) = told
assert "__main__.EpochHeartbeat is visioncore.training.callbacks.EpochHeartbeat now" in str(told.message)
print(len(modules()))
"""


def test_every_path_of_the_table_imports(tmp_path: Path) -> None:
    assert int(python(tmp_path, EVERY, ROOT)) == len(modules())
    assert len(modules()) >= 20 and len(table()) >= 20


USE = """\
import {extra}

import models.lightning.core
import DataYatesV1.models.build
import training.train_ddp_multidataset as script
import models.lightning.core as again
from jake.multidataset_ddp import train_ddp_multidataset
print(script.__name__, again.__all__)
"""


@pytest.mark.parametrize("extra, path", [("legacy; legacy.install()", [ROOT]), ("sys", [SHIM]), ("sys", [SHIM, ROOT])])
def test_one_warning_a_path_with_the_replacement_and_the_line(tmp_path: Path, extra: str, path: list[Path]) -> None:
    out = python(tmp_path, USE.format(extra=extra), *path)
    lines = [line for line in out.splitlines() if "has moved" in line]
    assert [line.split("script.py:")[1].split(":")[0] for line in lines] == ["3", "4", "5", "7"]
    assert "models.lightning.core has moved: PLCoreVisionModel is legacy.lightning.PLCoreVisionModel now" in lines[0]
    assert "DataYatesV1.models.build has moved: build_model is visioncore.models.build_model now" in lines[1]
    assert "visioncore.training" in lines[2] and "training.train_ddp_multidataset has moved" in lines[2]
    assert "training.train_ddp_multidataset ['PLCoreVisionModel']" in out


def test_what_is_really_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("build_model = 'ours'\n")
    code = "from models import build_model\nfrom models import lightning\nprint(build_model, lightning.__all__)"
    out = python(tmp_path, code, SHIM)
    assert "ours ['MultiDatasetPLCore', 'PLCoreVisionModel']" in out and out.count("has moved") == 1


def test_what_never_was_is_still_not_there(tmp_path: Path) -> None:
    code = """
import legacy
legacy.install()
for text in ("import models.nothing", "from models.lightning import Nothing", "import no_such_module", "import __main__; __main__.Nothing"):
    try:
        exec(text)
    except (ImportError, AttributeError) as error:
        print(type(error).__name__, error)
"""
    out = python(tmp_path, code, ROOT)
    assert out.count("ModuleNotFoundError") == 2 and "cannot import name 'Nothing'" in out
    assert "module '__main__' has no attribute 'Nothing'" in out


def test_the_next_sitecustomize_still_runs(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins\nbuiltins.was_here = __file__\n")
    assert python(tmp_path, "print(was_here)", SHIM, own).strip() == str(own / "sitecustomize.py")


def test_starting_with_the_shim_imports_neither_torch_nor_the_table(tmp_path: Path) -> None:
    code = "import sys\nprint({'torch', 'tomllib', 'visioncore', 'lightning'} & set(sys.modules))"
    assert python(tmp_path, code, SHIM).strip() == "set()"


def test_with_the_old_package_really_there(tmp_path: Path) -> None:
    """The folder `legacy` itself is on the path: `lightning` is still the library, and what `DataYatesV1` lacks comes from the table."""
    code = """
import lightning, lightning.pytorch, DataYatesV1.utils.data
from DataYatesV1.models.lightning import PLCoreVisionModel
import legacy.lightning
print("site-packages" in lightning.__file__, issubclass(PLCoreVisionModel, lightning.pytorch.LightningModule))
print(PLCoreVisionModel is legacy.lightning.PLCoreVisionModel)
"""
    assert python(tmp_path, code, SHIM, ROOT / "legacy", ROOT).split()[:3] == ["True", "True", "True"]


def test_the_old_classes_are_those_of_lightning_however_early_they_are_asked_for(tmp_path: Path) -> None:
    code = """
import legacy
legacy.install()
from models.lightning.core import PLCoreVisionModel
import models.losses.poisson
import lightning.pytorch as pl
print(issubclass(PLCoreVisionModel, pl.LightningModule), models.losses.poisson.MaskedLoss.__name__)
"""
    assert "True MaskedLoss" in python(tmp_path, code, ROOT)
