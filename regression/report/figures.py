"""Pictures of two runs, for the page as SVG in the page's own colours, for everything else as PNG."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, ScalarFormatter

from regression.report.curves import Line
from regression.report.facts import Facts
from regression.report.timing import Timing

# blue and vermilion are told apart by every kind of eye (Okabe and Ito, 2008); on the page each is a variable of style.css
INK, SOFT, RULE, OLD, NEW, BAND = "#20242a", "#5d6570", "#e4e1db", "#0072b2", "#d55e00", "#cfe3f1"
VARIABLES = {INK: "--ink", SOFT: "--soft", RULE: "--line", OLD: "--old", NEW: "--new", BAND: "--band"}
MOST_PANELS = 9
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
}


@dataclass(frozen=True)
class Picture:
    """`name` is part of its file's name, `said` what it shows, for those who do not see it."""

    name: str
    title: str
    said: str
    figure: Figure


def pictures(facts: Facts) -> Iterator[Picture]:
    """Those for which there are numbers."""
    drawn, first = facts.curves, facts.found.first
    mark = first.step if first else None
    if not drawn.loss.empty:
        said = _said(drawn.loss, "The loss of every training batch")
        if mark:
            said += " The dotted line is at the first difference."
        yield Picture("losses", "Loss", said, losses(drawn.loss, mark))
    if drawn.rates:
        same = sum(line.same for line in drawn.rates)
        said = (
            "equal at every step"
            if same == len(drawn.rates)
            else f"{len(drawn.rates) - same} of {len(drawn.rates)} curves differ"
        )
        yield Picture(
            "rates", "Learning rate", f"The learning rate of each parameter group: {said}.", rates(drawn.rates)
        )
    if not drawn.gradients.empty:
        said = _said(drawn.gradients, "The 2-norm of all gradients, before and after clipping, to six digits")
        yield Picture("gradients", "Gradient norm", said, gradients(drawn.gradients, drawn.clipped))
    if drawn.validated:
        chosen = [*sorted(drawn.validated, key=lambda line: (line.same, "/" in line.name))][:MOST_PANELS]
        differ = sum(not line.same for line in drawn.validated)
        said = (
            f"{differ} of {len(drawn.validated)} different" if differ else f"{len(drawn.validated)} of them, all equal"
        )
        if len(chosen) < len(drawn.validated):
            said += f"; {len(chosen)} drawn"
        yield Picture(
            "validation",
            "Validation",
            f"The metrics of each validation: {said}.",
            metrics(chosen, "epoch" if drawn.by_epoch else "step"),
        )
    if facts.timing and facts.timing.pairs:
        yield Picture("throughput", "Throughput", f"{facts.timing}.", throughput(facts.timing))


def losses(loss: Line, mark: int | None) -> Figure:
    """Both losses, and below them how far apart they are, where they are."""
    if loss.same:
        figure, (above,) = _panels(1, 1, 3.2)
    else:
        figure, (above, below) = _panels(2, 1, 5.0, heights=(3, 2))
        _difference(below, loss)
    _both(above, loss)
    above.set_ylabel("loss")
    _legend(figure)
    for axes in figure.axes:
        if mark:
            axes.axvline(mark, color=SOFT, linewidth=0.8, linestyle=":")
    figure.axes[-1].set_xlabel("step")
    return figure


def _difference(axes: Axes, line: Line) -> None:
    """On a logarithmic axis; equal values, which have no logarithm, stand on its floor."""
    apart = line.differences
    seen = [value for value in apart if value > 0 and math.isfinite(value)]
    top = math.ceil(math.log10(max(seen))) if seen else 0
    floor = (math.floor(math.log10(min(seen))) if seen else -1) - 1
    heights = [floor if value == 0 else math.log10(value) if math.isfinite(value) else math.nan for value in apart]
    axes.plot(line.x, heights, color=INK, linewidth=1.1, marker="." if len(line.x) <= 60 else "", markersize=4)
    decades = range(floor + 1, top + 1, max(1, (top - floor) // 4))
    axes.set_yticks([floor, *decades])
    # exponents are few, and the SVG keeps them as text
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "equal" if y == floor else f"1e{y:+.0f}"))
    axes.set_ylim(floor - 0.3, max(top, floor + 1) + 0.3)
    axes.set_ylabel("|new − old|")


def rates(lines: Sequence[Line]) -> Figure:
    """A panel for each group, or for groups that are alike, all to one scale."""
    return metrics(lines[:MOST_PANELS], "step", "learning rate")


def gradients(before: Line, after: Line) -> Figure:
    """Side by side, on the same scale, where clipping changes them."""
    clips = not after.empty and (after.old, after.new) != (before.old, before.new)
    figure, panels = _panels(1, 2 if clips else 1, 2.8, shared=True)
    for axes, line in zip(panels, (before, after), strict=False):
        _both(axes, line)
        axes.set_title(line.name if clips else "", loc="left", color=SOFT, fontsize=9)
        axes.set_xlabel("step")
    panels[0].set_ylabel("2-norm of all gradients")
    panels[0].set_ylim(bottom=0)
    _legend(figure)
    return figure


