"""Python imports this as it starts, where the folder is on PYTHONPATH: old names resolve. The next `sitecustomize`, if any, follows."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_HERE = os.path.dirname(os.path.realpath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))

if not any(os.path.realpath(entry) == _ROOT for entry in sys.path):
    sys.path.append(_ROOT)

from legacy.old_names import install  # noqa: E402

install()

_next = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if os.path.realpath(entry) != _HERE])
if _next is not None and _next.loader is not None:
    _next.loader.exec_module(module_from_spec(_next))
