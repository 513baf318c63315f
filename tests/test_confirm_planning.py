"""What a confirmation is going to train, on a sweep that nobody has trained."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from confirmable import write_untrained_sweep
from conftest import make_tiny_config, train_here
from omegaconf import OmegaConf

from resnet_sweep.config.compose import from_dict
from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.config.model import CustomModelConfig
from resnet_sweep.config.scheduler import PlateauConfig
from resnet_sweep.confirmation.best import write_best
from resnet_sweep.confirmation.planning import (
    choose_runs,
    make_plan,
    over_promise_runs,
    ranked_plan,
    runs_on_test_set,
)
from resnet_sweep.data.device import place_data
from resnet_sweep.records.confirmation import Plan, read_plan, write_plan
from resnet_sweep.records.run_folder import read_result
from resnet_sweep.records.sweep_folder import SweepTrial, write_sweep_trials
from resnet_sweep.search.conf_files import CONF
from resnet_sweep.search.settings import read_settings, write_settings
from resnet_sweep.system.atomic import write_text
from resnet_sweep.training.device import choose_execution

NET = """\
import os
from torch import nn

def net(num_classes):
    width = int(os.environ["MY_WIDTH"])
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, width), nn.Linear(width, num_classes))
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_untrained_sweep(tmp_path / "s")


def _plan(sweep: Path, **options: object) -> Plan:
    return make_plan(sweep, ConfirmConfig(sweep=str(sweep), **options))


@pytest.mark.slow
def test_every_run_has_a_seed_of_its_own(sweep: Path, tmp_path: Path) -> None:
    plan = _plan(sweep, top_k=3, over_promise_k=2)
    runs = [
        *choose_runs(plan),
        *over_promise_runs(plan),
        *runs_on_test_set(plan, plan.candidates[0]),
    ]
    seeds = [run.config.seed for run in runs]
    assert len(seeds) == len(set(seeds)) == 3 * 3 + 2 * 5 + 2 * 5
    assert 0 not in seeds  # the sweep's
    assert [run.config.evaluate_test for run in runs] == [False] * 19 + [True] * 10
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [["val_accuracy"], ["num_params", "val_loss"]])
def test_an_older_plan_learns_from_its_sweep_what_ranked_it(
    sweep: Path, objectives: list[str]
) -> None:
    write_settings(sweep, replace(read_settings(sweep), objectives=objectives))
    values = asdict(_plan(sweep, baseline=None))
    del values["ranking"]
    write_text(sweep / "plan.json", json.dumps(values))
    older = read_plan(sweep)
    assert older.ranking == ""
    assert ranked_plan(older, sweep).ranking == objectives[-1]
    known = replace(older, ranking="val_top5")
    assert ranked_plan(known, sweep) == known


@pytest.mark.slow
def test_the_promise_is_measured_on_the_sweeps_own_split(sweep: Path) -> None:
    plan = _plan(sweep, top_k=2, over_promise_k=2)
    own = plan.candidates[0].config["data"]["split_seed"]
    assert {run.config.data.split_seed for run in over_promise_runs(plan)} == {own}
    assert {run.config.data.split_seed for run in choose_runs(plan)} == {plan.split_seed} != {own}


def test_source_is_its_recipe_with_its_schedule_in_the_sweeps_epochs(sweep: Path) -> None:
    plan = _plan(sweep, top_k=1)
    config = runs_on_test_set(plan, plan.candidates[0])[-1].config
    assert (config.model.name, config.train.epochs, config.train.batch_size) == ("wrn_2343", 3, 128)
    assert (config.optimizer.name, config.optimizer.lr, config.scheduler.name) == (
        "sgd",
        0.1,
        "cosine",
    )
    assert (config.data.name, config.data.val_size) == ("digits", 0)


def test_the_baseline_is_as_long_as_the_chosen_one(sweep: Path) -> None:
    """A sweep that draws train.epochs or data.train_subset has candidates that differ in them."""
    config_of = json.loads((sweep / "runs/1/config.json").read_text())
    config_of["train"]["epochs"], config_of["data"]["train_subset"] = 6, 300
    write_text(sweep / "runs/1/config.json", json.dumps(config_of))
    result = json.loads((sweep / "runs/1/result.json").read_text()) | {"epochs": 6}
    write_text(sweep / "runs/1/result.json", json.dumps(result))
    plan = _plan(sweep, top_k=2, all_data=False, baseline="source_tuned")
    for candidate, epochs, subset in zip(plan.candidates, (3, 6), (None, 300), strict=True):
        first, *_, last = (run.config for run in runs_on_test_set(plan, candidate))
        assert first.train.epochs == last.train.epochs == epochs
        assert first.data == last.data and last.data.train_subset == subset
        assert last.scheduler.warmup_epochs == pytest.approx(2 / 100 * epochs)


