"""Fixed runs in the hands of a sweep's workers: nothing is drawn, each is trained once.

They are a study of their own in a folder of their own, with a run folder by number in it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from hydra.types import HydraContext
from omegaconf import DictConfig
from optuna.trial import FrozenTrial

from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.workers import WorkersConfig
from resnet_sweep.data.registry import check_ahead
from resnet_sweep.model.budget import check_net
from resnet_sweep.records.identity import changes
from resnet_sweep.records.run_folder import RESULT, read_result, recorded_values
from resnet_sweep.records.sweep_folder import PLANNED_RUNS, RUNS, EndedRun
from resnet_sweep.search.settings import (
    SweepSettings,
    base_values,
    describe_changes,
    write_settings,
)
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.trial_attributes import PLANNED
from resnet_sweep.system.console import say
from resnet_sweep.training.trackers.sending import check_trackers, close_group
from resnet_sweep.workers.launchers import check_device, choose_launcher, default_n_jobs, is_local
from resnet_sweep.workers.status import Status
from resnet_sweep.workers.storage import JOURNAL
from resnet_sweep.workers.study import open_own_study, to_record
from resnet_sweep.workers.supervisor import Supervisor, supervise

SAMPLER = {"_target_": "optuna.samplers.RandomSampler"}  # which is never asked


@dataclass(frozen=True)
class PlannedRun:
    """One training: whose, and how."""

    configuration: str
    config: Config


@dataclass(frozen=True)
class WorkerPool:
    """Who trains: the launcher that the command line chose, and how many workers.

    Args:
        go_on: the command that continues after an interruption.
    """

    options: WorkersConfig
    config: DictConfig
    context: HydraContext
    go_on: str

    @property
    def num_workers(self) -> int:
        return self.options.n_jobs or default_n_jobs(self.config)


def quiet(config: Config) -> Config:
    """Return the run without what only a single one shows, and away from the test set."""
    train = replace(config.train, figures=False, progress=False)
    tracker = replace(config.tracker, tensorboard=None)
    return replace(config, train=train, tracker=tracker, evaluate_test=False)


def train_planned(
    place: Path,
    objective: str,
    runs: Sequence[PlannedRun],
    workers: WorkerPool,
    title: str,
) -> list[EndedRun]:
    """Train what is not trained yet and return how each run ended.

    Args:
        place: folder of the runs; its name is the study's. Of earlier runs the first ones must
            be those that it has: what comes after them is added.
        objective: field of a run's result.
        title: said before the first run.

    Raises:
        UserError: no worker can go on, or the folder holds other runs.
        SystemExit: it was interrupted.
    """
    study = prepare_planned(place, objective, runs, workers)
    seconds, names = workers.options.status_seconds, _names(runs)
    status = Status(study, [objective], len(runs), seconds, names=names)
    status.say(f"{title}: {len(runs)} runs")
    launcher = choose_launcher(place, workers.num_workers, workers.config, workers.context)
    supervisor = Supervisor(place, study, launcher, status, len(runs), keeps_record=False)
    is_over = False
    try:
        supervise(supervisor, workers.num_workers, workers.go_on)
        is_over = True
    finally:
        close_group(runs[0].config.tracker, place, is_over)
    return [_ended(study, objective, number, run, place) for number, run in enumerate(runs)]


def exit_if_all_failed(ended: Sequence[EndedRun]) -> None:
    """End the program with status 1, and the counts, where no run has completed.

    Raises:
        SystemExit: none has.
    """
    if any(run.state == "completed" for run in ended):
        return
    reasons = Counter(run.reason or run.state for run in ended)
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    say(f"error: none of {len(ended)} runs completed ({counts})", sys.stderr)
    sys.exit(1)


def _names(runs: Sequence[PlannedRun]) -> list[str]:
    """Return what each run is called: `configuration 2 of 5 (trial 17), seed 3 of 3`."""
    configurations = list(dict.fromkeys(run.configuration for run in runs))
    all_seeds = Counter(run.configuration for run in runs)
    seeds: Counter[str] = Counter()
    names = []
    for run in runs:
        label = run.configuration
        seeds[label] += 1
        place = f"configuration {configurations.index(label) + 1} of {len(configurations)}"
        names.append(f"{place} ({label}), seed {seeds[label]} of {all_seeds[label]}")
    return names


def prepare_planned(
    place: Path, objective: str, runs: Sequence[PlannedRun], workers: WorkerPool
) -> optuna.Study:
    """Write what the workers read and return the study, with every run in it."""
    place.mkdir(parents=True, exist_ok=True)
    (place / PLANNED_RUNS).touch()
    study, present = _open(place, runs)
    for run, trial in zip(runs, present, strict=False):
        values = base_values(run.config)
        # Data and teacher may lie elsewhere now. A storage keeps whatever is written to it.
        if not trial.state.is_finished() and values != trial.user_attrs[PLANNED]:
            study._storage.set_trial_user_attr(trial._trial_id, PLANNED, values)
    settings = SweepSettings(
        study_name=place.name,
        storage=None,
        space=SearchSpace(()).to_json(),
        base=base_values(runs[0].config),
        objectives=[objective],
        rungs=[],
        sampler=SAMPLER,
        pruner={"name": "none"},
        custom_search_space=None,
        n_trials=len(runs),
        noise_repeats=0,
        max_rejections=1,
        trial_timeout_seconds=workers.options.trial_timeout_seconds,
        workers=workers.num_workers,
        last_start=None,
    )
    write_settings(place, settings)
    for run in runs[len(present) :]:
        study.enqueue_trial({}, user_attrs={PLANNED: recorded_values(run.config)})
    return study


def refuse_others(place: Path, runs: Sequence[PlannedRun]) -> None:
    """Look whether a folder holds the runs of another command, before its plan is written.

    Raises:
        UserError: it does.
    """
    if (place / JOURNAL).exists():
        _open(place, runs)


def _open(place: Path, runs: Sequence[PlannedRun]) -> tuple[optuna.Study, list[FrozenTrial]]:
    """Return the study and those of the runs that are in it: a kill may have left a part."""
    study = open_own_study(place.name, None, place, ["maximize"])
    present = study.get_trials(deepcopy=False)
    if len(present) > len(runs):
        fewer = f"holds {len(present)} runs, and this command has {len(runs)}"
        raise UserError(f"{place}: {fewer}: give as many seeds as before, or more")
    for run, trial in zip(runs, present, strict=False):
        found = describe_changes(changes(trial.user_attrs[PLANNED], run.config))
        if found:
            others = f"holds runs of another command: of run {trial.number} {'; '.join(found)}"
            raise UserError(f"{place}: {others}; take another folder, or delete this one")
    return study, present


def check_runs(runs: Sequence[PlannedRun], config: DictConfig) -> None:
    """Look for what no run could have, while nothing is written.

    Args:
        config: Hydra's own, which names the launcher.

    Raises:
        UserError: data, a device or a teacher cannot be had, or a net is over its budget.
    """
    data = {repr(run.config.data): run.config.data for run in runs}
    for each in data.values():
        check_ahead(each)
    for run in {(run.configuration, repr(run.config.data)): run for run in runs}.values():
        try:
            check_net(run.config)
        except UserError as error:
            raise UserError(f"{run.configuration}: {error}") from error
    check_trackers_of(runs)
    if is_local(config):
        for device in sorted({run.config.train.device for run in runs}):
            check_device(device)


def check_trackers_of(runs: Sequence[PlannedRun]) -> None:
    """Look whether the trackers of some runs can be reached.

    Raises:
        UserError: one of them cannot.
    """
    for tracker in {repr(run.config.tracker): run.config.tracker for run in runs}.values():
        check_trackers(tracker)


def _ended(
    study: optuna.Study, objective: str, number: int, run: PlannedRun, place: Path
) -> EndedRun:
    record = to_record(study.get_trials(deepcopy=False)[number])
    if not record.is_trained:
        raise UserError(f"{place}: run {number} is not trained; the same command goes on")
    accuracy = None
    if record.state == "completed":
        run_dir = place / RUNS / str(number)
        try:
            accuracy = getattr(read_result(run_dir), objective)
        except UserError as error:
            mended = f"resume={run_dir} mends what a checkpoint can; else delete {place}"
            raise UserError(f"{error}; {mended}") from error
        if accuracy is None:
            problem = f"is damaged: a completed run has its {objective}"
            raise UserError(f"{run_dir / RESULT}: {problem}; delete {place} to train it again")
    return EndedRun(
        configuration=run.configuration,
        seed=run.config.seed,
        state=record.state,
        reason=record.reason,
        error=record.error,
        accuracy=accuracy,
        train_seconds=record.train_seconds,
        run_dir=f"{place.name}/{RUNS}/{number}",
    )
