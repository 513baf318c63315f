"""What a record says, in a few sentences that are computed from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.record.effects import read_effects, read_report, report_path
from benchmarks.record.reading import naming
from benchmarks.record.recipes import changes
from benchmarks.record.tested import SOURCE, SWEEP, Tested, find, gain
from resnet_sweep.comparison.contrasts import verdict
from resnet_sweep.comparison.recipes import START, TOGETHER
from resnet_sweep.records.sweep_folder import is_sweep, read_sweep_record
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.statistics import Comparison

Told = tuple[str, float | None, str]  # name, difference, verdict


def conclusions(folder: Path, recipes: list[Tested]) -> Iterator[str]:
    """Yield a sentence or two on each stage that there is."""
    yield from _experiments(recipes)
    yield from _best(folder, recipes)
    for stem, tell in (("screening", _screened), ("follow_up", _followed), ("ablation", _ablated)):
        with naming(report_path(folder, stem)):
            yield from tell(read_report(folder, stem))


def _experiments(recipes: list[Tested]) -> Iterator[str]:
    source = find(recipes, SOURCE)
    others = [each for each in recipes if not each.of_sweep and each.name != SOURCE]
    if source is None or not others:
        return
    accuracy = source.attained.accuracy
    found = "; ".join(f"`{each.name}` {_gain(gain(each, source))}" for each in others)
    start = f"`{SOURCE}` has {points(accuracy.mean, '.2f')}% (n = {accuracy.n})"
    yield f"**Test set**: {start}, and against it {found}."


def _best(folder: Path, recipes: list[Tested]) -> Iterator[str]:
    """Say what the sweep has found that the recipe written by hand does not have."""
    best = next((each for each in recipes if each.is_best), None)
    source = find(recipes, SOURCE, of_sweep=True) or find(recipes, SOURCE)
    if best is None:
        return
    row = best.attained
    text = f"**Sweep**: the {row.name}, {row.num_params:,} parameters, {row.epochs} epochs, has "
    text += f"{points(row.accuracy.mean, '.2f')}% on the test set (n = {row.accuracy.n})"
    if source is not None:
        size = f"{source.attained.num_params:,} parameters"
        text += f", against `{SOURCE}` ({size}) {_gain(gain(best, source))}"
        keys = read_sweep_record(folder / SWEEP).space if is_sweep(folder / SWEEP) else ()
        found = changes(best.config, source.config, keys)
        text += f". What it has and `{SOURCE}` has not: {'; '.join(found) or 'nothing'}"
    yield f"{text}."


def _gain(found: Comparison | None) -> str:
    if found is None:
        return "cannot be compared"
    bounds = f"{point_bounds(found.low, found.high)}, n = {found.n}"
    return f"{points(found.difference)} points ({bounds}: {verdict(found.low, found.high)})"


def _screened(values: dict[str, Any] | None) -> Iterator[str]:
    if values is None:
        return
    effects = read_effects(values["main"])
    told: list[Told] = [(e.name, e.difference, e.verdict) for e in effects]
    size = f"{len(effects)} changes in {len(values['design'])} recipes"
    yield f"**Screening** of {size}: {_sorted_out(told)}."


def _followed(values: dict[str, Any] | None) -> Iterator[str]:
    if values is None:
        return
    if not values["changes"]:
        yield "**Survivors** of the screening: none, so that nothing was followed up."
        return
    rows = [row for row in values["changes"] if row["recipe"] not in (START, TOGETHER)]
    seeds = max(row["n"] for row in values["changes"])
    text = f"**Survivors** with {seeds} fresh seeds each: {_sorted_out(_told(rows))}"
    for row in values["changes"]:
        if row["recipe"] == TOGETHER and row["gain"] is not None:
            text += f"; all of them together {points(row['gain'])} ({row['verdict']})"
    yield f"{text}."


def _ablated(values: dict[str, Any] | None) -> Iterator[str]:
    if values is None:
        return
    rows = [row for row in values["steps"] if row["recipe"] != START]
    seeds = max(row["n"] for row in values["steps"])
    total = rows[-1]["total"]
    text = f"**One change at a time**, {seeds} seeds: {_sorted_out(_told(rows))}"
    if total is not None:
        text += f"; the last recipe is {points(total)} points from the first"
    yield f"{text}."


def _told(rows: list[dict[str, Any]]) -> list[Told]:
    return [(row["recipe"], row["gain"], row["verdict"]) for row in rows]


def _sorted_out(told: list[Told]) -> str:
    """Return which are better, worse and undecided, the first two with their sizes."""
    parts = []
    for side in ("better", "worse"):
        names = [f"{name} ({points(d or 0.0)})" for name, d, said in told if said == side]
        parts += [f"{side}: {', '.join(names)}"] if names else []
    rest = [name for name, _, said in told if said not in ("better", "worse")]
    parts += [f"undecided: {', '.join(rest)}"] if rest else []
    return "; ".join(parts)
