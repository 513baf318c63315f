"""Runs grouped into configurations: what remains when the seed is averaged out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from resnet_sweep.analysis.objective import Objective
from resnet_sweep.reporting.statistics import (
    Noise,
    difference,
    mean_interval,
    pooled_noise,
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
    seeds_of = {name: group.to_numpy(float) for name, group in groups if len(group) > 1}
    table = _intervals(by_seed)
    table = table.merge(_carried(done, objective), on="configuration", validate="one_to_one")
    table = objective.best_first(table, "mean").reset_index(drop=True)
    table["difference"] = [difference(mean, table["mean"].iloc[0]) for mean in table["mean"]]
    of_all = pooled_noise(seeds_of.values())
    found = Configurations(table, of_all, of_all)
    repeated = found.repeated
    names = repeated.loc[repeated["pooled"], "configuration"]
    noise = pooled_noise([seeds_of[name] for name in names])
    return replace(found, table=_against_best(table, noise), noise=noise)


def completed(runs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the completed runs that have a finite objective; a rung is no whole run."""
    finite = np.isfinite(runs[objective.column].astype("float64"))
    return runs[(runs["status"] == "completed") & finite & runs["rung"].isna()]


def pruned(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that pruning ended, among them the last rung of a trial pruned there."""
    last = runs.groupby(["sweep", "trial"])["rung"].transform("max") == runs["rung"]
    ended_at_rung = (runs["trial_state"] == "pruned") & last.fillna(False)
    return runs[(runs["status"] == "pruned") | ended_at_rung]


def seed_values(runs: pd.DataFrame, configuration: str, objective: Objective) -> pd.Series[float]:
    """Return a configuration's objective by seed."""
    done = completed(runs, objective)
    rows = done[done["configuration"] == configuration]
    return rows.groupby("seed", dropna=False)[objective.column].mean().astype("float64")


def _intervals(by_seed: pd.Series[float]) -> pd.DataFrame:
    groups = by_seed.astype("float64").groupby(level="configuration", sort=False)
    table = groups.agg(n="size", mean="mean").reset_index()
    table[["sd", "low", "high"]] = np.nan
    for place in np.flatnonzero(table["n"] > 1):
        name = table.at[place, "configuration"]
        interval = mean_interval(groups.get_group(name).to_numpy())
        table.loc[place, ["sd", "low", "high"]] = interval.sd, interval.low, interval.high
    return table


def _carried(done: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return what a configuration shows of its runs: those of the best, and means."""
    ordered = objective.best_first(done)
    first = ordered.groupby("configuration", sort=False)[["run", *CARRIED]].first()
    means = ordered.groupby("configuration", sort=False)[["test_accuracy", "train_seconds"]].mean()
    pairs = zip(ordered["val_accuracy"], ordered["test_accuracy"], strict=True)
    both = ordered.assign(gap=[difference(val, test) for val, test in pairs])
    gap = both.groupby("configuration", sort=False)["gap"].mean()
    joined = first.join(means.rename(columns={"test_accuracy": "test_mean"})).join(gap)
    return joined.reset_index()


def _against_best(table: pd.DataFrame, noise: Noise) -> pd.DataFrame:
    if table.empty:
        return table.assign(within_noise=[])
    best = table.iloc[0]
    limits = noise.least_difference(int(best["n"]), table["n"].to_numpy())
    behind = table["mean"] - best["mean"]
    within = pd.Series(behind.abs() <= limits, dtype="boolean")
    within[0 if noise.degrees else slice(None)] = pd.NA
    return table.assign(within_noise=within)
