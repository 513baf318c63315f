"""Every sampler that a sweep offers, in a space with branches, over two sittings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import optuna
import pytest
from conftest import TINY_OVERRIDES
from hydra.core.global_hydra import GlobalHydra
from optuna.trial import FrozenTrial, Trial, TrialState
from scipy.stats import qmc
from stub_sweep import FIXED, make_sweep, open_stub_study, read_trials
from stub_worker import prepare, stub_run_trial

from resnet_sweep.search.proposals import Rejection
from resnet_sweep.search.settings import read_settings
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_building import build_space
from resnet_sweep.sweep.command import SweepCommand
from resnet_sweep.system.locks import FileLock
from resnet_sweep.train import main
from resnet_sweep.workers.claims import Claims
from resnet_sweep.workers.coordination import worker_lock
from resnet_sweep.workers.study import Outcome
from resnet_sweep.workers.worker import open_study, work

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

    def train_stubs(sweeping: SweepCommand, *_: object) -> None:
        ending = work(sweeping.folder, 0, stub_run_trial, prepare)
        assert ending.kind == "done", ending

    def run(*overrides: str) -> None:
        monkeypatch.setattr(sys, "argv", ["train", *SWEEP, *overrides])
        main()

    monkeypatch.setattr(SweepCommand, "_supervise", train_stubs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield run
    GlobalHydra.instance().clear()


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_draws_from_branches_and_goes_on(
    sampler: str, run_sweep: Callable[..., None]
) -> None:
    space = STEPS if sampler == "grid" else []
    choice = f"hydra/sweeper/sampler={sampler}"
    for n_trials in (4, 7):
        run_sweep(*space, choice, f"hydra.sweeper.n_trials={n_trials}")
        trials = [t for t in read_trials(Path("outputs/sweeps/s")) if t.values]
        assert len(trials) == n_trials
    points = {tuple(sorted(trial.params.items())) for trial in trials}
    assert len(points) == 7


@pytest.mark.slow
def test_a_sweep_lies_behind_a_link_as_well(run_sweep: Callable[..., None]) -> None:
    Path("disk").mkdir()
    Path("outputs").symlink_to("disk")
    for n_trials in (2, 3):
        run_sweep("hydra/sweeper/sampler=random", f"hydra.sweeper.n_trials={n_trials}")
        assert len(read_trials(Path("disk/sweeps/s"))) == n_trials


GRID, QMC = "optuna.samplers.GridSampler", "optuna.samplers.QMCSampler"
TWELVE = ("optimizer.lr=choice(0.1,0.2,0.3)", "optimizer.momentum=choice(0.5,0.6,0.7,0.8)")
PLANE = ("optimizer.lr=interval(0.1,0.9)", "optimizer.momentum=interval(0,0.9)")
POINTS = {(lr, momentum) for lr in (0.1, 0.2, 0.3) for momentum in (0.5, 0.6, 0.7, 0.8)}


class _Worker:
    """A worker that draws and tells, and trains nothing."""

    def __init__(self, folder: Path, index: int, alive: ExitStack) -> None:
        settings = read_settings(folder)
        self._space = SearchSpace.from_json(settings.space)
        study = open_study(settings, self._space, folder, index)
        self._claims = Claims(study, folder, settings.n_trials, index)
        worker_lock(folder, index).parent.mkdir(exist_ok=True)
        self._life = alive.enter_context(ExitStack())
        self._life.enter_context(FileLock(worker_lock(folder, index)))
        self.trial: Trial | None = None

    def draw(self) -> bool:
        self.trial = self._claims.claim()
        if self.trial is not None:
            self._space.suggest(self.trial)
        return self.trial is not None

    def tell(self) -> None:
        assert self.trial is not None
        verdict = {"signature": repr(sorted(self.trial.params.items())), "seed": 0}
        earlier = self._claims.accept(self.trial, verdict)
        if earlier is not None:
            self._claims.reject(self.trial, Rejection("duplicate"), 1)
        else:
            self._claims.finish(self.trial, Outcome("completed", [0.5]))

    def die(self) -> None:
        self._life.close()


def _walk(folder: Path, num_workers: int, deaths: int = 0) -> list[FrozenTrial]:
    """Let workers draw at one moment and tell in turn; some die between the two."""
    with ExitStack() as alive:
        workers = {i: _Worker(folder, i, alive) for i in range(num_workers)}
        while workers:
            for index in list(workers):
                if not workers[index].draw():
                    workers.pop(index).die()
            for index in list(workers):
                if deaths and workers[index].trial is not None:
                    deaths -= 1
                    workers[index].die()
                    workers[index] = _Worker(folder, index, alive)
                else:
                    workers[index].tell()
    return read_trials(folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize(("num_workers", "deaths"), [(1, 0), (2, 0), (4, 3)])
def test_workers_share_a_grid(
    tmp_path: Path, seed: int | None, num_workers: int, deaths: int
) -> None:
    make_sweep(tmp_path, *TWELVE, n_trials=50, sampler={"_target_": GRID, "seed": seed})
    trials = _walk(tmp_path, num_workers, deaths)
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 12
    assert {tuple(t.params.values()) for t in trials} == POINTS


def test_a_grid_is_shared_by_two_sittings(tmp_path: Path) -> None:
    node = {"_target_": GRID, "seed": 7}
    for n_trials in (5, 8, 50):
        make_sweep(tmp_path, *TWELVE, n_trials=n_trials, sampler=node)
        trials = _walk(tmp_path, 2)
    assert {tuple(t.params.values()) for t in trials} == POINTS and len(trials) == 12


def test_a_grid_goes_on_after_a_version_that_shuffled_it_in_each_worker(tmp_path: Path) -> None:
    make_sweep(tmp_path, *TWELVE, n_trials=50, sampler={"_target_": GRID, "seed": 7})
    study = open_stub_study(tmp_path)
    space = {"optimizer.lr": [0.1, 0.2, 0.3], "optimizer.momentum": [0.5, 0.6, 0.7, 0.8]}
    for seed in (7, 1, 2, 3, 4, 5):
        study.sampler = optuna.samplers.GridSampler(space, seed)
        trial = study.ask()
        for parameter in SearchSpace.from_json(read_settings(tmp_path).space).parameters:
            trial._suggest(parameter.name, parameter.distribution)
        trial.set_user_attr("accepted", {"signature": repr(sorted(trial.params.items()))})
        with suppress(RuntimeError):
            study.tell(trial, 0.5)
    trials = _walk(tmp_path, 2)
    assert {tuple(t.params.values()) for t in trials if t.values} == POINTS


def _branches(momentum: str, zero_init: str) -> str:
    parameters = {"optimizer": "choice(sgd,adamw)", "init.zero_init_residual": zero_init}
    when = {"optimizer=sgd": {"optimizer.momentum": momentum}}
    when["optimizer=adamw"] = {"optimizer.eps": "choice(1e-8)"}
    return build_space({"parameters": parameters, "when": when}, FIXED).to_json()


def test_a_grid_draws_a_point_of_an_unused_branch_once(tmp_path: Path) -> None:
    space = _branches("choice(0.5,0.6,0.7)", "choice(true,false)")
    node = {"_target_": GRID, "seed": 7}
    make_sweep(tmp_path, n_trials=50, sampler=node, space=space)
    trials = _walk(tmp_path, 2)
    assert len({tuple(t.params.items()) for t in trials}) == len(trials) == 8
    make_sweep(tmp_path / "starts", *TWELVE, n_trials=50, sampler={"_target_": GRID, "seed": 7})
    start = {"optimizer.lr": 0.2, "optimizer.momentum": 0.8}
    open_stub_study(tmp_path / "starts").enqueue_trial(start)
    trials = _walk(tmp_path / "starts", 2)
    completed = [tuple(t.params.values()) for t in trials if t.state == TrialState.COMPLETE]
    assert trials[0].params == start and len(completed) == len(set(completed)) == 12


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize(("num_workers", "deaths"), [(1, 0), (2, 0), (4, 3)])
def test_workers_share_a_scrambled_sequence(
    tmp_path: Path, seed: int | None, num_workers: int, deaths: int
) -> None:
    node = {"_target_": QMC, "scramble": True, "seed": seed}
    for n_trials in (6, 16):  # and in two sittings
        make_sweep(tmp_path, *PLANE, n_trials=n_trials, sampler=node)
        trials = _walk(tmp_path, num_workers, deaths)
    drawn = np.array([[t.params["optimizer.lr"], t.params["optimizer.momentum"]] for t in trials])
    unit = (drawn - [0.1, 0]) / [0.8, 0.9]
    if seed is not None:
        expected = qmc.Sobol(2, seed=seed).random(16)
        assert np.allclose(np.sort(unit, axis=0), np.sort(expected, axis=0))
    # Sixteen points of one scrambled sequence lie one in each sixteenth, in each dimension.
    assert all(len(set(column)) == 16 for column in np.floor(unit * 16).T)


@pytest.mark.slow
@pytest.mark.parametrize("scramble", [True, False])
@pytest.mark.parametrize(("num_workers", "deaths"), [(1, 0), (2, 1), (4, 3)])
def test_workers_share_a_halton_sequence(
    tmp_path: Path, scramble: bool, num_workers: int, deaths: int
) -> None:
    node = {"_target_": QMC, "qmc_type": "halton", "scramble": scramble, "seed": 7}
    for n_trials in (6, 16):  # in two sittings
        make_sweep(tmp_path, *PLANE, n_trials=n_trials, sampler=node)
        trials = _walk(tmp_path, num_workers, deaths)
    drawn = np.array([[t.params["optimizer.lr"], t.params["optimizer.momentum"]] for t in trials])
    expected = qmc.Halton(2, scramble=scramble, seed=7).random(16)
    unit = (drawn - [0.1, 0]) / [0.8, 0.9]
    assert np.allclose(unit[np.lexsort(unit.T)], expected[np.lexsort(expected.T)])


def test_branches_of_a_sequence_are_drawn_by_each_worker_for_itself(tmp_path: Path) -> None:
    node = {"_target_": QMC, "scramble": True, "seed": 7, "warn_independent_sampling": False}
    space = _branches("interval(0.1,0.9)", "choice(true,false)")
    make_sweep(tmp_path, n_trials=8, sampler=node, space=space)
    drawn = [t.params for t in _walk(tmp_path, 4) if t.params["optimizer"] == "sgd"]
    momenta = {value for params in drawn for name, value in params.items() if "momentum" in name}
    assert len(momenta) == len(drawn) > 2


@pytest.mark.slow
@pytest.mark.parametrize(("num_workers", "deaths"), [(1, 0), (2, 1), (4, 2)])
@pytest.mark.parametrize(
    "name", ["BruteForceSampler", "RandomSampler", "CmaEsSampler", "GPSampler"]
)
def test_workers_that_draw_by_themselves_repeat_nothing(
    tmp_path: Path, name: str, num_workers: int, deaths: int
) -> None:
    is_finite = name == "BruteForceSampler"
    space = TWELVE if is_finite else PLANE
    node = {"_target_": f"optuna.samplers.{name}", "seed": 7}
    for n_trials in (6, 12):
        make_sweep(tmp_path, *space, n_trials=n_trials, sampler=node)
        trials = _walk(tmp_path, num_workers, deaths)
    completed = [tuple(t.params.values()) for t in trials if t.state == TrialState.COMPLETE]
    assert len(set(completed)) == 12 and (not is_finite or set(completed) == POINTS)
