"""Stand-ins for what is not installed: good for anything that code does with a package while it is imported, and nothing else."""

from __future__ import annotations

import pytest

from migration.probe import Door, DoorResult
from migration.probe.interpreter import probe
from tests.migration.support import overlay

ENTER = Door("module", "a", "a.py")


def through(code: str, **named: list[str]) -> DoorResult:
    return probe(overlay({"a.py": code, "own/b.py": ""}), [ENTER], **named)[0]


WORKS = [
    "import torch.nn as nn\nclass A(nn.Module): ...\nassert A().anything() is not None\n",
    "from torch.nn import Module\nclass A(Module, int): ...\n",
    "from torch.utils.data import Dataset\nfrom abc import ABC, abstractmethod\nclass A(Dataset, ABC):\n    @abstractmethod\n    def f(self): ...\n",
    "from typing import Generic, TypeVar\nfrom torch.nn import Module\nT = TypeVar('T')\nclass A(Module, Generic[T]): ...\nclass B(A[int]): ...\n",
    "from x import Base\nclass Own:\n    def __init_subclass__(cls, flag):\n        cls.flag = flag\nclass A(Base, Own, flag=3): ...\nassert A.flag == 3\n",
    "from x import Base\nclass A(Base, metaclass=type): ...\n",
    "from x import Base\nclass A(Base[int], flag=True): ...\n",
    "import x\nclass A(x.make(3)): ...\nclass B(A):\n    def __init__(self):\n        super().__init__(1, k=2)\nB().anything\n",
    "from x import Function\nclass F(Function): ...\nswish = F.apply\nswish(1)\n",
    "from torch import no_grad\n@no_grad()\ndef f():\n    return 1\nassert f() == 1\n",
    "from x import wraps\n@wraps\nclass A:\n    y = 1\nassert A.y == 1\n",
    "from x import register\n@register('name', k=1)\nclass A:\n    y = 1\nassert A.y == 1\n",
    "import dataclasses, x\n@dataclasses.dataclass\nclass A:\n    y: x.Tensor = x.zeros(3)\n",
    "import numpy as np\nX = np.arange(3)[..., None] * 2 + np.pi / 3 - 1 ** np.e\nX += 1\nX[0] = 3\n-X, +X, abs(X), ~X, round(X), int(X), float(X), X @ X, 2 / X\n",
    "import torch\nif torch.__version__ >= '2.0' and torch.cuda.is_available():\n    1 / 0\n",
    "import torch\nMAJOR = tuple(int(n) for n in torch.__version__.split('.')[:2])\nassert MAJOR >= (2, 0)\n",
    "import matplotlib.pyplot as plt\nfig, *axes = [*plt.subplots(2), 1]\n",
    "import x\nwith x.open() as f, x.lock:\n    for line in f:\n        1 / 0\n",
    "import x\nassert not x.y and len(x.y) == 0 and x.y not in (1, 2) and 3 not in x.y and not x.y < 3\nf'{x.y:.3f} {x.y!r}'\n",
    "import x.y.z, x.w\nfrom x.y import z, q\nfrom x import *\nx.y.z.deep.deeper(1)(2)[3].last\n",
    "import os, x\nos.path.join('a', x.home)\nos.fspath(x.path)\n",
    "import x\nassert not isinstance(3, x.Tensor) and not isinstance(x, (int, x.A))\n",
    "import x\nasync def f():\n    async with x.a as b:\n        await x.c\n        async for d in x.e:\n            1 / 0\nimport asyncio\nf().send\n",
    "import x\ntry:\n    x.f()\nexcept KeyError:\n    1 / 0\n",
    "import typing, x\nAlias = typing.Optional[x.Tensor]\nOther = dict[str, x.A] | None\nThird = x.A | None\ndef f(a: x.A | int, *b: 'x.B') -> list[x.C]: ...\n",
    "import x\nx.config.update(a=1)\nx.config.key = 3\nx.table['a'] = 1\ndel x.table['a']\n",
    "import ctypes\nctypes.CDLL('libc.so.6').puts(b'x')\n",
]


@pytest.mark.parametrize("code", WORKS)
def test_what_code_does_with_packages_on_import(code: str) -> None:
    result = through(code)
    assert result.ok, result.why


def test_what_was_stood_in_for_is_told() -> None:
    assert set(through("import torch.nn, json\nfrom numpy import array\n").standins) == {"torch", "numpy"}


def test_the_trees_own_names_are_not_stood_in_for() -> None:
    assert through("import own.b\n").standins == []
    assert through("import own.missing\n").error == "ModuleNotFoundError"
    assert through("import gone\n", lost=["gone"]).error == "ModuleNotFoundError"
    assert through("from own import missing\n").error == "ImportError"


def test_a_bare_folder_does_not_keep_an_installed_package_from_being_found() -> None:
    assert through("import own.b\n", external=["own"]).standins == ["own"]
    assert through("import own.b\n").loaded == ["a.py", "own/b.py"]


def test_the_standard_library_is_the_real_one() -> None:
    result = through("import json, enum\nassert json.dumps({1: 2}) == '{\"1\": 2}'\nimport json.missing\n")
    assert result.error == "ModuleNotFoundError" and result.standins == []


@pytest.mark.parametrize(
    "code",
    [
        "import x\nassert x.check()\n",
        "import x\n{1: 2}[x.key]\n",
        "import x\nint(f'{x.n}')\n",
        "from x import *\nname_of_x\n",
    ],
)
def test_an_error_that_may_come_of_a_stand_in_says_so(code: str) -> None:
    result = through(code)
    assert not result.ok and result.limitation


@pytest.mark.parametrize(
    "code", ["import x\nfrom json import missing\n", "import x\nundefined\n", "import x\n'a'.missing\n", "{1: 2}[3]\n"]
)
def test_an_error_of_the_codes_own_does_not(code: str) -> None:
    result = through(code)
    assert not result.ok and not result.limitation
