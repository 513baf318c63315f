"""Workers on stub trainings, in this process: which configurations are drawn and which count."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import Trial, TrialState
from stub_sweep import RANDOM, make_sweep, read_trials, trained_numbers
from stub_worker import work_here

from resnet_sweep.config.errors import ConfigError
from resnet_sweep.records.run_folder import read_config
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.workers.study import state_of, to_record
from resnet_sweep.workers.worker import load_function

pytestmark = pytest.mark.usefixtures("quiet_optuna")


def test_rejections_do_not_count_and_keep_their_size(tmp_path: Path) -> None:
    space = ("model.base_width=choice(8,16,400,600)", "optimizer.lr=interval(0.01,0.1)")
    make_sweep(tmp_path, *space, n_trials=10)
    work_here(tmp_path)
    states = Counter(state_of(trial) for trial in read_trials(tmp_path))
    assert states["completed"] == 10 and states["rejected"] > 0
    rejected = [to_record(t) for t in read_trials(tmp_path) if state_of(t) == "rejected"]
    assert {trial.reason for trial in rejected} == {"over_budget"}
    assert all(trial.num_params and trial.num_params > 5_000_000 for trial in rejected)
    assert all(trial.run_dir is None for trial in rejected)
    assert len(trained_numbers(tmp_path)) == 10


def test_endless_rejections_end_with_the_smallest_count(tmp_path: Path) -> None:
    make_sweep(tmp_path, "model.base_width=choice(1000,1008)", n_trials=3, max_rejections=15)
    ending = work_here(tmp_path)
    assert ending.kind == "user_error"
    sizes = [t.user_attrs["rejected"]["num_params"] for t in read_trials(tmp_path)]
    assert len(sizes) == 15 and f"{min(sizes):,}" in ending.message
    told = [trial.state for trial in read_trials(tmp_path)]
    assert told.count(TrialState.PRUNED) == 1  # the tenth, as a broken constraint


@pytest.mark.slow
def test_no_configuration_is_trained_twice(tmp_path: Path) -> None:
    make_sweep(tmp_path, "optimizer.lr=choice(0.1,0.2,0.3)", n_trials=3)
    assert work_here(tmp_path).kind == "done"
    completed = [t for t in read_trials(tmp_path) if state_of(t) == "completed"]
    assert sorted(t.params["optimizer.lr"] for t in completed) == [0.1, 0.2, 0.3]
    make_sweep(tmp_path, "optimizer.lr=choice(0.1,0.2,0.3)", n_trials=4, max_rejections=20)
    ending = work_here(tmp_path)
    assert ending.kind == "done"
    assert "exhausted" in str(ending.message) and "20 of them as duplicates" in str(ending.message)


@pytest.mark.slow
def test_widths_alone_are_drawn_beside_fixed_blocks(tmp_path: Path) -> None:
    space = ("model.widths=choice([4,8],[8,16])", "model.blocks=[1,1]", "seed=range(0,9)")
    make_sweep(tmp_path, *space, n_trials=3)
    assert work_here(tmp_path).kind == "done"
    space = ("model.widths=choice([4,8],[4,8,16])", "model.blocks=choice([1,1],[1,1,1])")
    make_sweep(tmp_path / "both", *space, n_trials=2, max_rejections=20)
    work_here(tmp_path / "both")
    states = Counter(map(state_of, read_trials(tmp_path / "both")))
    assert states["completed"] == 2


def test_a_grid_is_walked_once(tmp_path: Path) -> None:
    grid = {"_target_": "optuna.samplers.GridSampler", "_partial_": True, "seed": 0}
    space = ("optimizer.lr=choice(0.1,0.2)", "seed=range(1,4)")
    make_sweep(tmp_path, *space, n_trials=50, sampler=grid)
    assert work_here(tmp_path).kind == "done"
    drawn = {tuple(t.params.values()) for t in read_trials(tmp_path)}
    assert len(drawn) == 6 and len(trained_numbers(tmp_path)) == 6


def test_the_first_configuration_repeats_with_fresh_seeds(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=6, noise_repeats=3)
    work_here(tmp_path)
    records = [to_record(trial) for trial in read_trials(tmp_path)]
    repeats = [record for record in records if record.repeat_of is not None]
    assert len(repeats) == 3 and len(records) == 6
    assert {record.repeat_of for record in repeats} == {0}
    assert sorted(record.seed or 0 for record in repeats) == [1, 2, 3]
    assert all(record.params == records[0].params for record in repeats)


def add_depth(assignments: dict[str, object], trial: Trial) -> None:
    assignments["model.blocks"] = [trial.suggest_int("depth", 1, 3)] * 2


@pytest.mark.slow
def test_a_function_adds_to_the_space(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3, custom_search_space=f"{__name__}.add_depth")
    work_here(tmp_path)
    for trial in read_trials(tmp_path):
        config = read_config(tmp_path / RUNS / str(trial.number))
        assert getattr(config.model, "blocks") == [trial.params["depth"]] * 2  # noqa: B009


def break_down(assignments: dict[str, object], trial: Trial) -> None:
    raise KeyError("model.depht")


def test_a_bug_in_a_function_of_the_space_ends_the_sweep_as_what_it_is(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3, custom_search_space=f"{__name__}.break_down")
    ending = work_here(tmp_path)
    assert ending.kind == "user_error"
    assert "custom_search_space=" in ending.message and "model.depht" in ending.message
    assert [trial.state for trial in read_trials(tmp_path)] == [TrialState.FAIL]


def test_a_function_of_the_space_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    Path("my_space.py").write_text("def extend(draws, trial): ...\n")
    assert callable(load_function("my_space.extend"))
    Path("broken_space.py").write_text("def extend(draws, trial)\n")
    for path, said in (("broken_space.extend", "SyntaxError"), ("my_space.other", "has no other")):
        with pytest.raises(ConfigError, match=rf"custom_search_space={path}: .*{said}"):
            load_function(path)


@pytest.mark.slow
def test_workers_draw_differently_also_after_a_restart(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3, sampler=RANDOM)
    work_here(tmp_path, 0)
    make_sweep(tmp_path, n_trials=6, sampler=RANDOM)
    work_here(tmp_path, 0)
    make_sweep(tmp_path, n_trials=9, sampler=RANDOM)
    work_here(tmp_path, 1)
    drawn = [trial.params["optimizer.lr"] for trial in read_trials(tmp_path)]
    assert len(set(drawn)) == 9
