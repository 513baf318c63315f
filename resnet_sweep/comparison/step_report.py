"""What the reports of an ablation and of a follow-up have in common."""

from __future__ import annotations

from typing import Any

from resnet_sweep.comparison.planning import RecipePlan
from resnet_sweep.comparison.results import completed_share, failures
from resnet_sweep.comparison.steps import Step
from resnet_sweep.records.ended_run import EndedRun
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.statistics import pooled_noise

COLUMNS = ["mean %", "sd", "n", "gain, points", "95% interval", "of all rows together"]


def cells(step: Step) -> list[str]:
    """Return what stands in COLUMNS."""
    accuracy, gain = step.accuracy, step.step
    found = [points(accuracy.mean, ".2f"), points(accuracy.sd, ".2f"), str(accuracy.n)]
    if gain is None:
        return [*found, "", "", ""]
    alone, together = point_bounds(gain.low, gain.high), point_bounds(step.low, step.high)
    return [*found, points(gain.difference), alone, together]


def step_values(step: Step) -> dict[str, Any]:
    """Return what CSV and JSON hold, as fractions."""
    gain, total, accuracy = step.step, step.total, step.accuracy
    return {
        "recipe": step.name,
        "mean": accuracy.mean,
        "sd": accuracy.sd,
        "n": accuracy.n,
        "num_failed": step.num_failed,
        "gain": None if gain is None else gain.difference,
        "gain_low": None if gain is None else gain.low,
        "gain_high": None if gain is None else gain.high,
        "corrected_low": step.low,
        "corrected_high": step.high,
        "p_value": None if gain is None else gain.p_value,
        "total": None if total is None else total.difference,
        "verdict": step.verdict,
    }


def said(plan: RecipePlan, steps: list[Step], ended: list[EndedRun], what: str) -> list[str]:
    """Return the lines below the table.

    Args:
        what: a row is called.
    """
    groups = [
        [r.accuracy for r in ended if r.accuracy is not None and r.configuration == name]
        for name in plan.names
    ]
    noise = pooled_noise([group for group in groups if group])
    return [
        completed_share(ended),
        *failures(ended),
        _power(steps, what),
        f"standard deviation between seeds, pooled: {points(noise.sd, '.2f')} points",
        "paired t intervals over seeds; the verdict is by those that hold for all rows together",
        *(f"left out, as it changes nothing here: {name}" for name in plan.left_out),
        "validation accuracy of the last epoch; the test set is not read",
    ]


def _power(steps: list[Step], what: str) -> str:
    widths = [(step.high - step.low) / 2 for step in steps if step.step is not None]
    if not widths:
        return f"no {what} can be judged: fewer than two pairs of runs completed"
    seeds = max(step.accuracy.n for step in steps)
    smallest, largest = points(min(widths), ".2f"), points(max(widths), ".2f")
    return (
        f"{seeds} seeds: a {what} shows where it is larger than half its interval, here {smallest} "
        f"to {largest} points; a smaller one is undecided, which does not mean that it does nothing"
    )
