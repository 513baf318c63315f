"""What a worker and the sweep itself ask of a study with many trials; what a rejection costs.

    python benchmarks/storage_cost.py --counts 100 1000 10000
    python benchmarks/storage_cost.py --url postgresql+psycopg://user@host/empty_database

A draw is TPE's, of the parameters of `core`; median of five.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposals import DataShape, Proposal, propose
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_building import build_space
from resnet_sweep.workers.status import Status
from resnet_sweep.workers.storage import open_storage
from resnet_sweep.workers.study import StudyProgress


def core_space() -> tuple[SearchSpace, Composer]:
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(OmegaConf.load(conf_dir() / "search_space" / "core.yaml"))
    assert isinstance(node, dict)
    space = build_space(node, [])  # type: ignore[arg-type] # its keys are text
    return space, Composer(conf_dir(), space.fixed_overrides)


def random_trials(space: SearchSpace, count: int) -> list[FrozenTrial]:
    """Return completed trials with random parameters and values."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    trials = []
    for number in range(count):
        trial = study.ask()
        space.suggest(trial)
        distributions: dict[str, BaseDistribution] = dict(trial.distributions)
        value = (number * 7919 % 1000) / 1000
        trials.append(create_trial(params=trial.params, distributions=distributions, value=value))
        study.tell(trial, state=TrialState.FAIL)
        if number % 500 == 499:  # the study itself grows slow
            study = optuna.create_study(sampler=RandomSampler(seed=number))
    return trials


def fill(url: str | None, folder: Path, name: str, trials: list[FrozenTrial]) -> None:
    """Store trials in a new study."""
    study = optuna.create_study(storage=open_storage(url, folder), study_name=name)
    if url is None:
        study.add_trials(trials)
    else:
        _insert(url, study._study_id, trials)


def _insert(url: str, study_id: int, trials: list[FrozenTrial]) -> None:
    """Write the rows that Optuna would, without its query for each parameter."""
    with Session(create_engine(url)) as session:
        session.add_all(_row(study_id, number, trial) for number, trial in enumerate(trials))
        session.commit()


def _row(study_id: int, number: int, trial: FrozenTrial) -> models.TrialModel:
    assert trial.value is not None
    value, kind = models.TrialValueModel.value_to_stored_repr(trial.value)
    return models.TrialModel(
        study_id=study_id,
        number=number,
        state=trial.state,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        values=[models.TrialValueModel(objective=0, value=value, value_type=kind)],
        params=[
            models.TrialParamModel(
                param_name=name,
                param_value=distribution.to_internal_repr(trial.params[name]),
                distribution_json=distribution_to_json(distribution),
            )
            for name, distribution in trial.distributions.items()
        ],
    )


def storage_cost(counts: list[int], url: str | None) -> None:
    """Time what a worker and the sweep itself ask of a study with many trials.

    Args:
        url: of an empty database; None: the journal.
    """
    space, _ = core_space()
    print("stored trials   load       ask       tell   status line")
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fill(url, folder, str(count), random_trials(space, count))
            print(f"{count:13,} {_measure(folder, space, url, str(count))}", flush=True)


def _measure(folder: Path, space: SearchSpace, url: str | None, name: str) -> str:
    sampler = TPESampler(
        multivariate=True, group=True, constant_liar=True, n_startup_trials=16, seed=0
    )
    started = time.perf_counter()
    storage = open_storage(url, folder)
    study = optuna.load_study(study_name=name, storage=storage, sampler=sampler)
    progress, status = StudyProgress(study), Status(study, ["val_accuracy"], 100, 10.0)
    progress.refresh()
    load = time.perf_counter() - started
    asks: list[float] = []
    tells: list[float] = []
    lines: list[float] = []
    for _ in range(5):
        times = [time.perf_counter()]
        trial = study.ask()
        space.suggest(trial)
        times.append(time.perf_counter())
        study.tell(trial, 0.5)
        times.append(time.perf_counter())
        progress.refresh()
        status.line(progress)
        times.append(time.perf_counter())
        for kind, (a, b) in zip((asks, tells, lines), itertools.pairwise(times), strict=True):
            kind.append(1000 * (b - a))
    cells = [statistics.median(each) for each in (asks, tells, lines)]
    return f"{load:5.2f} s {cells[0]:6.0f} ms {cells[1]:7.1f} ms {cells[2]:9.1f} ms"


def rejections(count: int = 1000) -> None:
    """Time what turns a random proposal away, and what finds that it is to be trained."""
    space, composer = core_space()
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    shape = DataShape(num_classes=10, image_size=32)
    rejected: list[float] = []
    accepted: list[float] = []
    for _ in range(count):
        assignments = space.suggest(study.ask())
        started = time.perf_counter()
        proposal = propose(composer, assignments, 0, shape)
        seconds = time.perf_counter() - started
        (accepted if isinstance(proposal, Proposal) else rejected).append(seconds)
    for name, times in (("a rejection", rejected), ("an acceptance", accepted)):
        median = statistics.median(times)
        each = f"{1000 * median:.2f} ms (n={len(times)}), {1 / median:.0f} a second"
        print(f"{name} beyond ask and tell: {each}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--url", help="of an empty database; else the journal")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    load = os.getloadavg()[0]
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPU cores, load {load:.1f}")
    rejections()
    storage_cost(arguments.counts, arguments.url)


if __name__ == "__main__":
    main()
