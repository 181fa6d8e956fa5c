from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from visioncore.run.loggers import make_loggers
from visioncore.run.settings import Settings, from_values


def settings(folder: Path, **values: Any) -> Settings:
    return from_values({"checkpoint_dir": str(folder), "experiment_name": "run", **values})


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "run" / "csv" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_csv_is_on_disk_after_every_entry(tmp_path: Path) -> None:
    (logger,) = make_loggers(settings(tmp_path, loggers="csv"))
    logger.log_metrics({"loss": 0.5}, step=3)
    assert rows(tmp_path) == [{"loss": "0.5", "step": "3"}]


def test_a_resumed_run_goes_on_with_its_csv(tmp_path: Path) -> None:
    (logger,) = make_loggers(settings(tmp_path, loggers="csv"))
    for step in range(4):
        logger.log_metrics({"loss": step / 2}, step=step)
    (resumed,) = make_loggers(settings(tmp_path, loggers="csv"), resumed_at=2)
    resumed.log_metrics({"loss": 9.0, "more": 1}, step=2)
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [("0", "0.0"), ("1", "0.5"), ("2", "9.0")]


def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    (logger,) = make_loggers(settings(tmp_path, loggers="csv"))
    for step in range(3):
        logger.log_metrics({"loss": step / 4}, step=step)
    metrics = tmp_path / "run" / "csv" / "metrics.csv"
    metrics.write_bytes(metrics.read_bytes()[:-3])
    with pytest.warns(UserWarning, match="1 of 3 rows are damaged"):
        make_loggers(settings(tmp_path, loggers="csv"), resumed_at=9)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1"]


def test_a_new_run_begins_a_new_csv(tmp_path: Path) -> None:
    for _ in range(2):
        (logger,) = make_loggers(settings(tmp_path, loggers="csv"))
        logger.log_metrics({"loss": 1.0}, step=0)
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize(
    ("environment", "offline"),
    [
        ({}, True),
        ({"WANDB_API_KEY": "k"}, False),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": "k"}, True),
        ({"WANDB_MODE": "online"}, False),
    ],
)
def test_wandb_is_offline_where_nobody_is_logged_in(tmp_path: Path, environment: dict[str, str], offline: bool) -> None:
    pytest.importorskip("wandb")
    home = {"NETRC": str(tmp_path / "netrc"), **environment}
    (logger,) = make_loggers(settings(tmp_path, loggers="wandb"), environment=home)
    assert logger._offline == offline  # type: ignore[attr-defined]


def test_a_netrc_is_a_login(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password x\n")
    (logger,) = make_loggers(settings(tmp_path, loggers="wandb"), environment={"NETRC": str(tmp_path / "netrc")})
    assert not logger._offline  # type: ignore[attr-defined]


def test_wandbs_folder_does_not_depend_on_where_its_process_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    (logger,) = make_loggers(settings(Path("here"), loggers="wandb"), environment={"NETRC": str(tmp_path / "netrc")})
    assert Path(logger.save_dir or "") == tmp_path / "here" / "run"
