"""What a person asks of a folder of runs, answered in sentences that claim no more than holds."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from resnet_sweep.analysis.archive import NO_SPLIT, UNREADABLE
from resnet_sweep.analysis.configurations import (
    compare_configurations,
    compare_runs,
    describe,
    seed_values,
)
from resnet_sweep.analysis.importance import Importance
from resnet_sweep.analysis.objective import TEST, Objective
from resnet_sweep.analysis.runs import completed, pruned
from resnet_sweep.analysis.view import View, runs_of_sweep
from resnet_sweep.config.errors import UserError
from resnet_sweep.reporting.statistics import SIGNIFICANCE, Comparison, Interval, mean_interval
from resnet_sweep.system.console import duration

MAX_REMARKS = 8
MAX_SPREADS = 8


def answers_by_topic(view: View) -> dict[str, list[str]]:
    """Return the answers, one sentence or two each, under what they are about.

    So each can stand beside its picture.
    """
    return {
        "runs": [*_damaged_sweeps(view), *_data_sets(view), *_which_sweep(view)],
        "best": list(_best(view)),
        "beside the best": [*_fresh_seeds(view), *_runner_up(view), *_gap(view), *_lengths(view)],
        "noise": list(noise_answers(view)),
        "importance": [*_importance(view), *_coverage(view)],
        "time": list(_time(view)),
        "splits": list(_other_splits(view)),
    }


def compare_two(view: View, first: str, second: str) -> str:
    """Return the comparison of two runs, or of two configurations, by name.

    Raises:
        UserError: they are not two different runs, or two different configurations.
    """
    paths = view.archive.paths
    known = set(view.ranked["configuration"].dropna())
    # a shell's completion adds a slash
    first, second = (n if n in paths else posixpath.normpath(n) for n in (first, second))
    if first == second:
        raise UserError(f"compare: {first} twice: name two different runs or configurations")
    kinds = [_kind(name, paths, known) for name in (first, second)]
    if kinds[0] != kinds[1]:
        raise UserError(
            f"compare: {first} is a {kinds[0]}, {second} a {kinds[1]}: name two of one kind"
        )
    if kinds[0] == "run":
        for name in (first, second):
            _refuse_unreadable(view, name)
        found = compare_runs(paths[first], paths[second])
        text = describe(found, view.objective, view.configurations.noise)
    else:
        found = compare_configurations(view.ranked, first, second, view.objective)
        text = describe(found, view.objective)
    return f"{first} against {second}: {text}."


def _refuse_unreadable(view: View, name: str) -> None:
    run = view.runs[view.runs["run"] == name].iloc[0]
    if run["status"] == UNREADABLE:
        raise UserError(f"compare: {name} cannot be read: {run['reason']}")


def _kind(name: str, paths: Mapping[str, Path], configurations: set[str]) -> str:
    if name in paths:
        return "run"
    if name in configurations:
        return "configuration"
    raise UserError(f"compare: {name} is not a run below the folder, nor a configuration's id")


def _damaged_sweeps(view: View) -> Iterator[str]:
    for name, reason in list(view.archive.sweep_errors.items())[:MAX_REMARKS]:
        yield (
            f"The record of sweep {name} is damaged ({reason}): the counts lack what only it knew, "
            "and runs that it lacks count as single ones."
        )


def _data_sets(view: View) -> Iterator[str]:
    left_out = view.unranked
    if left_out.empty:
        return
    name, split = (view.ranked[column].mode().iloc[0] for column in ("data", "split"))
    data = completed(view.ranked, view.objective)["data_fingerprint"].iloc[0]
    other_data = int(left_out["data_fingerprint"].ne(data).sum())
    groups = [(other_data, "on other data"), (len(left_out) - other_data, "judged by other images")]
    counts = " and ".join(f"{n} {'run' if n == 1 else 'runs'} {why}" for n, why in groups if n)
    verb = "is" if len(left_out) == 1 else "are"
    yield (
        f"Only runs on {name} judged by the validation images of {split} are ranked: accuracies "
        "on different images cannot be compared. "
        f"{counts} {verb} left out of everything but the tables; choose others with --where."
    )


def _which_sweep(view: View) -> Iterator[str]:
    """Say which of several sweeps the answers and figures about one are of."""
    if not view.other_sweeps:
        return
    others = ", ".join(view.other_sweeps[:MAX_REMARKS])
    left = len(view.other_sweeps) - MAX_REMARKS
    others += f" and {left} more" if left > 0 else ""
    yield (
        f"{len(view.other_sweeps) + 1} sweeps are ranked together, but hyperparameters, history, "
        f"pruning and workers are shown of {view.sweep_label} alone, which has the best "
        f"configuration of a sweep. The others ({others}) are shown by "
        f"--where \"sweep='{view.other_sweeps[0]}'\", best with an --output of its own."
    )


def _lengths(view: View) -> Iterator[str]:
    """Say where trainings of different lengths stand in one ranking."""
    epochs = view.configurations.table["epochs"].dropna().unique()
    if len(epochs) > 1:
        yield (
            f"Runs of {min(epochs):.0f} to {max(epochs):.0f} epochs are ranked together: a longer "
            f"training alone may explain a lead. --where epochs={epochs[0]:.0f} ranks those of "
            "one length."
        )


def _best(view: View) -> Iterator[str]:
    table = view.configurations.table
    if table.empty:
        yield f"No run has completed with a {view.objective.column}, so nothing can be ranked."
        return
    best = table.iloc[0]
    of_how_many = f"Best of {len(table)} configurations" if len(table) > 1 else "One configuration"
    text = f"{of_how_many}: {best['configuration']} ({best['run']}), "
    text += f"{view.objective.column} {view.objective.show(best['mean'])}"
    if best["n"] > 1:
        ends = view.objective.interval(best["low"], best["high"])
        text += f" over {best['n']} seeds (95% t interval {ends})"
        text += "; the run it was chosen by is one of them."
    elif len(table) > 1:
        text += (
            " with one seed. The best of many promises too much: confirm it with fresh seeds "
            "before believing the number."
        )
    else:
        text += "."
    yield text


def _fresh_seeds(view: View) -> Iterator[str]:
    """Set the sweep's own run of the best configuration against those that came after."""
    if view.configurations.table.empty:
        return
    best = view.configurations.table["configuration"].iloc[0]
    done = completed(view.ranked, view.objective)
    runs = done[done["configuration"] == best]
    found_by = (
        runs["sweep"].notna() & runs["repeat_of"].isna() & (runs["sweep"] == view.sweep_label)
    )
    values = seed_values(runs[~found_by], best, view.objective).to_numpy()
    if found_by.any() and len(values) > 1:
        fresh = mean_interval(values)
        first = view.objective.show(runs.loc[found_by, view.objective.column].iloc[0])
        others = _interval_text(fresh, view.objective)
        yield (
            f"Its run in the sweep reached {first}, its other {fresh.n} seeds {others}: where it "
            "was chosen for the first number, the others are the fair estimate."
        )


