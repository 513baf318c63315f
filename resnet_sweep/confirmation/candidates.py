"""The best configurations of a sweep, by its validation objective alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import UserError, require
from resnet_sweep.records.confirmation import Candidate
from resnet_sweep.records.identity import configuration_id
from resnet_sweep.records.run_folder import (
    RecordError,
    RunResult,
    read_config,
    read_config_values,
    read_result,
)
from resnet_sweep.records.sweep_folder import Sweep, SweepTrial
from resnet_sweep.search.schema import objective_values

ACCURACY = "val_accuracy"  # by which a confirmation chooses, whatever ranked its candidates


@dataclass
class WholeRun:
    """A trial that was trained to its last epoch.

    Args:
        values: of the objectives.
    """

    trial: SweepTrial
    run_dir: Path
    result: RunResult
    values: list[float]


@dataclass(frozen=True)
class Selection:
    """The best configurations, their data fingerprint, and what was left out.

    Args:
        ranking: the validation objective that ordered them.
    """

    candidates: list[Candidate]
    data_fingerprint: str
    notes: list[str]
    ranking: str


def select(sweep: Sweep, top_k: int, all_data: bool) -> Selection:
    """Return the best distinct configurations; of several objectives, those of the Pareto set.

    Args:
        all_data: whether the test stage lifts a limit of training images. The next best takes
            the place of a configuration that cannot be trained there.

    Raises:
        UserError: there is none, or the sweep did not rank by validation.
    """
    record, folder = sweep.record, sweep.folder
    ranking = validation_objective(folder, record.objectives)
    runs, notes = _whole_runs(sweep)
    require(bool(runs), "sweep", folder, "none of its trials has completed")
    seeds: dict[str, list[WholeRun]] = {}  # of one configuration, however each is spelled
    for run in runs:
        seeds.setdefault(configuration_id(read_config_values(run.run_dir), 16), []).append(run)
    groups = list(seeds.values())
    if len(record.objectives) > 1:
        groups = _pareto_set(groups, record.directions)
        notes.append(f"the Pareto set has {len(groups)} configurations, ordered by {ranking}")
    place = record.objectives.index(ranking)
    sign = -1 if record.directions[place] == "maximize" else 1
    groups.sort(key=lambda group: (sign * _means(group)[place], group[0].trial.number))
    chosen: list[list[WholeRun]] = []
    for group in groups:
        if len(chosen) == top_k:
            break
        config = read_config(group[0].run_dir)
        try:
            replace(config, data=whole_data(config.data, all_data))
        except UserError as error:
            number = group[0].trial.number
            notes.append(f"trial {number} is left out, as the test stage has no split: {error}")
        else:
            chosen.append(group)
    require(bool(chosen), "sweep", folder, f"nothing is left to confirm: {'; '.join(notes)}")
    if any(run.result.test_accuracy is not None for run in runs):
        notes.append("the sweep's own trials have read the test set (evaluate_test=true)")
    if ranking != ACCURACY:
        notes.append(
            f"the sweep ranked by {ranking}, and a confirmation measures accuracy: it chooses by "
            "mean validation accuracy, and the value in the sweep is the accuracy that a trial had"
        )
    if len(chosen) < top_k:
        notes.append(f"top_k={top_k}: the sweep has {len(chosen)} such configurations")
    fingerprints = {run.result.data_fingerprint for group in chosen for run in group}
    if len(fingerprints) > 1:
        raise UserError("the data changed while the sweep ran: its trials cannot be compared")
    return Selection(list(map(_candidate, chosen)), fingerprints.pop(), notes, ranking)


def validation_objective(folder: Path, objectives: list[str]) -> str:
    """Return the first objective that is one of validation.

    Raises:
        ConfigError: the sweep in the folder has none.
    """
    found = [name for name in objectives if name.startswith("val_")]
    named = ", ".join(objectives)
    allowed = f"its objectives ({named}) are none of validation: nothing can be confirmed"
    require(bool(found), "sweep", folder, allowed)
    return found[0]


def whole_data(data: DataConfig, all_data: bool) -> DataConfig:
    """Return the data of the test stage: everything, or the sweep's number of images."""
    return replace(data, val_size=0.0, train_subset=None if all_data else data.train_subset)


def _whole_runs(sweep: Sweep) -> tuple[list[WholeRun], list[str]]:
    """Return the trials that have every epoch, and why completed ones were left out."""
    runs, notes, taken_over = [], [], 0
    for trial in sweep.trials:
        if trial.state != "completed":
            continue
        run_dir = sweep.run_dir(trial)
        if run_dir is None:
            taken_over += 1
            continue
        try:
            result = read_result(run_dir)
            epochs = int(read_config_values(run_dir)["train"]["epochs"])
        except RecordError as error:
            notes.append(f"trial {trial.number} is left out: {error}")
            continue
        values = objective_values(result, sweep.record.objectives)
        is_whole = result.status == "completed" and result.epochs >= epochs
        if is_whole and values is not None and result.val_accuracy is not None:
            runs.append(WholeRun(trial, run_dir, result, values))
    if taken_over:
        notes.append(f"{taken_over} trials taken over from another sweep are left out")
    return runs, notes


def _means(group: Sequence[WholeRun]) -> list[float]:
    return [fmean(values) for values in zip(*(run.values for run in group), strict=True)]


def _pareto_set(groups: list[list[WholeRun]], directions: list[str]) -> list[list[WholeRun]]:
    """Return the groups that no other matches everywhere and beats somewhere."""
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    points = np.array([_means(group) for group in groups]) * signs
    is_beaten = [((points >= p).all(axis=1) & (points > p).any(axis=1)).any() for p in points]
    return [group for group, beaten in zip(groups, is_beaten, strict=True) if not beaten]


def _candidate(group: list[WholeRun]) -> Candidate:
    first = group[0]
    accuracies = [run.result.val_accuracy for run in group]
    return Candidate(
        trial=first.trial.number,
        trials=[run.trial.number for run in group],
        val_accuracies=[a for a in accuracies if a is not None],
        num_params=first.result.num_params,
        multiply_adds=first.result.multiply_adds,
        train_seconds=fmean(run.result.train_seconds for run in group),
        config=read_config_values(first.run_dir),
    )


def used_numbers(folder: Path) -> tuple[set[int], set[int]]:
    """Return the seeds and the split seeds of every run below a folder."""
    seeds, splits = set(), set()
    for path in folder.rglob("config.json"):
        with suppress(RecordError):  # whoever wrote it never trained with it
            values = read_config_values(path.parent)
            seeds.add(values["seed"])
            splits.add(values["data"]["split_seed"])
    return seeds, splits
