"""What is said of the hyperparameters: which matter, how they were coded and how evenly varied."""

from __future__ import annotations

from collections.abc import Iterator

from resnet_sweep.analysis.configurations import pruned
from resnet_sweep.analysis.importance import Importance
from resnet_sweep.analysis.parameters import Parameter
from resnet_sweep.analysis.view import View, runs_of_sweep

MAX_REMARKS = 8


def importance_answers(view: View) -> Iterator[str]:
    """Yield which hyperparameters matter, and what to doubt about that."""
    yield from _importance(view)
    yield from _coverage(view)


def _importance(view: View) -> Iterator[str]:
    found = view.importance
    if found.reason:
        yield f"Which hyperparameters matter cannot be told: {found.reason}."
        return
    matter = [
        f"{t.parameter.label} ({t.effect:.2f}, p = {t.p_value:.2g})"
        for t in found.tests
        if t.matters
    ]
    others = [t.parameter.label for t in found.tests if not t.matters] + list(found.untested)
    source = f"{found.num_configurations} configurations of {view.population.description}"
    text = (
        f"What matters among {source}, with partial eta squared and the p value of the F-test, "
        f"corrected for {len(found.tests)} tests by Holm's method: {', '.join(matter)}."
    )
    yield text if matter else f"No hyperparameter stands out from the noise among {source}."
    if others:
        yield f"Cannot tell: {', '.join(sorted(others))}."
    yield from _codings(found)
    num_pruned = len(pruned(runs_of_sweep(view)))
    if num_pruned:
        yield (
            f"The {num_pruned} pruned trials have no final value and are left out of these tests, "
            "so what made them bad may look harmless."
        )


def _codings(found: Importance) -> Iterator[str]:
    """Say how numbers and choices enter the tests."""
    logs = [t.parameter.name for t in found.tests if t.parameter.is_log]
    choices = [t.parameter for t in found.tests if not t.parameter.is_numeric]
    squares = "with their squares" if found.model == "quadratic" else "without squares"
    text = f"Coding: numbers enter {squares}, of their logarithm for {', '.join(logs) or 'none'}"
    if choices:
        levels = "; ".join(f"{p.name}: {_levels(p)}" for p in choices[:MAX_REMARKS])
        text += f"; choices as one column for each level but the first ({levels})"
    if any("@" in test.parameter.name for test in found.tests):
        text += "; name@choice is judged only among the configurations with that choice"
    yield f"{text}."


def _levels(parameter: Parameter) -> str:
    levels = parameter.values.dropna().unique().tolist()
    return ", ".join(map(str, levels[:MAX_REMARKS])) + (", …" if levels[MAX_REMARKS:] else "")


def _coverage(view: View) -> Iterator[str]:
    if view.population.is_guided:
        yield (
            f"The sampler ({view.population.sampler}) chose most trials where it expected good "
            "ones: over such trials PED-ANOVA and fANOVA often rank a hyperparameter that does "
            "nothing first."
        )
    for name, remarks in list(view.remarks.items())[:MAX_REMARKS]:
        yield f"{name}: {'; '.join(remarks)}."
    others = list(view.remarks)[MAX_REMARKS:]
    if others:
        yield f"Such remarks hold for {len(others)} more: {', '.join(others)}."
