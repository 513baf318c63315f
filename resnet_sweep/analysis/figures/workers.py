"""What each worker of a sweep did when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.style import STATUS_COLORS, NotDrawnError, is_many, new_figure

MAX_TICKS = 30
MAX_OUTLINED = 500


@dataclass(frozen=True)
class _Shift:
    """One trial on one worker; seconds since the sweep's first trial began."""

    worker: int
    state: str
    start: float
    length: float


def draw_workers(view: View) -> Figure:
    """Draw when each worker of the sweep trained what."""
    began, shifts = _shifts(view)
    workers = sorted({shift.worker for shift in shifts})
    span = max(shift.start + shift.length for shift in shifts)
    unit, seconds = ("h", 3600) if span > 7200 else ("min", 60) if span > 120 else ("s", 1)
    figure = new_figure(1.6 + 0.3 * min(len(workers), MAX_TICKS))
    axes = figure.subplots()
    states = sorted({shift.state for shift in shifts})
    for state in states:
        _draw_bars(axes, [s for s in shifts if s.state == state], workers, seconds)
    if len(workers) <= MAX_TICKS:
        axes.set_yticks(range(len(workers)), [str(worker) for worker in workers])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    date = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%d %H:%M UTC")
    axes.set(xlabel=f"time since {date} ({unit})", ylabel="worker", xlim=(0, None))
    busy = sum(shift.length for shift in shifts) / (span * len(workers)) if span else 1.0
    axes.set_title(f"busy {busy:.0%} of the time between the first start and the last end")
    handles = [Patch(color=STATUS_COLORS[state], label=state) for state in states]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _shifts(view: View) -> tuple[float, list[_Shift]]:
    """Return when the sweep began, in seconds since 1970, and what was trained from then on."""
    trials = [] if view.sweep is None else view.sweep.trained()
    timed = [(t, t.started, t.ended) for t in trials]
    known = [(t, start, end) for t, start, end in timed if start is not None and end is not None]
    if not known:
        raise NotDrawnError("no sweep recorded when its trials ran")
    began = min(start for _, start, _ in known)
    shifts = [_Shift(t.worker or 0, t.state, start - began, end - start) for t, start, end in known]
    return began, shifts


def _draw_bars(axes: Axes, shifts: list[_Shift], workers: list[int], seconds: int) -> None:
    axes.barh(
        [workers.index(shift.worker) for shift in shifts],
        [shift.length / seconds for shift in shifts],
        left=[shift.start / seconds for shift in shifts],
        height=0.7,
        color=STATUS_COLORS[shifts[0].state],
        edgecolor="white",
        lw=0 if len(shifts) > MAX_OUTLINED else 0.4,
        rasterized=is_many(len(shifts)),
    )
