"""What a sweep says at its end: the best, the Pareto set, and the command of each."""

from __future__ import annotations

import shlex
from io import StringIO
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml
from optuna.distributions import IntDistribution
from optuna.trial import create_trial
from rich.console import Console
from stub_sweep import make_settings, make_sweep, open_stub_study, read_trials
from stub_worker import prepare, stub_run_trial

from resnet_sweep.analysis.objective import choose_objective
from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.identity import signature
from resnet_sweep.records.run_folder import read_config, read_result
from resnet_sweep.records.sweep_folder import RUNS, SweepRecord
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_building import build_space
from resnet_sweep.sweep.results import best_trials, describe_best, retrain_command, write_results
from resnet_sweep.workers.status import Status
from resnet_sweep.workers.storage import open_storage
from resnet_sweep.workers.study import StudyProgress
from resnet_sweep.workers.worker import work

pytestmark = pytest.mark.usefixtures("quiet_optuna")


def _commands(folder: Path) -> list[str]:
    space = SearchSpace.from_json(make_settings().space)
    composer = Composer(conf_dir(), space.fixed_overrides)
    return [retrain_command(trial, space, composer) for trial in read_trials(folder)]


@pytest.mark.slow
def test_each_command_is_its_own_trial_repeats_included(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=4, noise_repeats=2)
    assert work(tmp_path, 0, stub_run_trial, prepare).kind == "done"
    commands = _commands(tmp_path)
    assert len(set(commands)) == 4
    for number, command in enumerate(commands):
        overrides = shlex.split(command)[3:]
        again = Composer(conf_dir(), overrides).config({}, None)
        assert signature(again) == signature(read_config(tmp_path / RUNS / str(number)))


@pytest.mark.parametrize(
    "chosen", [["tracker=none"], ["tracker=mlflow", "tracker.mlflow.uri=http://a"]]
)
def test_a_command_keeps_the_tracker_that_was_asked_for(chosen: list[str]) -> None:
    composer = Composer(conf_dir(), chosen)
    words = shlex.split(
        retrain_command(
            create_trial(
                value=0.5, params={"seed": 1}, distributions={"seed": IntDistribution(0, 4)}
            ),
            build_space({}, ["seed=range(0, 5)", *chosen]),
            composer,
        )
    )
    kept = [word for word in words if word.startswith("tracker")]
    assert kept == ([] if chosen == ["tracker=none"] else chosen)
    Composer(conf_dir(), kept)  # what it says composes


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


def test_a_sweep_by_loss_takes_the_smallest_and_says_so(tmp_path: Path) -> None:
    storage = open_storage(None, tmp_path)
    optuna.create_study(study_name="stub", storage=storage, directions=["minimize"])
    make_sweep(tmp_path, n_trials=6, objectives=["val_loss"])
    assert work(tmp_path, 0, stub_run_trial, prepare).kind == "done"
    losses = {n: read_result(tmp_path / RUNS / str(n)).val_loss for n in range(6)}
    smallest = min(losses, key=lambda number: losses[number] or 0)
    study = open_stub_study(tmp_path)
    best = best_trials(study)
    assert [(t.number, t.value) for t in best] == [(smallest, losses[smallest])]
    write_results(tmp_path, study, best)
    written = yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())
    assert written["best_value"] == losses[smallest]
    assert f"trial {smallest} in" in describe_best(tmp_path, best, ["val_loss"], ["again"])
    progress, output = StudyProgress(study), StringIO()
    status = Status(study, ["val_loss"], 6, 1.0, Console(file=output, width=1000))
    status.end(progress, progress.refresh())
    assert f"best val_loss {losses[smallest]:.4f} (trial {smallest})" in output.getvalue()
    record = SweepRecord("s", ["val_loss"], ["minimize"], 6, 3, {}, [], "TPE", "none")
    runs = pd.DataFrame(
        {"val_loss": losses.values(), "objective": losses.values(), "objective_name": "val_loss"}
    )
    for asked in (None, "objective"):
        ranked = choose_objective(asked, [record], runs).best_first(runs)
        assert ranked["val_loss"].tolist() == sorted(losses.values())  # type: ignore[type-var]
    runs.loc[0, "objective_name"] = "val_accuracy"
    with pytest.raises(UserError, match="val_accuracy, val_loss"):
        choose_objective("objective", [record], runs)
