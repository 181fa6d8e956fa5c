"""Where a run's numbers go: a CSV file, and wandb."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_info, rank_zero_only, rank_zero_warn

from visioncore.run.settings import Settings, SettingsError


def make_loggers(
    settings: Settings, resumed_at: int | None = None, environment: Mapping[str, str] = os.environ
) -> list[Logger]:
    """The loggers of `settings.loggers`, which write on rank 0 only. resumed_at: the optimiser step from which the run goes on.

    wandb is offline where nobody is logged in and WANDB_MODE does not say otherwise. Raises SettingsError where it was asked for
    and is not installed; where it was not, the run does without.
    """
    loggers: list[Logger] = []
    for kind in settings.logger_kinds:
        if kind == "csv":
            loggers.append(_csv(settings, resumed_at))
        elif find_spec("wandb") is not None:
            loggers.append(_wandb(settings, environment))
        elif "loggers" in settings.given:
            raise SettingsError("loggers: wandb is not installed; pip install wandb, or --loggers csv")
        else:
            rank_zero_info("wandb is not installed (pip install wandb): numbers go to the CSV file only")
    return loggers


def _csv(settings: Settings, resumed_at: int | None) -> CSVLogger:
    """One file a run, on disk after every entry; a resumed run goes on with it from where its checkpoint was saved."""
    logger = CSVLogger(save_dir=settings.folder, name="", version="csv", flush_logs_every_n_steps=1)
    path = Path(logger.log_dir) / "metrics.csv"
    if resumed_at is None or not path.is_file() or getattr(rank_zero_only, "rank", 0) != 0:
        return logger
    before = _rows(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it deletes the file: it is written again
        writer = logger.experiment
    writer.metrics.extend(row for row in before if int(row["step"]) < resumed_at)
    writer.save()
    return logger


def _rows(path: Path) -> list[dict[str, str]]:
    """What the file says by its columns; rows that were not written to their end, as a killed run may leave one, are told and left out."""
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    rows = list(csv.DictReader(line for line in lines if line.endswith("\n")))
    whole = [row for row in rows if None not in row and None not in row.values() and str(row.get("step")).isdecimal()]
    if damaged := max(len(lines) - 1, 0) - len(whole):
        rank_zero_warn(f"{path}: {damaged} of {len(lines) - 1} rows are damaged, and left out")
    return [{key: value for key, value in row.items() if value} for row in whole]


def _wandb(settings: Settings, environment: Mapping[str, str]) -> WandbLogger:
    mode = environment.get("WANDB_MODE")
    offline = mode == "offline" or (mode is None and not _logged_in(environment))
    folder = settings.folder.absolute() / "wandb"  # wandb writes from a process of its own, wherever that was started
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"settings": _quiet()} if offline else {}
    return WandbLogger(
        project=settings.project_name, name=settings.name, save_dir=folder.parent, offline=offline, **options
    )


def _logged_in(environment: Mapping[str, str]) -> bool:
    """A key in the environment or, as `wandb login` leaves it, in the netrc file."""
    if environment.get("WANDB_API_KEY"):
        return True
    netrc = Path(environment.get("NETRC", Path.home() / ".netrc"))
    return netrc.is_file() and "wandb" in netrc.read_text(errors="replace")


def _quiet() -> Any:
    import wandb

    return wandb.Settings(silent=True)
