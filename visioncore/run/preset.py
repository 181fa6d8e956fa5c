"""What a run without a model and sessions trains: a small model on synthetic sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from visioncore.run.settings import Settings, SettingsError

# Two minutes on two cores, data included, at which the model explains more than half of what can be explained
QUICK: dict[str, Any] = {
    "batch_size": 256,
    "learning_rate": 3e-3,
    "lr_scheduler": "cosine_warmup",
    "warmup_epochs": 1,
    "max_epochs": 8,
    "steps_per_epoch": 60,
    "precision": "32",
    "val_fraction": 1.0,
    "experiment_name": "synthetic",
    "project_name": "synthetic",
}


def complete(settings: Settings) -> tuple[Settings, str, str]:
    """The settings with a model YAML and a folder of dataset YAMLs in them, and these two.

    Raises SettingsError: a model without sessions, or the other way round.
    """
    model, sessions = settings.model_config, settings.dataset_configs_path
    if sessions is None and (settings.synthetic or model is None):
        return _synthetic(settings)
    if settings.synthetic:
        raise SettingsError(
            f"synthetic sessions are asked for, and dataset_configs_path {sessions}; one of them is expected"
        )
    if model is None or sessions is None:
        given, missing = (
            ("model_config", "dataset_configs_path") if sessions is None else ("dataset_configs_path", "model_config")
        )
        raise SettingsError(
            f"{given} is given without --{missing}; both are expected, or neither for synthetic sessions"
        )
    for name, path in (("model_config", model), ("dataset_configs_path", sessions)):
        if not Path(path).exists():
            raise SettingsError(f"{name}: there is no {path}")
    return settings, model, sessions


def _synthetic(settings: Settings) -> tuple[Settings, str, str]:
    from visioncore.data.synthetic import default_study

    quick = settings.with_defaults(**QUICK)
    quick.make_folder()
    study = default_study(Path(quick.checkpoint_dir) / "synthetic-sessions")
    model, sessions = quick.model_config or str(study.model_config), str(study.configs_path)
    return quick.with_defaults(model_config=model, dataset_configs_path=sessions), model, sessions
