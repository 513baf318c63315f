"""An ablation from its file to its report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from resnet_sweep.analysis.statistics import pooled_noise
from resnet_sweep.analysis.terminal import Leaderboard
from resnet_sweep.config.effects import AblateConfig
from resnet_sweep.console import say
from resnet_sweep.effects.command import Sitting
from resnet_sweep.effects.figures import draw_ablation
from resnet_sweep.effects.planning import AblationPlan, plan_ablation, with_seeds
from resnet_sweep.effects.recipes import read_ablation
from resnet_sweep.effects.results import by_configuration, completed_share, failures
from resnet_sweep.effects.steps import Step, compare_steps
from resnet_sweep.effects.writing import Report, interval, points, write_report
from resnet_sweep.sweep.planned import EndedRun

STEM = "ablation"


def ablate(options: AblateConfig, given: list[str], sitting: Sitting) -> None:
    """Plan, train what is not trained yet, and report."""
    ablation = read_ablation(options.steps)
    folder = Path(options.folder or f"outputs/ablations/{ablation.name}")
    plan = plan_ablation(ablation, given)
    say(f"ablation: {folder}; {', '.join(plan.names)}")
    ended = sitting.train(folder, with_seeds(plan.names, plan.configs, options.num_seeds))
    values = by_configuration(ended, len(plan.configs))
    steps = compare_steps(plan.names, values)
    title = f"One change at a time: {ablation.name}"
    report = _report(title, plan, steps, ended, sitting.command)
    write_report(folder, report, draw_ablation(steps, values, title))


def _report(
    title: str, plan: AblationPlan, steps: list[Step], ended: list[EndedRun], command: str
) -> Report:
    return Report(
        STEM,
        title,
        command,
        [("Steps", _table(steps))],
        _said(plan, steps, ended),
        list(map(_values, steps)),
        {
            "left_out": plan.left_out,
            "steps": list(map(_values, steps)),
            "runs": [asdict(run) for run in ended],
        },
    )


def _table(steps: list[Step]) -> Leaderboard:
    columns = ["mean %", "sd", "n", "gain, points", "95% interval", "of all steps together"]
    columns += ["over the start", "verdict", "recipe: those above and"]
    return Leaderboard(columns, [_row(step) for step in steps], 7)


def _row(step: Step) -> list[str]:
    accuracy, gain, total = step.accuracy, step.step, step.total
    cells = [points(accuracy.mean, ".2f"), points(accuracy.sd, ".2f"), str(accuracy.n)]
    cells += ["", ""] if gain is None else [points(gain.difference), interval(gain.low, gain.high)]
    cells.append("" if gain is None else interval(step.low, step.high))
    cells.append("" if total is None else points(total.difference))
    return [*cells, step.verdict, step.name]


def _values(step: Step) -> dict[str, Any]:
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


def _said(plan: AblationPlan, steps: list[Step], ended: list[EndedRun]) -> list[str]:
    groups = [
        [r.accuracy for r in ended if r.accuracy is not None and r.configuration == name]
        for name in plan.names
    ]
    noise = pooled_noise([group for group in groups if group])
    return [
        completed_share(ended),
        *failures(ended),
        _power(steps),
        f"standard deviation between seeds, pooled: {points(noise.sd, '.2f')} points",
        "paired t intervals over seeds; the verdict is by those that hold for all steps together",
        *(f"left out, as it changes nothing here: {name}" for name in plan.left_out),
        "validation accuracy of the last epoch; the test set is not read",
    ]


def _power(steps: list[Step]) -> str:
    widths = [(step.high - step.low) / 2 for step in steps if step.step is not None]
    if not widths:
        return "no step can be judged: fewer than two pairs of runs completed"
    seeds = max(step.accuracy.n for step in steps)
    smallest, largest = points(min(widths), ".2f"), points(max(widths), ".2f")
    return (
        f"{seeds} seeds: a step shows where it is larger than half its interval, here {smallest} "
        f"to {largest} points; a smaller one is undecided, which does not mean that it does nothing"
    )
