"""The report as a run of wandb."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from regression.compare.judge import Comparison
from regression.report.files import ReportError
from regression.report.timing import Measured, measured


def to_wandb(found: Comparison, project: str, files: Sequence[Path], throughput: Measured | None = None) -> str:
    """
    Verdict, pictures and page of the report's `files` as a run of `project`. WANDB_MODE decides; without it the run is offline unless
    somebody is logged in. Returns where the run is, in a line.

    Raises:
        ReportError: wandb is not installed, or it cannot start the run
    """
    check_installed()
    import wandb

    mode: Any = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
    settings = wandb.Settings(silent=True)
    try:
        with wandb.init(project=project, job_type="regression", mode=mode, settings=settings) as run:
            pictures = {f"report/{file.stem}": wandb.Image(str(file)) for file in files if file.suffix == ".png"}
            pages = {
                f"report/{file.stem}": wandb.Html(str(file), inject=False) for file in files if file.suffix == ".html"
            }
            run.log({**pictures, **pages})
            run.summary.update(summary(found, throughput))
            where = run.url if mode == "online" else run.dir  # elsewhere asking for the URL is warned of
    except (wandb.Error, OSError) as error:
        raise ReportError(f"wandb did not take the report: {error}") from error
    return f"wandb, {mode}: {where}"


def check_installed() -> None:
    """Raises ReportError where wandb is not."""
    if find_spec("wandb") is None:
        raise ReportError("wandb is not installed, so nothing is logged: pip install wandb")


def summary(found: Comparison, throughput: Measured | None = None) -> dict[str, Any]:
    """What a table of runs shows of each."""
    first = found.first
    made: dict[str, Any] = {
        "same": found.same,
        "comparable": not found.incomparable,
        "values_compared": sum(found.compared.values()),
        "values_that_differ": sum(1 + d.others for d in found.divergences),
        "values_expected_to_differ": sum(found.expected.values()),
    }
    if first:
        made |= {
            "first/step": first.step,
            "first/phase": first.phase,
            "first/what": str(first),
            "first/means": first.meaning,
        }
    if throughput:
        timing = measured(throughput)
        made |= {"throughput/ratio": timing.ratio, "throughput/verdict": timing.verdict}
    return made


def _logged_in() -> bool:
    """A key in the environment or, as `wandb login` leaves it, in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    netrc = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    return netrc.is_file() and "wandb" in netrc.read_text(errors="replace")
