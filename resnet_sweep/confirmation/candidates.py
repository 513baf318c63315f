"""The best configurations of a sweep, by its validation objective alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError, UserError, require
from resnet_sweep.records.confirmation import Candidate
from resnet_sweep.records.identity import configuration_id
from resnet_sweep.records.run_folder import (
    RecordError,
    TrialResult,
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
    result: TrialResult
    values: list[float]


@dataclass(frozen=True)
class Selection:
    """The best configurations, their data fingerprint, and what was left out.

    Args:
        ranking: the validation objective that ordered them.
    """

    candidates: list[Candidate]
    configs: list[Config]
    data_fingerprint: str
    notes: list[str]
    ranking: str


def select(
    sweep: Sweep, top_k: int, problem_of: Callable[[Config], str | None] = lambda config: None
) -> Selection:
    """Return the best distinct configurations; of several objectives, those of the Pareto set.

    Args:
        problem_of: why a configuration cannot be confirmed; the next best takes its place.

    Raises:
        UserError: there is none, or the sweep did not rank by validation.
    """
    ranking = validation_objective(sweep.folder, sweep.record.objectives)
    runs, notes = _whole_runs(sweep)
    if not runs:
        raise ConfigError("sweep", sweep.folder, "none of its trials has completed")
    groups = list(_group(runs).values())
    if len(sweep.record.objectives) > 1:
        groups = _pareto_set(groups, sweep.record.directions)
        notes.append(f"the Pareto set has {len(groups)} configurations, ordered by {ranking}")
    place = sweep.record.objectives.index(ranking)
    sign = -1 if sweep.record.directions[place] == "maximize" else 1
    groups.sort(key=lambda group: (sign * _means(group)[place], group[0].trial.number))
    chosen, left_out = _best(groups, top_k, problem_of)
    notes += left_out
    require(bool(chosen), "sweep", sweep.folder, f"nothing is left to confirm: {'; '.join(notes)}")
    if any(run.result.test_accuracy is not None for run in runs):
        notes.append("the sweep's own trials have read the test set (evaluate_test=true)")
    if ranking != ACCURACY:
        notes.append(
            f"the sweep ranked by {ranking}, and a confirmation measures accuracy: it chooses by "
            "mean validation accuracy, and the value in the sweep is the accuracy that a trial had"
        )
    if len(chosen) < top_k:
        notes.append(f"top_k={top_k}: the sweep has {len(chosen)} such configurations")
    pairs = [(_candidate(group), config) for config, group in chosen]
    candidates, configs = [c for c, _ in pairs], [c for _, c in pairs]
    return Selection(candidates, configs, _fingerprint(chosen), notes, ranking)


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
            run = _whole_run(trial, run_dir, sweep.record.objectives)
        except RecordError as error:
            notes.append(f"trial {trial.number} is left out: {error}")
            continue
        runs += [] if run is None else [run]
    if taken_over:
        notes.append(f"{taken_over} trials taken over from another sweep are left out")
    return runs, notes


def _whole_run(trial: SweepTrial, run_dir: Path, objectives: list[str]) -> WholeRun | None:
    result = read_result(run_dir)
    values = objective_values(result, objectives)
    wanted = int(read_config_values(run_dir)["train"]["epochs"])
    is_whole = result.status == "completed" and result.epochs >= wanted
    if values is None or result.val_accuracy is None or not is_whole:
        return None
    return WholeRun(trial, run_dir, result, values)


def _group(runs: list[WholeRun]) -> dict[str, list[WholeRun]]:
    """Put the seeds of one configuration together, however each is spelled."""
    groups: dict[str, list[WholeRun]] = {}
    for run in runs:
        groups.setdefault(configuration_id(read_config_values(run.run_dir), 16), []).append(run)
    return groups


def _means(group: Sequence[WholeRun]) -> list[float]:
    return [fmean(values) for values in zip(*(run.values for run in group), strict=True)]


def _pareto_set(groups: list[list[WholeRun]], directions: list[str]) -> list[list[WholeRun]]:
    """Return the groups that no other matches everywhere and beats somewhere."""
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    points = [[s * v for s, v in zip(signs, _means(group), strict=True)] for group in groups]

    def is_beaten(point: list[float]) -> bool:
        return any(
            other != point and all(a >= b for a, b in zip(other, point, strict=True))
            for other in points
        )

    pairs = zip(groups, points, strict=True)
    return [group for group, point in pairs if not is_beaten(point)]


def _best(
    groups: list[list[WholeRun]], top_k: int, problem_of: Callable[[Config], str | None]
) -> tuple[list[tuple[Config, list[WholeRun]]], list[str]]:
    """Return the first ones that can be confirmed, and why others were left out."""
    found: list[tuple[Config, list[WholeRun]]] = []
    left_out: list[str] = []
    for group in groups:
        if len(found) == top_k:
            break
        config = read_config(group[0].run_dir)
        problem = problem_of(config)
        if problem is None:
            found.append((config, group))
        else:
            left_out.append(f"trial {group[0].trial.number} is left out, as {problem}")
    return found, left_out


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


def _fingerprint(chosen: list[tuple[Config, list[WholeRun]]]) -> str:
    found = {run.result.data_fingerprint for _, group in chosen for run in group}
    if len(found) > 1:
        raise UserError("the data changed while the sweep ran: its trials cannot be compared")
    return found.pop()


def used_numbers(folder: Path) -> tuple[set[int], set[int]]:
    """Return the seeds and the split seeds of every run below a folder."""
    seeds, splits = set(), set()
    for values in _all_configs(folder):
        seeds.add(values["seed"])
        splits.add(values["data"]["split_seed"])
    return seeds, splits


def _all_configs(folder: Path) -> Iterator[dict[str, Any]]:
    for path in folder.rglob("config.json"):
        try:
            yield read_config_values(path.parent)
        except RecordError:
            continue  # whoever wrote it never trained with it
