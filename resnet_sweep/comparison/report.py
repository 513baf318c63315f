"""A screening from its file to its report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from resnet_sweep.comparison.command import Sitting
from resnet_sweep.comparison.contrasts import Effect, Effects, estimate
from resnet_sweep.comparison.design import num_three_factor_aliases, words
from resnet_sweep.comparison.figures import draw_screening
from resnet_sweep.comparison.planning import ScreeningPlan, plan_screening, with_seeds
from resnet_sweep.comparison.recipes import read_screening
from resnet_sweep.comparison.results import by_configuration, completed_share, failures
from resnet_sweep.comparison.writing import Report, write_report
from resnet_sweep.config.effects import ScreenConfig
from resnet_sweep.records.ended_run import EndedRun
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.tables import Table
from resnet_sweep.system.console import say

STEM = "screening"
MAIN, STRINGS = "Main effects", "Strings of interactions"


def screen(options: ScreenConfig, given: list[str], sitting: Sitting) -> None:
    """Plan, train what is not trained yet, and report."""
    screening = read_screening(options.factors)
    folder = Path(options.folder or f"outputs/screenings/{screening.name}")
    plan = plan_screening(screening, given)
    names = [_levels_of(plan, row) for row in range(len(plan.configs))]
    say(f"screening: {folder}; {', '.join(f.name for f in plan.factors)}")
    ended = sitting.train(folder, with_seeds(names, plan.configs, options.num_seeds))
    values = by_configuration(ended, len(plan.configs))
    effects = estimate([factor.name for factor in plan.factors], plan.design, values)
    title = f"Screening of {len(plan.factors)} changes in {len(plan.configs)} recipes"
    report = _report(title, plan, effects, ended, sitting.command)
    report.values["recipes"] = asdict(screening) | {"given": given, "num_seeds": options.num_seeds}
    write_report(folder, report, draw_screening(effects, title))


def _levels_of(plan: ScreeningPlan, row: int) -> str:
    pairs = zip(plan.factors, plan.design[row], strict=True)
    return ", ".join(factor.name for factor, level in pairs if level > 0) or "none"


def _report(
    title: str, plan: ScreeningPlan, effects: Effects, ended: list[EndedRun], command: str
) -> Report:
    tables = [(MAIN, effect_table(effects.main, "change"))]
    if effects.interactions:
        tables.append((STRINGS, effect_table(effects.interactions, "sum of pairs")))
    generators = words(len(plan.configs), len(plan.factors))
    return Report(
        STEM,
        title,
        command,
        tables,
        _said(plan, effects, ended),
        [asdict(effect) | {"verdict": effect.verdict} for effect in effects.main],
        {
            "factors": [
                asdict(factor) | {"generator": word}
                for factor, word in zip(plan.factors, generators, strict=True)
            ],
            "left_out": plan.left_out,
            "design": plan.design.tolist(),
            **asdict(effects),
            "runs": [asdict(run) for run in ended],
        },
    )


def effect_table(effects: list[Effect], what: str) -> Table:
    """Return effects, largest first.

    Args:
        what: each of them is of.
    """
    columns = ["effect, points", "95% interval of all rows", "p, corrected", "verdict", what]
    ordered = sorted(effects, key=lambda effect: -abs(effect.difference))
    return Table(columns, [_row(effect) for effect in ordered], 3)


def _row(effect: Effect) -> list[str]:
    p_value = "-" if effect.p_value != effect.p_value else f"{effect.p_value:.4f}"
    p_value = "<0.0001" if p_value == "0.0000" else p_value
    bounds = point_bounds(effect.low, effect.high)
    return [points(effect.difference), bounds, p_value, effect.verdict, effect.name]


def _said(plan: ScreeningPlan, effects: Effects, ended: list[EndedRun]) -> list[str]:
    triples = max(num_three_factor_aliases(plan.design))
    told = [effect.name for effect in effects.main if effect.verdict != "undecided"]
    return [
        completed_share(ended),
        *failures(ended),
        f"told apart from noise: {', '.join(told) or 'none'}; the others are undecided",
        f"standard error of an effect {points(effects.error, '.2f')} points, "
        f"{effects.degrees:.3g} degrees of freedom ({effects.method})",
        "resolution IV: a main effect is aliased with no other and with no interaction of two, "
        f"but with up to {triples} interactions of three; interactions of two only with each other",
        *(f"left out, as it changes nothing here: {name}" for name in plan.left_out),
        "validation accuracy of the last epoch; the test set is not read",
    ]
