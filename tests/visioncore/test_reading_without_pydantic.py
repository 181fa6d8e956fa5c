"""On a machine without pydantic configs are read all the same, with a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from visioncore.data.synthetic import write_sessions

ROOT = Path(__file__).parents[2]
CODE = """
import sys, warnings
sys.modules["pydantic"] = None

from visioncore.models import load_config, load_dataset_configs, build_model
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    configs = load_dataset_configs([sys.argv[2]])
    build_model(load_config(sys.argv[1]), configs)
    from visioncore.data.prepare import prepare_session
    from visioncore.compat import Compat
    print(len(prepare_session(configs[0], Compat()).train) > 0)
print(sum("pydantic is not installed" in str(w.message) for w in told))
"""


def test_sessions_and_networks_are_made(tmp_path: Path) -> None:
    study = write_sessions(tmp_path, 1, size=9, lags=4, frames=600, n_units=3)
    config = next(study.configs_path.iterdir())
    command = [sys.executable, "-c", CODE, str(study.model_config), str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "1"], done.stderr