def metrics(lines: Sequence[Line], over: str, what: str = "") -> Figure:
    """A small panel for each; those of one quantity, named by `what`, share its axis."""
    columns = min(3, len(lines))
    rows = math.ceil(len(lines) / columns)
    figure, panels = _panels(rows, columns, 0.7 + (2.3 if rows == 1 else 1.9 * rows), shared=bool(what))
    for axes, line in zip(panels, lines, strict=False):
        _both(axes, line, marker="" if what or len(line.x) > 60 else "o")
        axes.set_title(line.name if len(line.name) < 44 else f"{line.name[:43]}…", loc="left", fontsize=9)
        axes.set_xlabel(over)
    for axes in panels[::columns] if what else ():
        axes.set_ylabel(what)
        axes.set_ylim(bottom=0)
    for axes in panels[len(lines) :]:
        axes.set_visible(False)
    _legend(figure)
    return figure


def throughput(timing: Timing) -> Figure:
    """Each pair's two times, less is better, and each pair's ratio of throughput, more is better, with the interval of its median."""
    figure, (times, ratios) = _panels(1, 2, 3.0)
    x = list(range(1, len(timing.pairs) + 1))
    for i, pair in zip(x, timing.pairs, strict=True):
        times.plot([i, i], [pair.old, pair.new], color=SOFT, linewidth=1)
    times.plot(x, [pair.old for pair in timing.pairs], "o", color=OLD, label="old")
    times.plot(x, [pair.new for pair in timing.pairs], "D", color=NEW, markersize=5, label="new")
    times.set_ylabel(f"ms a {timing.unit}")
    times.set_xlabel("pair")
    _legend(figure)
    ratios.axhspan(timing.low, timing.high, color=BAND, linewidth=0, zorder=0)
    ratios.plot(x, [pair.ratio for pair in timing.pairs], "o", color=INK, markersize=4)
    above = timing.ratio >= timing.threshold
    for text, y, style, is_above in (
        ("median", timing.ratio, "-", above),
        ("asked for", timing.threshold, "--", not above),
    ):
        ratios.axhline(y, color=SOFT, linewidth=1.2, linestyle=style)
        beside: Any = {
            "xycoords": ("axes fraction", "data"),
            "textcoords": "offset points",
            "va": "bottom" if is_above else "top",
        }
        ratios.annotate(f"{text} {y:.3f}", (1, y), (6, 0), color=SOFT, fontsize=9, **beside)
    ratios.set_ylabel("throughput, new / old")
    ratios.set_xlabel("pair")
    return figure


def png(figure: Figure) -> bytes:
    into = io.BytesIO()
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(into, format="png", dpi=130)
    return into.getvalue()


def svg(picture: Picture) -> str:
    """An element for the page: its colours are the page's, its ids its own, and it names no other file."""
    into = io.BytesIO()
    with matplotlib.rc_context(SETTINGS):
        picture.figure.savefig(into, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = into.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>| xmlns(:xlink)?=\"[^\"]*\"", "", text, flags=re.DOTALL)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{picture.name}-", text)
    text = re.sub(r'^<svg width="[^"]*" height="[^"]*"', "<svg", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text


def _panels(
    rows: int, columns: int, height: float, heights: Sequence[float] | None = None, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(11, height), layout="constrained", facecolor="#ffffff")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=shared, height_ratios=heights)
    panels: list[Axes] = list(grid.flat)
    for axes in panels:
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(SOFT)
        axes.tick_params(colors=SOFT, length=3)
        axes.grid(axis="y", color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.xaxis.label.set_color(SOFT)
        axes.yaxis.label.set_color(SOFT)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        plain = ScalarFormatter(useOffset=False)
        plain.set_scientific(False)
        axes.yaxis.set_major_formatter(plain)
    return figure, panels


def _both(axes: Axes, line: Line, marker: str = "") -> None:
    """The new run thin on the old one wide, so that both are seen where they are one."""
    marker = marker or ("o" if len(line.x) == 1 else "")
    axes.plot(
        line.x,
        line.old,
        color=OLD,
        linewidth=4,
        alpha=0.45,
        marker=marker,
        markersize=8,
        markeredgewidth=0,
        label="old",
        solid_capstyle="round",
    )
    axes.plot(line.x, line.new, color=NEW, linewidth=1.4, marker=marker, markersize=3.5, label="new")


def _legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, frameon=False, loc="outside upper right", ncols=2, borderpad=0, labelcolor=INK, fontsize=9
    )


def _said(line: Line, what: str) -> str:
    if line.same:
        return f"{what}: equal everywhere."
    differ = sum(value != 0 for value in line.differences)
    return f"{what}: {differ} of {len(line.x)} steps differ."