def test_the_baseline_is_of_the_configuration_that_the_sweep_was_started_with(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary one of the user's own, an experiment of theirs, a variable that it sets."""
    monkeypatch.delenv("MY_WD", raising=False)
    own = {
        "mine.yaml": "defaults: [config, _self_]\noptimizer: {momentum: 0.5}\n"
        "regularization: {weight_decay: '${oc.env:MY_WD}'}\nhydra: {searchpath: ['file://gone']}\n",
        "experiment/theirs.yaml": "# @package _global_\noptimizer: {lr: 0.3}\n",
    }
    for name, text in own.items():
        (sweep / CONF / name).write_text(text)
    values = {"primary": "mine", "own_files": list(own), "env_set": {"MY_WD": "0.002"}}
    write_settings(sweep, replace(read_settings(sweep), **values))
    plan = _plan(sweep, top_k=1, baseline="theirs")
    config = runs_on_test_set(plan, plan.candidates[0])[-1].config
    optimizer = vars(config.optimizer)
    assert (optimizer["momentum"], optimizer["lr"]) == (0.5, 0.3)
    assert config.regularization.weight_decay == 0.002


@pytest.mark.slow
def test_a_chosen_one_that_is_the_baseline_is_trained_once(sweep: Path) -> None:
    plan = _plan(sweep, top_k=1)
    chosen = runs_on_test_set(plan, plan.candidates[0])[0].config
    same = replace(plan, baseline=json.loads(json.dumps(plan.candidates[0].config)))
    same.baseline["data"]["val_size"] = 0
    same.baseline["evaluate_test"] = True
    runs = runs_on_test_set(same, plan.candidates[0])
    assert len(runs) == 5 and runs[0].config == chosen
    assert len(runs_on_test_set(_plan(sweep, baseline=None), plan.candidates[0])) == 5


@pytest.mark.slow
def test_a_second_confirmation_leaves_the_first_ones_experiment(sweep: Path) -> None:
    plan = _plan(sweep, top_k=2)
    first, second = (runs_on_test_set(plan, each)[0].config for each in plan.candidates)
    path, command = write_best(sweep, first, "first")
    other, other_command = write_best(sweep, second, "second", "other")
    assert (path.name, other.name) == ("best.yaml", "best_other.yaml")
    assert "first" in path.read_text() and "second" in other.read_text()
    assert "experiment=best " in command and "experiment=best_other " in other_command


def test_the_best_is_trained_again_with_the_variables_of_its_sweep(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network of the user's own reads one while it is built; this shell has none of them."""
    (tmp_path / "nets_by_width.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("MY_WIDTH", raising=False)
    model = CustomModelConfig(target="nets_by_width.net")
    config = replace(make_tiny_config(), model=model, evaluate_test=True)
    variables = {"MY_WIDTH": "3", "MY_TEXT": "a: 'b'"}
    _, command = write_best(sweep, config, "first", env_set=variables)
    words = shlex.split(command)[3:]
    done = train_here(*words, "train.epochs=1", "hydra.run.dir=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_result(tmp_path / "again").num_params == 3072 * 3 + 3 + 3 * 10 + 10
    composed = OmegaConf.load(tmp_path / "again/.hydra/hydra.yaml")
    assert dict(composed.hydra.job.env_set) == variables
    (tmp_path / "again/model.pt").unlink()  # to be built again
    done = train_here("resume=again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_subset_of_the_images_is_kept_on_request_alone(sweep: Path) -> None:
    plan = _plan(sweep, top_k=1)
    config = dict(plan.candidates[0].config)
    config["data"] = {**config["data"], "train_subset": 300}
    candidate = replace(plan.candidates[0], config=config)
    whole = runs_on_test_set(plan, candidate)[0].config.data
    kept = replace(plan, questions={**plan.questions, "all_data": False})
    assert (whole.val_size, whole.train_subset) == (0, None)
    assert runs_on_test_set(kept, candidate)[0].config.data.train_subset == 300


@pytest.mark.slow
def test_the_next_best_takes_the_place_of_what_needs_a_validation_loss(sweep: Path) -> None:
    path = sweep / "runs/0/config.json"
    values = json.loads(path.read_text())
    values["scheduler"] = asdict(PlateauConfig())
    path.write_text(json.dumps(values))
    plan = _plan(sweep, top_k=2)
    assert [candidate.trial for candidate in plan.candidates] == [1, 2]  # the next best
    assert any("trial 0 is left out" in note and "plateau" in note for note in plan.notes)


@pytest.mark.slow
def test_an_unfinished_sweep_is_confirmed_and_said_to_be_one(sweep: Path) -> None:
    trials = [SweepTrial(number, "completed", run_dir=f"runs/{number}") for number in range(2)]
    write_sweep_trials(sweep, [*trials, SweepTrial(2, "running", run_dir="runs/2")])
    assert "the sweep is not complete: 2 of 3 trials are trained" in _plan(sweep).notes


@pytest.mark.slow
def test_the_fresh_split_is_told_by_the_images_that_it_shares(sweep: Path) -> None:
    plan = _plan(sweep, top_k=1)
    first, fresh = from_dict(plan.candidates[0].config), choose_runs(plan)[0].config
    device = choose_execution(first.train).device
    parts = [place_data(c.data, device, with_test=False).val_indices for c in (first, fresh)]
    shared = len(set(parts[0].tolist()) & set(parts[1].tolist())) / len(parts[1])
    assert plan.shared_val == pytest.approx(shared) and 0.1 < shared < 0.3
    assert (plan.num_val, plan.num_test) == (len(parts[0]), 360)
