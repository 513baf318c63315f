"""All that figures, report and answers are made from, computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from resnet_sweep.analysis.archive import Archive
from resnet_sweep.analysis.configurations import Configurations, group_seeds
from resnet_sweep.analysis.importance import Importance, measure_importance
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.parameters import (
    Population,
    coverage_remarks,
    population_of_runs,
    population_of_sweep,
    proposals_of_sweep,
)
from resnet_sweep.analysis.runs import completed, differing_settings, sweep_labels
from resnet_sweep.records.identity import tells_apart
from resnet_sweep.records.sweep_folder import Sweep

BUDGET = 5_000_000
Column = npt.NDArray[np.float64]


class Curves:
    """The epochs of each run, found at once; `columns` hold those of all, run after run.

    Args:
        epochs: the archive's; the rows of a run lie together.
    """

    def __init__(self, epochs: pa.Table) -> None:
        codes = epochs["run"].combine_chunks()
        names = codes.dictionary.to_pylist()
        numbers = codes.indices.to_numpy()
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        ends = np.append(starts[1:], len(numbers))[: len(starts)]
        self._places = {
            names[numbers[start]]: slice(int(start), int(end))
            for start, end in zip(starts, ends, strict=True)
        }
        self.columns: dict[str, Column] = {
            name: epochs[name].to_numpy().astype(np.float64)
            for name in epochs.column_names
            if name != "run"
        }

    def curve(self, run: str, column: str) -> Column:
        """Return a column of a run, by epoch; empty where the run has none."""
        return self.columns[column][self.rows(run)]

    def rows(self, run: str) -> slice:
        """Return which places of a column are those of a run."""
        return self._places.get(run, slice(0, 0))


@dataclass(frozen=True)
class View:
    """The runs that passed the filter, and what follows from them.

    Args:
        runs: all of them.
        ranked: those judged by the same images as most configurations: others cannot be compared.
        differing: settings in which they differ, those that only say where they ran left out.
        sweep: that of the best configuration, called `sweep_label` in `runs`; null: there is none,
            or sweeps have fewer than half of the completed runs.
        other_sweeps: labels of those that have completed runs too.
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
    curves: Curves
    sweep: Sweep | None
    sweep_label: str | None
    remarks: dict[str, list[str]]
    other_sweeps: tuple[str, ...]

    @property
    def unranked(self) -> pd.DataFrame:
        """Return the runs that other images judged."""
        return self.runs[~self.runs.index.isin(self.ranked.index)]

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


def build_view(archive: Archive, runs: pd.DataFrame, objective: Objective) -> View:
    """Compute what follows from these runs of an archive."""
    ranked = comparable_runs(runs, objective)
    configurations = group_seeds(ranked, objective)
    label, others = _choose_sweep(ranked, objective, configurations)
    sweep, proposals = None, None
    if label is None:
        population = population_of_runs(ranked, objective)
    else:
        folders = {name: folder for folder, name in sweep_labels(archive).items()}
        sweep = archive.sweeps[folders[label]]
        population = population_of_sweep(ranked, sweep, label, objective)
        proposals = proposals_of_sweep(sweep)
    differing = [n for n in differing_settings(ranked) if tells_apart(n)]
    return View(
        archive=archive,
        runs=runs,
        ranked=ranked,
        objective=objective,
        configurations=configurations,
        differing=differing,
        population=population,
        importance=measure_importance(population, configurations.noise_of_all),
        curves=Curves(archive.epochs),
        sweep=sweep,
        sweep_label=label,
        remarks=coverage_remarks(population, proposals),
        other_sweeps=others,
    )


def runs_of_sweep(view: View) -> pd.DataFrame:
    """Return the ranked runs of the view's sweep, or all where there is none."""
    if view.sweep is None:
        return view.ranked
    return view.ranked[view.ranked["sweep"] == view.sweep_label]


def comparable_runs(runs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the runs judged by the images that most completed configurations were judged by.

    A confirmation may have more runs than its sweep, but of few configurations. A run that ended
    before it knew its data set stays.
    """
    groups = completed(runs, objective).groupby(["data_fingerprint", "split"], sort=False)
    if not len(groups):
        return runs
    sizes = groups["configuration"].agg(["nunique", "size"])
    data, split = sizes.sort_values(["nunique", "size"], ascending=False, kind="stable").index[0]
    same_data = (runs["data_fingerprint"] == data) | runs["data_fingerprint"].isna()
    same_split = (runs["split"] == split) | runs["split"].isna()
    comparable: pd.DataFrame = runs[same_data & same_split]
    return comparable


def _choose_sweep(
    ranked: pd.DataFrame, objective: Objective, configurations: Configurations
) -> tuple[str | None, tuple[str, ...]]:
    """Return the sweep of the best configuration that is of one, and the others.

    Where several trained it, as a sweep and its confirmation did, it is that of the most
    configurations.
    """
    done = completed(ranked, objective)
    of_sweeps = done[done["sweep"].notna()]
    if of_sweeps.empty or len(of_sweeps) < len(done) / 2:
        return None, ()
    sizes = of_sweeps.groupby("sweep")["configuration"].nunique()
    known = set(of_sweeps["configuration"].tolist())
    best = next(name for name in configurations.table["configuration"].tolist() if name in known)
    candidates = of_sweeps.loc[of_sweeps["configuration"] == best, "sweep"].unique()
    label = str(sizes[candidates].idxmax())
    return label, tuple(str(name) for name in sizes.index if name != label)
