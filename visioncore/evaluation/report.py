"""What is told at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_warn
from rich.console import Console
from rich.table import Table

from visioncore.evaluation.predictions import predict
from visioncore.evaluation.receptive_fields import learnt_maps
from visioncore.evaluation.summary import SessionSummary, mean, overall, summarise


def report(trainer: Any, model: Any, data: Any, folder: Path, plots: bool = True) -> float | None:
    """On rank 0: a table of the sessions, what is reachable where that is known, `plots/`, and where all is; everywhere: the last
    validation's bits per spike.

    folder: the run's; plots: whether to draw them there
    """
    last = trainer.callback_metrics.get("val_bps_overall")
    if trainer.is_global_zero:
        predictions = predict(model, [data.val_dsets[name] for name in data.names], data.batch)
        summaries = []
        for index, (p, config) in enumerate(zip(predictions, data.cfgs, strict=True)):
            maps = None if model.is_modulator_only else partial(learnt_maps, model, p.session, index)
            summaries.append(summarise(p, config, maps))
        console = Console(soft_wrap=True)
        made = table(summaries)
        if not console.is_terminal:
            # a file has no width; rich would take 80 columns, and cut off what does not fit
            wanted = console.measure(made, options=console.options.update(max_width=1000)).maximum
            console.width = max(console.width, wanted)
        console.print(made)
        console.print(sentence(summaries))
        console.print(f"the run is in {folder}", highlight=False)
        if plots:
            _draw(folder, model, summaries, console)
    return None if last is None else float(last)


def table(summaries: Sequence[SessionSummary]) -> Table:
    """A row a session: means over cells. Columns that no session has a value for are left out."""
    columns = {
        "bits": "bits/spike",
        "best": "best",
        "correlation": "corr.",
        "feve": "FEVE",
        "fields": "RF",
    }
    shown = [name for name in columns if overall(summaries, name) is not None]
    meanings = {
        "best": "best: bits per spike of the true rates",
        "correlation": "corr.: of the prediction and the mean response to repeats",
        "feve": "FEVE: fraction of the explainable variance explained",
        "fields": "RF: correlation of the learnt receptive field and the true one, over pixels",
    }
    legend = "\n".join(text for name, text in meanings.items() if name in shown)
    # one blank a column: as narrow as that, all columns fit into 80
    made = Table(
        title="all validation samples, means over cells",
        caption=legend or None,
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    made.add_column("session", no_wrap=True)
    for title in ("samples", "cells", *(columns[name] for name in shown)):
        made.add_column(title, justify="right")
    for summary in summaries:
        scored = int((summary.bits == summary.bits).sum())  # NaN is not itself
        cells = str(scored) if scored == len(summary.bits) else f"{scored} of {len(summary.bits)}"
        values = [mean(getattr(summary, name)) for name in shown]
        made.add_row(summary.name, str(summary.samples), cells, *("–" if v is None else f"{v:.3f}" for v in values))
    if len(summaries) > 1:
        means = [overall(summaries, name) for name in shown]
        made.add_section()
        made.add_row("mean", "", "", *("–" if value is None else f"{value:.3f}" for value in means))
    return made


def sentence(summaries: Sequence[SessionSummary]) -> str:
    """The run in a line."""
    bits = overall(summaries, "bits")
    best = overall(summaries, "best") if all(summary.best is not None for summary in summaries) else None
    unscored = sum(summary.unscored for summary in summaries)
    no_rates = f"the rates of {unscored} {'cell' if unscored == 1 else 'cells'} are NaN, infinite or negative"
    if bits is None:
        return f"validation bits per spike: none, {no_rates if unscored else 'no cell spikes in its valid samples'}"
    told = f"validation bits per spike: {bits:.4f}"
    if best is not None:
        share = f"{bits / best:.2f} of " if best > 0 else ""
        told += f", {share}the best reachable {best:.4f}"
    return f"{told}; {no_rates}, they are left out" if unscored else told


def _draw(folder: Path, model: Any, summaries: Sequence[SessionSummary], console: Console) -> None:
    try:
        from visioncore.evaluation.plots import draw

        drawn = draw(folder / "plots", model, summaries, folder / "csv" / "metrics.csv")
    except ImportError:
        rank_zero_warn("matplotlib is not installed (pip install matplotlib): nothing is drawn")
        return
    console.print(f"drawn: {', '.join(str(path) for path in drawn)}", highlight=False)
