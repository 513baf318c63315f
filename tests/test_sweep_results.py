"""What a sweep says at its end: the best, the Pareto set, and the command of each."""

from __future__ import annotations

import shlex
from pathlib import Path

import optuna
import pytest
import yaml
from stub_sweep import make_settings, make_sweep, read_trials
from sweep_stub import prepare, stub_run_trial

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.records.identity import signature
from resnet_sweep.records.run_folder import read_config
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.results import best_trials, describe_best, retrain_command, write_results
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.workers.worker import work


@pytest.fixture(autouse=True)
def _quiet(recwarn: pytest.WarningsRecorder) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _commands(folder: Path) -> list[str]:
    space = SearchSpace.from_json(make_settings().space)
    composer = Composer(conf_dir(), space.fixed_overrides)
    return [retrain_command(trial, space, composer) for trial in read_trials(folder)]


def test_each_command_is_its_own_trial_repeats_included(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=4, noise_repeats=2)
    assert work(tmp_path, 0, stub_run_trial, prepare).kind == "done"
    commands = _commands(tmp_path)
    assert len(set(commands)) == 4
    for number, command in enumerate(commands):
        overrides = shlex.split(command)[3:]
        again = Composer(conf_dir(), overrides).config({}, None)
        assert signature(again) == signature(read_config(tmp_path / RUNS / str(number)))


def test_the_pareto_set_is_written_and_told(tmp_path: Path) -> None:
    objectives = ["val_accuracy", "num_params"]
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ((0.9, 100.0), (0.8, 50.0), (0.7, 60.0), (0.85, 100.0)):
        study.add_trial(optuna.trial.create_trial(values=values))
    best = best_trials(study)
    assert sorted(trial.number for trial in best) == [0, 1]
    write_results(tmp_path, study, best)
    written = yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())
    assert written["name"] == "optuna"
    assert sorted(s["values"] for s in written["solutions"]) == [[0.8, 50.0], [0.9, 100.0]]
    lines = describe_best(tmp_path, best, objectives, ["a", "b"]).splitlines()
    assert [line.strip() for line in lines[1::2]] == ["again: a", "again: b"]
    assert any("val_accuracy 0.9, num_params 100" in line for line in lines)
