"""All that figures, report and answers are made from, computed once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from resnet_sweep.analysis.archive import Archive
from resnet_sweep.analysis.configurations import Configurations, completed, group_seeds
from resnet_sweep.analysis.coverage import coverage_remarks
from resnet_sweep.analysis.evaluators import Shares, fanova, ped_anova
from resnet_sweep.analysis.importance import Importance, measure_importance
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.parameters import (
    Population,
    population_of_runs,
    population_of_sweep,
)
from resnet_sweep.analysis.reading import IRRELEVANT_SETTINGS
from resnet_sweep.analysis.table import differing_settings
from resnet_sweep.records.sweep_folder import Sweep

BUDGET = 5_000_000
Column = npt.NDArray[np.float64]


class Curves:
    """The epochs of each run, found at once.

    Args:
        epochs: the archive's; the rows of a run lie together.
    """

    def __init__(self, epochs: pa.Table) -> None:
        codes = epochs["run"].combine_chunks()
        self._names: list[str] = codes.dictionary.to_pylist()
        numbers = codes.indices.to_numpy()
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        ends = np.append(starts[1:], len(numbers))
        self._places = {
            self._names[numbers[start]]: slice(int(start), int(end))
            for start, end in zip(starts, ends, strict=True)
        }
        self._columns = {
            name: epochs[name].to_numpy().astype(np.float64)
            for name in epochs.column_names
            if name != "run"
        }

    def curve(self, run: str, column: str) -> Column:
        """Return a column of a run, by epoch; empty where the run has none."""
        values: Column = self._columns[column][self._places.get(run, slice(0, 0))]
        return values


@dataclass(frozen=True)
class View:
    """The runs that passed the filter, and what follows from them.

    Args:
        runs: all of them.
        ranked: those on the data set with the most completed runs: others cannot be compared.
        differing: settings in which they differ, those that only say where they ran left out.
        sweep: the one with the most completed trials.
        remarks: what to doubt about each hyperparameter's values.
    """

    archive: Archive
    runs: pd.DataFrame
    ranked: pd.DataFrame
    objective: Objective
    configurations: Configurations
    differing: list[str]
    population: Population
    importance: Importance
    ped_anova: Shares | None
    fanova: Shares | None
    curves: Curves
    sweep: Sweep | None
    remarks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def budget(self) -> int:
        """Return the limit on parameters that most runs had."""
        if "model.max_params" not in self.ranked:
            return BUDGET
        limits = self.ranked["model.max_params"].dropna()
        return BUDGET if limits.empty else int(limits.mode().iloc[0])

    def best_runs(self, count: int) -> list[str]:
        """Return the best run of each of the best configurations."""
        return self.configurations.table["run"].head(count).tolist()


def build_view(
    archive: Archive, runs: pd.DataFrame, objective: Objective, with_fanova: bool = False
) -> View:
    """Compute what follows from these runs of an archive.

    Raises:
        UserError: fANOVA was asked for of too many trials.
    """
    ranked = comparable_runs(runs, objective)
    configurations = group_seeds(ranked, objective)
    sweep = _largest_sweep(archive, ranked)
    population = (
        population_of_runs(ranked, objective)
        if sweep is None
        else population_of_sweep(ranked, sweep, objective)
    )
    differing = [n for n in differing_settings(ranked) if n not in IRRELEVANT_SETTINGS]
    return View(
        archive=archive,
        runs=runs,
        ranked=ranked,
        objective=objective,
        configurations=configurations,
        differing=differing,
        population=population,
        importance=measure_importance(population, configurations.noise),
        ped_anova=ped_anova(population, objective),
        fanova=fanova(population, objective) if with_fanova else None,
        curves=Curves(archive.epochs),
        sweep=sweep,
        remarks=coverage_remarks(population),
    )


def comparable_runs(runs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the runs on the data set that most completed runs were trained on."""
    counts = completed(runs, objective)["data_fingerprint"].value_counts()
    if len(counts) < 2:
        return runs
    other = runs["data_fingerprint"].isin(counts.index[1:].tolist())
    return runs[~other]


def _largest_sweep(archive: Archive, ranked: pd.DataFrame) -> Sweep | None:
    """Return the sweep with the most completed trials, where sweeps have most of the runs."""
    done = ranked[ranked["status"] == "completed"]
    counts = done["sweep"].value_counts()
    if counts.empty or counts.iloc[0] < len(done) / 2:
        return None
    names = {sweep.record.study_name: sweep for sweep in archive.sweeps.values()}
    return names[str(counts.index[0])]