def _interval_text(interval: Interval, objective: Objective) -> str:
    ends = objective.interval(interval.low, interval.high)
    return f"{objective.show(interval.mean)} (95% t interval {ends})"


def _runner_up(view: View) -> Iterator[str]:
    table = view.configurations.table
    if len(table) < 2:
        return
    runs = _typical_runs(view, table["configuration"].head(2).tolist())
    comparison = _compare_first_two(view, runs)
    if comparison is None:
        yield "The best two cannot be tested: no second seed and no stored predictions."
        return
    single = table["n"].head(2).min() < 2
    noise = view.configurations.noise
    text = describe(comparison, view.objective, noise if single else None)
    limit = noise.least_difference(1, 1) if single else 0.0
    ahead = view.objective.sign * comparison.difference
    verdict = _verdict(comparison.p_value < SIGNIFICANCE, ahead, limit)
    several = single and table["n"].head(2).max() > 1
    which = (
        f"; of several seeds the one nearest their mean: {' and '.join(runs)}" if several else ""
    )
    yield f"{verdict} the second, {runs[1]}: {text}{which}."


def _verdict(is_significant: bool, ahead: float, limit: float) -> str:
    if not is_significant:
        return "It cannot be told apart from"
    if ahead <= 0:  # its mean is higher, or its only run is lucky
        return "Its typical run is worse than that of"
    if ahead > limit:
        return "It is better than"
    return "Beyond the luck of the images, but not that of the seed, it is better than"


def _typical_runs(view: View, names: list[str]) -> list[str]:
    """Return each configuration's run nearest its mean: the best of several seeds flatters it."""
    done = completed(view.ranked, view.objective).set_index("run")
    found = []
    for name in names:
        values = done.loc[done["configuration"] == name, view.objective.column].astype("float64")
        found.append(str((values - values.mean()).abs().idxmin()))
    return found


def _compare_first_two(view: View, runs: list[str]) -> Comparison | None:
    rows = view.configurations.table.head(2)
    paths = view.archive.paths
    try:
        if rows["n"].min() > 1:
            one, two = rows["configuration"]
            return compare_configurations(view.ranked, one, two, view.objective)
        if view.objective.is_accuracy:
            return compare_runs(*(paths[run] for run in runs))
    except UserError:
        pass  # predictions of other images, or none
    return None


