"""A sweep of a record: what it searched, what that cost, and which hyperparameters matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.record.comparisons import Figures, take_figure
from benchmarks.record.reading import naming, read_values
from benchmarks.record.tested import CONFIRM, SWEEP
from resnet_sweep.analysis.archive import read_found
from resnet_sweep.analysis.discover import find_runs
from resnet_sweep.analysis.importance import FTest
from resnet_sweep.analysis.objective import choose_objective
from resnet_sweep.analysis.runs import runs_table
from resnet_sweep.analysis.summary.summarize import CACHE, FIGURES, Options, summarize
from resnet_sweep.analysis.view import View, build_view
from resnet_sweep.records.confirmation import FINDINGS
from resnet_sweep.records.run_folder import RecordError, read_result
from resnet_sweep.records.sweep_folder import Sweep, SweepTrial, read_sweep
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.tables import Table, to_markdown
from resnet_sweep.search.space import EPOCHS

MAX_ROWS = 12
REASONS = {
    "over_budget": "over the budget of parameters",
    "over_multiply_adds": "over the cap on multiply-adds",
    "unbuildable": "impossible to build",
}


def sweep_lines(folder: Path, figures: Figures) -> Iterator[str]:
    """Yield what there is to say of a record's sweep, and take its figure along."""
    place = folder / SWEEP
    sweep = read_sweep(place)
    yield f"{_counted(sweep)}\n"
    yield to_markdown(space_table(sweep.record.space))
    output = folder / "summary"
    summarize(Options(place, output), lambda *_: None)
    with naming(place / CONFIRM / FINDINGS):
        yield from _confirmed(place / CONFIRM / FINDINGS)
    yield from _importance(_view(place, output / CACHE))
    figure = output / FIGURES / "importance.png"
    if figure.exists():
        name = take_figure(folder, figure, "importance", figures)
        yield f"![importance against the noise between seeds]({name})\n"


def _counted(sweep: Sweep) -> str:
    trials, record = sweep.trials, sweep.record
    states = Counter(trial.state for trial in trials)
    ended = ", ".join(f"{states[state]} {state}" for state in ("completed", "pruned", "failed"))
    epochs = f"{record.epochs} epochs" if EPOCHS not in record.space else "epochs drawn as well"
    return (
        f"{len(trials)} proposals: {len(sweep.trained())} trained ({ended}), {_rejected(trials)}; "
        f"{_hours(sweep)}. Sampler {record.sampler}, pruner {record.pruner}, {epochs}. "
        f"{len(record.space)} hyperparameters:"
    )


def _confirmed(path: Path) -> Iterator[str]:
    """Say what fresh seeds made of the sweep's best."""
    if not path.exists():
        yield "Not confirmed yet.\n"
        return
    values = read_values(path)
    for row in values["over_promise"]["configurations"]:
        if row["over_promise"] is not None:
            yield f"{_promise(row)}.\n"
    tied = ", ".join(f"trial {number}" for number in values["tied"])
    count = len(values["choose"]["configurations"])
    what = "the best of them is" if len(values["tied"]) == 1 else "the test cannot tell apart"
    yield f"{count} configurations were trained on a fresh split; {what}: {tied}.\n"


def _promise(row: dict[str, Any]) -> str:
    low, high = (row[f"over_promise_{end}"] for end in ("low", "high"))
    bounds = "unknown" if low is None else point_bounds(low, high)  # one seed, or all equal
    return (
        f"Validation accuracy of trial {row['trial']}: {points(row['promised'], '.2f')}% as the "
        f"sweep saw it, {points(row['mean'], '.2f')}% with {row['n']} fresh seeds on the same "
        f"images: sweep minus fresh seeds {points(row['over_promise'])} points (95% interval "
        f"{bounds})"
    )


