"""A stage of a confirmation: fixed runs in the hands of a sweep's workers.

Each stage is a study of its own in SWEEP/confirm/STAGE, with a run folder by number in it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.compose import to_dict
from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.confirmation.planning import PlannedRun
from resnet_sweep.errors import UserError
from resnet_sweep.records.confirmation import ConfirmationRun
from resnet_sweep.records.run_folder import read_result
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.sweep.launching import choose_launcher, default_n_jobs
from resnet_sweep.sweep.ledger import PLANNED, to_record
from resnet_sweep.sweep.running import supervise
from resnet_sweep.sweep.settings import (
    CONF,
    SweepSettings,
    base_values,
    freeze_conf,
    write_settings,
)
from resnet_sweep.sweep.space import SearchSpace
from resnet_sweep.sweep.status import Status
from resnet_sweep.sweep.study import open_own_study, prepare_study
from resnet_sweep.sweep.supervisor import Limits, Supervisor

OBJECTIVES = {"choose": "val_accuracy", "over_promise": "val_accuracy", "test": "test_accuracy"}
TITLES = {
    "choose": "stage 1 of 3, to choose on a fresh split",
    "over_promise": "stage 2 of 3, the sweep's best on its own split",
    "test": "stage 3 of 3, the chosen one and the baseline on the test set",
}
SAMPLER = {"_target_": "optuna.samplers.RandomSampler"}  # which is never asked


@dataclass(frozen=True)
class Crew:
    """Who trains: the launcher that the command line chose, and how many workers.

    Args:
        go_on: the command that continues after an interruption.
    """

    options: ConfirmConfig
    config: DictConfig
    context: HydraContext
    go_on: str

    @property
    def num_workers(self) -> int:
        return self.options.n_jobs or default_n_jobs()


def run_stage(
    sweep: Path, folder: Path, stage: str, runs: list[PlannedRun], crew: Crew
) -> list[ConfirmationRun]:
    """Train what is not trained yet and return how each run ended.

    Args:
        sweep: folder whose frozen configuration the workers read.
        folder: of the confirmation.

    Raises:
        UserError: no worker can go on.
        SystemExit: it was interrupted.
    """
    place = folder / stage
    settings = _settings(stage, runs, crew)
    study = prepare_stage(sweep, place, settings, runs)
    seconds, names = crew.options.status_seconds, name_runs(runs)
    status = Status(study, settings.objectives, len(runs), seconds, names=names)
    status.say(f"{TITLES[stage]} ({stage}): {len(runs)} runs")
    launcher = choose_launcher(place, crew.num_workers, crew.config, crew.context)
    limits = Limits(len(runs), math.inf, None)
    supervisor = Supervisor(place, study, launcher, status, limits, keeps_record=False)
    supervise(supervisor, crew.num_workers, crew.go_on)
    return [_ended(study, stage, number, run, place) for number, run in enumerate(runs)]


def name_runs(runs: list[PlannedRun]) -> list[str]:
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


def prepare_stage(
    sweep: Path, place: Path, settings: SweepSettings, runs: list[PlannedRun]
) -> optuna.Study:
    """Write what the workers read and return the study, with every run in it."""
    place.mkdir(parents=True, exist_ok=True)
    freeze_conf(place, sweep / CONF)
    write_settings(place, settings)
    study = open_own_study(settings.study_name, None, place, ["maximize"])
    return prepare_study(study, _enqueue(runs))


def _settings(stage: str, runs: list[PlannedRun], crew: Crew) -> SweepSettings:
    return SweepSettings(
        study_name=stage,
        storage=None,
        space=SearchSpace(()).to_json(),
        base=base_values(runs[0].config),
        objectives=[OBJECTIVES[stage]],
        rungs=[],
        sampler=SAMPLER,
        pruner={"name": "none"},
        custom_search_space=None,
        n_trials=len(runs),
        noise_repeats=0,
        max_rejections=1,
        trial_timeout_seconds=crew.options.trial_timeout_seconds,
        workers=crew.num_workers,
        last_start=None,
    )


def _enqueue(runs: list[PlannedRun]) -> Callable[[optuna.Study], None]:
    def enqueue(study: optuna.Study) -> None:
        for run in runs:
            study.enqueue_trial({}, user_attrs={PLANNED: to_dict(run.config)})

    return enqueue


def _ended(
    study: optuna.Study, stage: str, number: int, run: PlannedRun, place: Path
) -> ConfirmationRun:
    record = to_record(study.get_trials(deepcopy=False)[number])
    if not record.is_trained:
        raise UserError(f"{place}: run {number} is not trained; the same command goes on")
    run_dir = place / RUNS / str(number)
    accuracy = None
    if record.state == "completed":
        accuracy = getattr(read_result(run_dir), OBJECTIVES[stage])
    return ConfirmationRun(
        stage=stage,
        configuration=run.configuration,
        seed=run.config.seed,
        state=record.state,
        reason=record.reason,
        error=record.error,
        accuracy=accuracy,
        train_seconds=record.train_seconds,
        run_dir=f"{stage}/{RUNS}/{number}",
    )
