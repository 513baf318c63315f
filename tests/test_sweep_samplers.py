"""Every sampler that a sweep offers, in a space with branches, over two sittings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from conftest import TINY_OVERRIDES
from engines import require_package
from hydra.core.global_hydra import GlobalHydra
from stub_sweep import read_trials
from sweep_stub import prepare, stub_run_trial

from resnet_sweep.search.sweeping import Sweeping
from resnet_sweep.train import main
from resnet_sweep.workers.worker import work

SWEEP = [
    "-m",
    "hydra/sweeper=optuna",
    *TINY_OVERRIDES,
    "search_space=[optimization]",
    "optimizer=choice(sgd,adamw)",
    "scheduler=cosine",
    "hydra.sweeper.n_jobs=1",
    "hydra.sweeper.study_name=s",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.start_from=[]",
]
STEPS = [
    "search_space=[]",
    "optimizer.lr=choice(0.01,0.1,1)",
    "optimizer.momentum=range(0.5,0.9,0.1)",
    "init.zero_init_residual=choice(true,false)",
]
SAMPLERS = ["tpe", "random", "grid", "qmc", "cmaes", "gp", "nsgaii", "nsgaiii"]


@pytest.fixture
def run_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run a sweep from its command line, with stub trainings, in this process."""

    def train_stubs(sweeping: Sweeping, *_: object) -> None:
        ending = work(sweeping.folder, 0, stub_run_trial, prepare)
        assert ending.kind == "done", ending

    def run(*overrides: str) -> None:
        monkeypatch.setattr(sys, "argv", ["train", *SWEEP, *overrides])
        main()

    monkeypatch.setattr(Sweeping, "_supervise", train_stubs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield run
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_draws_from_branches_and_goes_on(
    sampler: str, run_sweep: Callable[..., None]
) -> None:
    if sampler == "cmaes":
        require_package("cmaes", "cmaes")
    space = STEPS if sampler == "grid" else []
    choice = f"hydra/sweeper/sampler={sampler}"
    for n_trials in (4, 7):
        run_sweep(*space, choice, f"hydra.sweeper.n_trials={n_trials}")
        trials = [t for t in read_trials(Path("outputs/sweeps/s")) if t.values]
        assert len(trials) == n_trials
    points = {tuple(sorted(trial.params.items())) for trial in trials}
    assert len(points) == 7


def test_a_sweep_lies_behind_a_link_as_well(run_sweep: Callable[..., None]) -> None:
    Path("disk").mkdir()
    Path("outputs").symlink_to("disk")
    for n_trials in (2, 3):
        run_sweep("hydra/sweeper/sampler=random", f"hydra.sweeper.n_trials={n_trials}")
        assert len(read_trials(Path("disk/sweeps/s"))) == n_trials