def _rejected(trials: list[SweepTrial]) -> str:
    reasons = Counter(trial.reason for trial in trials if trial.state == "rejected")
    if not reasons:
        return "0 rejected"
    named = ", ".join(f"{count} {REASONS.get(str(r), str(r))}" for r, count in reasons.items())
    return f"{sum(reasons.values())} rejected before any training ({named})"


def _hours(sweep: Sweep) -> str:
    hours = sum(trial.train_seconds or 0.0 for trial in sweep.trials) / 3600
    devices = sorted({device for trial in sweep.trained() for device in _device(sweep, trial)})
    unit = "GPU-hours" if any("cuda" in device for device in devices) else "hours of training"
    return f"{hours:.2f} {unit} on {', '.join(devices) or 'no device'}"


def _device(sweep: Sweep, trial: SweepTrial) -> list[str]:
    run_dir = sweep.run_dir(trial)
    try:
        return [] if run_dir is None else [read_result(run_dir).device]
    except RecordError:
        return []  # it was stopped before it had one


def space_table(space: dict[str, str]) -> Table:
    """Return a search space by group: what every trial draws, and what only some do."""
    always: dict[str, list[str]] = {}
    branches: dict[str, list[str]] = {}
    for name, text in space.items():
        group, _, field = name.partition(".")
        values, _, where = text.partition(" where ")
        values = values.removeprefix("choice(").removesuffix(")").replace("], [", "] or [")
        shown = f"{field.partition('@')[0] or 'option'} {values}"
        if where:
            branches.setdefault(group, []).append(f"{shown} ({where.replace(group + '.', '')})")
        else:
            always.setdefault(group, []).append(shown)
    groups = dict.fromkeys([*always, *branches])
    rows = [[g, "; ".join(always.get(g, [])), "; ".join(branches.get(g, []))] for g in groups]
    return Table(["group", "drawn in every trial", "drawn only where"], rows, 0)


def _view(place: Path, cache: Path) -> View:
    archive = read_found(place, find_runs(place), cache)
    runs = runs_table(archive)
    objective = choose_objective(None, [sweep.record for sweep in archive.sweeps.values()], runs)
    return build_view(archive, runs, objective)


def _importance(view: View) -> Iterator[str]:
    found, noise = view.importance, view.configurations.noise_of_all
    yield (
        f"Seeds of one configuration differ by {100 * noise.sd:.2f} points (standard deviation, "
        f"{noise.degrees} degrees of freedom).\n"
    )
    if found.reason:
        yield f"Which hyperparameters matter cannot be told: {found.reason}.\n"
        return
    shown, others = found.tests[:MAX_ROWS], [t.parameter.name for t in found.tests[MAX_ROWS:]]
    yield (
        f"Which hyperparameters matter among {found.num_configurations} configurations: the part "
        f"of the variance that one alone explains (partial eta squared, additive {found.model} "
        f"model), what the best of {len(found.tests)} reaches by chance, and what seeds alone "
        "would show:\n"
    )
    columns = ["part", "by chance", "by seeds", "p, corrected", "verdict", "hyperparameter"]
    yield to_markdown(Table(columns, list(map(_test_row, shown)), 4))
    if others or found.untested:
        yield f"Smaller, or not to be told: {', '.join([*others, *found.untested])}.\n"
    if view.population.is_guided:
        yield (
            "The sampler chose most of these trials where it expected good ones: a hyperparameter "
            "that it soon settled cannot show.\n"
        )
    if view.remarks:
        yield f"Too rarely varied to be sure: {', '.join(view.remarks)}.\n"


def _test_row(test: FTest) -> list[str]:
    floors = [f"{test.permutation_floor:.2f}", f"{test.noise_floor:.2f}".replace("nan", "-")]
    verdict = "matters" if test.matters else "cannot tell"
    p_value = f"{test.p_value:.3f}" if test.p_value >= 0.0005 else "<0.001"
    return [f"{test.effect:.2f}", *floors, p_value, verdict, test.parameter.label]