def _time(view: View) -> Iterator[str]:
    seconds = view.runs["train_seconds"].astype("float64").groupby(view.runs["status"]).sum()
    total = float(seconds.sum())
    if total > 0:
        parts = seconds[seconds > 0].sort_values(ascending=False) / total
        names = parts.index.tolist()
        shares = ", ".join(f"{part:.0%} {name}" for name, part in zip(names, parts, strict=True))
        yield f"Training took {duration(total)} in all: {shares}."


def _gap(view: View) -> Iterator[str]:
    best = view.configurations.table.head(1)
    if best.empty or math.isnan(best["gap"].iloc[0]):
        return
    yield (
        f"The best configuration's test accuracy is {best['test_mean'].iloc[0]:.4f}, "
        f"{100 * best['gap'].iloc[0]:+.2f} points between validation and test. The test set "
        "orders nothing here."
    )


def _other_splits(view: View) -> Iterator[str]:
    """Report configurations with several seeds that other images judged, in the order ranked."""
    others = view.unranked
    others = others[(others["status"] == "completed") & others["rung"].isna()]
    order = {name: i for i, name in enumerate(view.configurations.table["configuration"])}
    groups = list(others.groupby(["split", "configuration"], sort=False))
    groups = [(key, rows) for key, rows in groups if rows["seed"].nunique() > 1]
    groups.sort(key=lambda group: (group[0][0], order.get(group[0][1], len(order)), group[0][1]))
    for (split, name), rows in groups[:MAX_REMARKS]:
        objective, images = view.objective, f"judged by {split}"
        if split == NO_SPLIT:
            objective, images = TEST, "trained without validation images"
        values = rows.groupby("seed")[objective.column].mean().dropna().astype("float64")
        if len(values) > 1:
            text = _interval_text(mean_interval(values.to_numpy()), objective)
            yield f"{name}, {images}: {objective.column} {text} over {len(values)} seeds."


def noise_answers(view: View) -> Iterator[str]:
    """Yield the noise between seeds, what lies within it, and whether one number is enough."""
    table, noise = view.configurations.table, view.configurations.noise
    if len(table) < 2:
        return
    if noise.sd == 0:
        yield (
            "Repeated seeds gave one and the same value, so they do not show the noise between "
            "seeds: small differences may mean nothing."
        )
        return
    if noise.degrees == 0:
        yield (
            "No configuration was trained with two seeds, so the noise between seeds is not "
            "known here: small differences may mean nothing."
        )
        return
    close = int(table["within_noise"].fillna(False).sum())
    yield (
        f"Seeds differ by {noise.sd:.2g} (standard deviation, {noise.degrees} degrees of "
        f"freedom, {_noise_source(view)}): {close} of the other {len(table) - 1} configurations "
        "lie within the noise of the best (each compared by a t test at 95%)."
    )


def _noise_source(view: View) -> str:
    """Return which configurations the seed noise was measured on."""
    repeated = view.configurations.repeated
    pooled, others = repeated[repeated["pooled"]], repeated[~repeated["pooled"]]
    if len(pooled) > 1:
        fewest, most = pooled["n"].min(), pooled["n"].max()
        seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
        text = f"pooled over {len(pooled)} configurations with {seeds} seeds"
        text += f": {_spreads(pooled, view.objective)}"
    else:
        row = pooled.iloc[0]
        text = (
            f"from one configuration alone, {row['configuration']} at "
            f"{view.objective.show(row['mean'])} with {row['n']} seeds: at other settings it may "
            "be larger or smaller"
        )
    if len(others):
        spreads = _spreads(others, view.objective)
        text += f"; not pooled, since worse than the median configuration: {spreads}"
    return text


def _spreads(rows: pd.DataFrame, objective: Objective) -> str:
    """Return the standard deviation of each of a few configurations with several seeds."""
    shown = [
        f"{row['sd']:.2g} at {objective.show(row['mean'])} (n = {row['n']})"
        for row in rows.head(MAX_SPREADS).to_dict("records")
    ]
    left = len(rows) - MAX_SPREADS
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")


def _importance(view: View) -> Iterator[str]:
    """Yield which hyperparameters matter."""
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
        named = []
        for choice in choices[:MAX_REMARKS]:
            levels = choice.values.dropna().unique().tolist()
            more = ", …" if levels[MAX_REMARKS:] else ""
            named.append(f"{choice.name}: {', '.join(map(str, levels[:MAX_REMARKS]))}{more}")
        text += f"; choices as one column for each level but the first ({'; '.join(named)})"
    if any("@" in test.parameter.name for test in found.tests):
        text += "; name@choice is judged only among the configurations with that choice"
    yield f"{text}."


def _coverage(view: View) -> Iterator[str]:
    for name, remarks in list(view.remarks.items())[:MAX_REMARKS]:
        yield f"{name}: {'; '.join(remarks)}."
    others = list(view.remarks)[MAX_REMARKS:]
    if others:
        yield f"Such remarks hold for {len(others)} more: {', '.join(others)}."
