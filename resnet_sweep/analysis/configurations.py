"""Runs grouped into configurations: their seeds averaged out, and which of two is better."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.runs import completed
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.run_folder import Predictions, read_predictions
from resnet_sweep.reporting.statistics import (
    Array,
    Comparison,
    Noise,
    difference,
    mcnemar_test,
    mean_interval,
    paired_t_test,
    pooled_noise,
    welch_test,
)

CARRIED = ("num_params", "multiply_adds", "epochs")


@dataclass(frozen=True)
class Configurations:
    """Configurations from the best, and the noise between seeds.

    Args:
        table: columns `configuration`, `run` (the best seed's), `n`, `mean`, `sd`, `low`, `high`
            (95% t interval over seeds), `test_mean`, `gap` (validation minus test),
            `train_seconds` (mean), CARRIED, `difference` from the first row's mean (0 or
            worse by that much) and `within_noise`: chance alone passes it once in twenty
            (missing where no configuration has two seeds).
        noise: pooled over configurations with two or more seeds that are no worse than the
            median one: a net near chance says nothing of the noise among good ones. Over all
            where none is.
        noise_of_all: pooled over all of them.
    """

    table: pd.DataFrame
    noise: Noise
    noise_of_all: Noise

    @property
    def repeated(self) -> pd.DataFrame:
        """Return the configurations with several seeds, and whether each is `pooled`."""
        several = self.table[self.table["n"] > 1]
        good = several["difference"].abs() <= self.table["difference"].abs().median()
        return several.assign(pooled=good | (not good.any()))


def group_seeds(runs: pd.DataFrame, objective: Objective) -> Configurations:
    """Group the completed runs; a seed that was trained twice counts once, with its mean."""
    done = completed(runs, objective)
    seeds = done.groupby(["configuration", "seed"], dropna=False, sort=False)[objective.column]
    by_seed = seeds.mean()
    groups = by_seed.groupby(level="configuration", sort=False)
    several = by_seed[groups.transform("size") > 1].groupby(level="configuration", sort=False)
    seeds_of = {str(name): group.to_numpy(float) for name, group in several}
    table = _intervals(by_seed, seeds_of)
    table = table.merge(_carried(done, objective), on="configuration", validate="one_to_one")
    table = objective.best_first(table, "mean").reset_index(drop=True)
    means = table["mean"].tolist()
    table["difference"] = [difference(mean, means[0]) for mean in means]
    of_all = pooled_noise(seeds_of.values())
    found = Configurations(table, of_all, of_all)
    repeated = found.repeated
    names = repeated.loc[repeated["pooled"], "configuration"]
    noise = pooled_noise([seeds_of[name] for name in names])
    return replace(found, table=_against_best(table, noise), noise=noise)


def seed_values(runs: pd.DataFrame, configuration: str, objective: Objective) -> pd.Series[float]:
    """Return a configuration's objective by seed."""
    done = completed(runs, objective)
    rows = done[done["configuration"] == configuration]
    return rows.groupby("seed", dropna=False)[objective.column].mean().astype("float64")


def _intervals(by_seed: pd.Series[float], seeds_of: dict[str, Array]) -> pd.DataFrame:
    groups = by_seed.astype("float64").groupby(level="configuration", sort=False)
    table = groups.agg(n="size", mean="mean").reset_index()
    found = {name: mean_interval(values) for name, values in seeds_of.items()}
    for end in ("sd", "low", "high"):
        by_name = {name: getattr(interval, end) for name, interval in found.items()}
        table[end] = table["configuration"].map(by_name).astype("float64")
    return table


def _carried(done: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return what a configuration shows of its runs: those of the best, and means."""
    pairs = zip(done["val_accuracy"], done["test_accuracy"], strict=True)
    done = done.assign(gap=[difference(val, test) for val, test in pairs])
    runs = objective.best_first(done).groupby("configuration", sort=False)
    means = runs[["test_accuracy", "train_seconds", "gap"]].mean()
    first = runs[["run", *CARRIED]].first()
    return first.join(means.rename(columns={"test_accuracy": "test_mean"})).reset_index()


def _against_best(table: pd.DataFrame, noise: Noise) -> pd.DataFrame:
    if table.empty:
        return table.assign(within_noise=[])
    best = table.iloc[0]
    limits = noise.least_difference(int(best["n"]), table["n"].to_numpy())
    behind = table["mean"] - best["mean"]
    within = pd.Series(behind.abs() <= limits, dtype="boolean")
    within[0 if noise.is_known else slice(None)] = pd.NA
    return table.assign(within_noise=within)


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two run folders on their stored validation predictions.

    The answer holds for these two trained nets; the noise between seeds comes on top.

    Raises:
        UserError: predictions are missing, or not of the same images.
    """
    one, two = read_predictions(first), read_predictions(second)
    _, here, there = np.intersect1d(one.indices, two.indices, return_indices=True)
    same = len(here) == len(one.indices) == len(two.indices)
    if not same or not np.array_equal(one.labels[here], two.labels[there]):
        raise UserError(f"{first} and {second}: not validated on the same images")
    return mcnemar_test(_correct(one)[here], _correct(two)[there])


def compare_configurations(
    runs: pd.DataFrame, first: str, second: str, objective: Objective
) -> Comparison:
    """Compare two configurations over their seeds: paired where all seeds are shared.

    Raises:
        UserError: one of them has fewer than two seeds.
    """
    one, two = (seed_values(runs, name, objective) for name in (first, second))
    for name, values in ((first, one), (second, two)):
        if len(values) < 2:
            raise UserError(f"configuration {name}: has {len(values)} seeds, a test needs 2")
    if set(one.index) == set(two.index):
        return paired_t_test(one.to_numpy(), two[one.index].to_numpy())
    return welch_test(one.to_numpy(), two.to_numpy())


def describe(comparison: Comparison, objective: Objective, noise: Noise | None = None) -> str:
    """Return a comparison as one sentence, differences of accuracies in points.

    Args:
        noise: between seeds, where two single runs were compared.
    """
    scale, unit = (100, " points") if objective.is_accuracy else (1, "")
    if math.isnan(comparison.p_value):
        found = f"difference {scale * comparison.difference:+.3g}{unit}"
        return f"{found}, the same in all {comparison.n} seeds, which show no noise to judge it by"
    text = (
        f"difference {scale * comparison.difference:+.3g}{unit} (95% interval "
        f"{scale * comparison.low:+.3g} to {scale * comparison.high:+.3g}), "
        f"p = {comparison.p_value:.2g} ({comparison.test}, n = {comparison.n})"
    )
    if not math.isnan(comparison.effect):
        text += f", {comparison.effect_name} {comparison.effect:.2g}"
    if noise is None:
        return text
    limit = noise.least_difference(1, 1)
    if math.isnan(limit):
        return f"{text}; the noise between seeds is not known"
    inside = "within" if abs(comparison.difference) <= limit else "beyond"
    by_luck = f"two single runs may differ by {scale * limit:.2g}{unit} by luck alone"
    return f"{text}; {inside} the seed noise ({by_luck})"


def _correct(predictions: Predictions) -> np.ndarray:
    correct: np.ndarray = predictions.probabilities.argmax(1) == predictions.labels
    return correct
