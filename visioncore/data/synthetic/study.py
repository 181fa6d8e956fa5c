"""A folder of synthetic sessions, as a lab would have it: recordings, quality control, dataset YAMLs, model YAMLs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visioncore.data.filters import QC
from visioncore.data.formats import SUFFIXES, write_recording
from visioncore.data.synthetic.models import model_configs
from visioncore.data.synthetic.session import RATE_HZ, TYPES, SyntheticSession, make_session
from visioncore.data.synthetic.truth import save_truth

SUBJECTS = ("Allen", "Logan")


@dataclass(frozen=True)
class SyntheticStudy:
    """configs_path: the folder of dataset YAMLs; models: model YAMLs by name; sessions: the folders of the sessions by name."""

    folder: Path
    configs_path: Path
    models: dict[str, Path]
    sessions: dict[str, Path]

    @property
    def model_config(self) -> Path:
        """The model that learns fast."""
        return self.models["small"]


def write_sessions(
    folder: str | Path,
    n_sessions: int = 3,
    *,
    size: int = 15,
    lags: int = 8,
    frames: int = 3000,
    n_units: int = 10,
    n_dead: int = 1,
    seed: int = 0,
    suffix: str = ".dset",
    types: tuple[str, ...] = TYPES,
) -> SyntheticStudy:
    """Write a study into `folder`; the same arguments give the same numbers.

    size: pixels a side; lags: frames of history a cell looks back on; frames: of each stimulus type, at 120 Hz; n_dead: cells whose
    spikes are lost below threshold all along, so that not one of their samples is valid; suffix: the format of the recordings.

    Raises ValueError: a study that cannot be; OSError as the disk has it.
    """
    if suffix not in SUFFIXES:
        raise ValueError(f"suffix {suffix!r}: one of {', '.join(SUFFIXES)} is expected")
    if n_sessions < 1 or not 0 <= n_dead < n_units or frames < 500 or size < 7 or lags < 2:
        raise ValueError(
            f"{n_sessions} sessions of {frames} frames of {size} × {size} pixels, {lags} lags, {n_units} units of which {n_dead} dead: "
            "at least 1 session, 500 frames, 7 pixels, 2 lags and one unit alive are expected"
        )
    root = Path(folder)
    configs, sessions = root / "configs", {}
    for index in range(n_sessions):
        name = f"{SUBJECTS[index % 2]}_2022-{index // 28 % 12 + 1:02}-{index % 28 + 1:02}"
        made = make_session(
            seed * 1000 + index, name, size=size, lags=lags, frames=frames, n_units=n_units, n_dead=n_dead, types=types
        )
        sessions[name] = root / "sessions" / name
        _write_session(made, sessions[name], suffix)
        _write_yaml(configs / f"{name}.yaml", _dataset_config(made, lags))
    models = {name: root / "models" / f"{name}.yaml" for name in model_configs(size, lags)}
    for name, config in model_configs(size, lags).items():
        _write_yaml(models[name], config)
    return SyntheticStudy(root, configs, models, sessions)


def default_study(folder: Path) -> SyntheticStudy:
    """The study of a newcomer's first run, made once."""
    done = folder / "study.json"
    arguments: dict[str, Any] = {"n_sessions": 3, "frames": 4000, "seed": 0}
    if done.is_file() and json.loads(done.read_text()) == arguments:
        configs = folder / "configs"
        names = sorted(path.stem for path in configs.glob("*.yaml"))
        models = {path.stem: path for path in (folder / "models").glob("*.yaml")}
        return SyntheticStudy(folder, configs, models, {name: folder / "sessions" / name for name in names})
    study = write_sessions(folder, **arguments)
    done.write_text(json.dumps(arguments))
    return study


def _write_session(session: SyntheticSession, folder: Path, suffix: str) -> None:
    for kind, recording in session.recordings.items():
        write_recording(recording, folder / "datasets" / f"{kind}{suffix}")
    save_truth(session, folder / "truth.npz")
    path = folder / QC
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **_truncation(session))  # type: ignore[arg-type]


def _truncation(session: SyntheticSession) -> dict[str, NDArray[Any]]:
    """Windows of one minute through the recordings; a dead cell was well seen in an hour before them, and never after."""
    times = [recording["t_bins"].numpy() for recording in session.recordings.values()]
    recorded = [
        (start, min(start + 60, span[-1] + 1 / RATE_HZ)) for span in times for start in np.arange(span[0], span[-1], 60)
    ]
    before = [(-3600.0 + 60 * minute, -3600.0 + 60 * (minute + 1)) for minute in range(len(recorded) + 1)]
    windows = np.array(before + recorded)
    blocks, cids, percent = [], [], []
    for cell, dead in enumerate(session.dead):
        blocks.append(windows)
        cids.append(np.full(len(windows), cell))
        percent.append(np.where(windows[:, 0] < 0, 5.0, 90.0 if dead else 5.0))
    return {"window_blocks": np.concatenate(blocks), "cid": np.concatenate(cids), "mpcts": np.concatenate(percent)}


def _dataset_config(session: SyntheticSession, lags: int) -> dict[str, Any]:
    velocity = [{"diff": {"axis": 0}}, {"maxnorm": {}}, {"symlog": {}}, {"splitrelu": {"split_dim": 1}}]
    return {
        "session": session.name,
        "lab": "yates",
        "session_dir": "../sessions",
        "types": list(session.recordings),
        "sampling": {"source_rate": RATE_HZ, "target_rate": RATE_HZ},
        "keys_lags": {"robs": 0, "stim": list(range(lags)), "behavior": 0, "dfs": 0},
        "transforms": {
            "stim": {"source": "stim", "ops": [{"pixelnorm": {}}, {"unsqueeze": 1}], "expose_as": "stim"},
            "eye_vel": {"source": "eyepos", "ops": velocity, "expose_as": "behavior", "concatenate": True},
            "eye_pos": {"source": "eyepos", "ops": [], "expose_as": "behavior", "concatenate": True},
        },
        "datafilters": {
            "dfs": {"ops": [{"valid_nlags": {"n_lags": lags}}, {"missing_pct": {"threshold": 45}}], "expose_as": "dfs"}
        },
        "train_val_split": 0.8,
        "seed": 1002,
        "cids": list(range(len(session.cells))),
    }


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120))
