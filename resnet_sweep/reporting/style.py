"""How every figure looks: sizes, colours that colour-blind readers tell apart, PNG and SVG."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from resnet_sweep.reporting.statistics import Array
from resnet_sweep.system.atomic import replacing

# Okabe and Ito (2008).
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, SKY, PURPLE, BLACK = "#E69F00", "#56B4E9", "#CC79A7", "#000000"
GREY = "#8A8A8A"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
# Readable in every kind of colour vision and in grey.
COLORMAP = "cividis"
STATUS_COLORS = {
    "completed": BLUE,
    "pruned": ORANGE,
    "rejected": "#404040",
    "failed": VERMILION,
    "diverged": PURPLE,
    "out_of_memory": BLACK,
    "interrupted": SKY,
    "running": GREEN,
}
STATUS_MARKERS = {"completed": "o", "pruned": "v", "rejected": "|", "failed": "X", "diverged": "D"}
STATUS_MARKERS |= {"running": ">"}
WIDTH = 7.2
DPI = 150
LABELLED_DIGITS = (
    (1, 1.5, 2, 3, 4, 5, 6, 7, 8),
    (1, 1.5, 2, 3, 4, 6),
    (1, 2, 3, 5),
    (1, 2, 5),
    (1, 3),
    (1,),
)
LABEL_GAP = 0.75  # the least distance of two labels, of the share of an axis that each one has
# Beyond this many points an SVG holds them as an image.
MAX_VECTOR_POINTS = 2000
RC: Any = {  # matplotlib types the keys one by one
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "resnet_sweep",
}


class NotDrawnError(Exception):
    """A figure that these runs cannot fill; the message says why."""


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the style to figures made and saved inside; a glyph no font has is no alarm."""
    with matplotlib.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def new_figure(height: float = 4.2, width: float = WIDTH) -> Figure:
    """Return an empty figure; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write `stem`.png and `stem`.svg."""
    paths = [folder / f"{stem}.png", folder / f"{stem}.svg"]
    figure.set_dpi(DPI)
    with replacing(paths[0]) as file:
        png: Any = FigureCanvasAgg(figure)  # `savefig` would draw each file twice
        png.print_png(file)
    figure.set_layout_engine("none")  # it is laid out; once more would double the time
    with replacing(paths[1]) as file:
        svg: Any = FigureCanvasSVG(figure)
        svg.print_svg(file, metadata={"Date": None})
    return paths


def plain(text: str, length: int = 40) -> str:
    """Return text of a config as a label: no formulas, no hidden legend entry, not too long.

    What cannot be printed, as bytes of a file name that are no UTF-8, becomes a question mark.
    """
    text = "".join(c if c.isprintable() else "?" for c in text)
    if len(text) > length:
        text = f"{text[: length // 2 - 1]}…{text[-(length // 2) :]}"
    text = text.replace("\\", "/").replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def limit_to_typical(axes: Axes, y: Array, sign: int) -> None:
    """Show where most values lie, as `typical_limits` says."""
    limits = typical_limits(y, sign)
    if limits is not None:
        axes.set_ylim(*limits)


def typical_limits(y: Array, sign: int) -> tuple[float, float] | None:
    """Return where most values lie, and a little more: a few bad ones must not squeeze the rest.

    Args:
        sign: 1 where large values are good, -1 where small ones are.
    """
    finite = sign * y[np.isfinite(y)]
    if not len(finite):
        return None
    best, typical = (float(v) for v in np.quantile(finite, [1, 0.25]))
    worst = max(float(finite.min()), typical - 2 * (best - typical))
    low, high = sorted([sign * worst, sign * best])
    margin = 0.05 * (high - low) or 0.01
    return low - margin, high + margin


def keep_to_fractions(axes: Axes) -> None:
    """Cut the axis of an accuracy to [0, 1]: an interval of two seeds may reach beyond."""
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, 0.0), min(high, 1.0))


def mark_outside(axes: Axes, x: Array, y: Array, color: str, size: float = 18) -> int:
    """Mark at the edge what lies outside the limits, and return how many those are."""
    low, high = axes.get_ylim()
    count = 0
    for outside, marker, height in ((y < low, "v", 0.015), (y > high, "^", 0.985)):
        places = x[outside & np.isfinite(x)]
        count += len(places)
        if len(places):
            heights = np.full(len(places), height)
            edge = axes.get_xaxis_transform()
            drawn = axes.scatter(places, heights, size, color, marker=marker, transform=edge, lw=0)
            drawn.set_rasterized(is_many(len(places)))
    return count


def use_log_scale(axis: Axis, values: Array, max_labels: int = 4) -> None:
    """Use a logarithmic axis with a few labels that are plain numbers."""
    finite = values[np.isfinite(values)]
    decades = math.log10(finite.max() / finite.min())
    least = LABEL_GAP * decades / max_labels
    choices = [
        digits for digits in LABELLED_DIGITS if np.diff(np.log10([*digits, 10])).min() >= least
    ]
    scale = axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale
    scale("log")
    axis.set_major_locator(LogLocator(subs=choices[0] if choices else (1,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axis.set_minor_formatter(NullFormatter())


def short_number(value: float) -> str:
    """Return 2500000 as 2.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def draw_interval(
    axes: Axes, row: float, interval: tuple[float, float, float], color: str, **look: Any
) -> None:
    """Draw a mean with its interval as one row of a figure; NaN ends are left out.

    Args:
        interval: mean, low and high.
    """
    mean, low, high = interval
    if not math.isnan(low):
        axes.plot([low, high], [row, row], color=color, lw=1.6, zorder=3)
    axes.plot([mean], [row], color=color, zorder=3, **{"marker": "D", "ms": 5, "ls": "", **look})


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a figure from the top, 0, 1, 2, ..."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def is_many(count: int) -> bool:
    return count > MAX_VECTOR_POINTS
