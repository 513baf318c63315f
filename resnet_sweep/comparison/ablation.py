"""An ablation from its file to its report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from resnet_sweep.comparison.command import Sitting
from resnet_sweep.comparison.figures import draw_steps
from resnet_sweep.comparison.planning import RecipePlan, plan_ablation, with_seeds
from resnet_sweep.comparison.recipes import read_ablation
from resnet_sweep.comparison.results import by_configuration
from resnet_sweep.comparison.step_report import COLUMNS, cells, said, step_values
from resnet_sweep.comparison.steps import Step, compare_steps
from resnet_sweep.comparison.writing import Report, write_report
from resnet_sweep.config.effects import AblateConfig
from resnet_sweep.records.ended_run import EndedRun
from resnet_sweep.reporting.numbers import points
from resnet_sweep.reporting.tables import Table
from resnet_sweep.system.console import say

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
    write_report(folder, report, draw_steps(steps, values, title, "against the row above"))


def _report(
    title: str, plan: RecipePlan, steps: list[Step], ended: list[EndedRun], command: str
) -> Report:
    return Report(
        STEM,
        title,
        command,
        [("Steps", _table(steps))],
        said(plan, steps, ended, "step"),
        list(map(step_values, steps)),
        {
            "left_out": plan.left_out,
            "steps": list(map(step_values, steps)),
            "runs": [asdict(run) for run in ended],
        },
    )


def _table(steps: list[Step]) -> Table:
    columns = [*COLUMNS, "over the start", "verdict", "recipe: those above and"]
    return Table(columns, [_row(step) for step in steps], 7)


def _row(step: Step) -> list[str]:
    total = "" if step.total is None else points(step.total.difference)
    return [*cells(step), total, step.verdict, step.name]
