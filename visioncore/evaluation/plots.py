"""A run in pictures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visioncore.evaluation.summary import SessionSummary, mean

MAX_SESSIONS = 8  # in a picture of all sessions; more cannot be told apart


def draw(folder: Path, module: Any, summaries: Sequence[SessionSummary], metrics: Path | None) -> list[Path]:
    """Loss curves, bits per spike of each cell, learnt temporal filters and readout positions, as far as the model has them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, figure in (
        ("loss", _loss(pyplot, metrics)),
        ("bits_per_spike", _bits(pyplot, summaries)),
        ("temporal_filters", _filters(pyplot, module)),
        ("readout_positions", _positions(pyplot, module, [summary.name for summary in summaries])),
    ):
        if figure is not None:
            path = folder / f"{name}.png"
            figure.savefig(path, dpi=120, bbox_inches="tight")
            pyplot.close(figure)
            drawn.append(path)
    return drawn


def read_metrics(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Epochs and values by key, of a CSV file that Lightning's logger wrote."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for key, value in row.items():
                if value and row.get("epoch") and key not in ("epoch", "step"):
                    epochs, values = curves.setdefault(key, ([], []))
                    epochs.append(float(row["epoch"]))
                    values.append(float(value))
    return curves


def _loss(pyplot: Any, metrics: Path | None) -> Any:
    if metrics is None or not metrics.is_file():
        return None
    curves = read_metrics(metrics)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2))
    for key, label in (("train_loss", "training"), ("val_loss", "validation")):
        if key in curves:
            left.plot(*curves[key], marker=".", label=label)
    left.set(xlabel="epoch", ylabel="Poisson loss (nats per bin)")
    left.legend(frameon=False)
    if "val_bps_overall" in curves:
        right.plot(*curves["val_bps_overall"], marker=".", color="black")
    right.axhline(0, linewidth=0.5, color="grey")
    right.set(xlabel="epoch", ylabel="validation bits per spike")
    return _bare(figure)


def _bits(pyplot: Any, summaries: Sequence[SessionSummary]) -> Any:
    columns = min(len(summaries), 4)
    rows = -(-len(summaries) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(2.8 * columns, 2.6 * rows), squeeze=False, sharey=True)
    for axis in axes.flat[len(summaries) :]:
        axis.set_visible(False)
    for axis, summary in zip(axes.flat, summaries, strict=False):
        order = np.argsort(-np.nan_to_num(summary.bits, nan=-np.inf))
        cells = np.arange(len(order))
        if summary.best is not None:
            axis.plot(
                cells, summary.best[order], color="grey", linestyle="", marker="_", markersize=9, label="best reachable"
            )
        axis.bar(cells, summary.bits[order], width=0.7, label="model")
        average = mean(summary.bits)
        axis.set_title(f"{summary.name}\nmean {'–' if average is None else format(average, '.3f')}", fontsize=8)
        axis.axhline(0, linewidth=0.5, color="grey")
        axis.set_xlabel("cell, sorted", fontsize=8)
    axes[0][0].set_ylabel("bits per spike")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure = _bare(figure)
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False, fontsize=8)
    return figure


def _filters(pyplot: Any, module: Any) -> Any:
    convolution = getattr(module.model.frontend, "temporal_conv", None)
    if convolution is None:
        return None
    kernels = convolution.weight.detach().float().cpu()[:, 0]
    if not module.model.compat.lag_order:
        kernels = kernels.flip(-1)  # inside the network time runs forwards
    figure, axis = pyplot.subplots(figsize=(4.2, 3.2))
    for i, kernel in enumerate(kernels):
        axis.plot(np.arange(len(kernel)), kernel, marker=".", label=f"channel {i}")
    axis.axhline(0, linewidth=0.5, color="grey")
    axis.set(xlabel="lag (frames before the spike)", ylabel="weight", title="temporal filters")
    axis.legend(frameon=False, fontsize=7)
    return _bare(figure)


def _positions(pyplot: Any, module: Any, names: Sequence[str]) -> Any:
    placed = [
        (name, readout) for name, readout in zip(names, module.model.readouts, strict=True) if hasattr(readout, "mean")
    ]
    if not placed:
        return None
    figure, axis = pyplot.subplots(figsize=(4.2, 4.2))
    for name, readout in placed[:MAX_SESSIONS]:
        position = torch.as_tensor(readout.mean).detach().float().cpu()
        axis.plot(position[:, 0], position[:, 1], linestyle="", marker="o", markersize=4, alpha=0.7, label=name)
    axis.set(
        xlim=(-1.05, 1.05),
        ylim=(1.05, -1.05),
        aspect="equal",
        xlabel="x (−1 left, 1 right)",
        ylabel="y (−1 top, 1 bottom)",
    )
    axis.set_title(
        f"readout positions{f' ({MAX_SESSIONS} of {len(placed)} sessions)' if len(placed) > MAX_SESSIONS else ''}"
    )
    axis.legend(frameon=False, fontsize=7)
    return _bare(figure)


def _bare(figure: Any) -> Any:
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
