"""Studies whose trials carry their whole configuration: nothing is drawn, nothing rejected."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from conftest import make_tiny_config
from omegaconf import OmegaConf
from stub_sweep import make_sweep, open_stub_study, read_trials, run_stub_sweep, trained_numbers
from stub_worker import TRAININGS, prepare, result_of, stub_run_trial

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.workers import WorkersConfig
from resnet_sweep.records.run_folder import EpochMetrics, RunResult, read_config
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.search.settings import base_values
from resnet_sweep.search.trial_attributes import PLANNED
from resnet_sweep.workers import planned
from resnet_sweep.workers.launchers import BASIC_LAUNCHER
from resnet_sweep.workers.planned import (
    PlannedRun,
    WorkerPool,
    exit_if_all_failed,
    train_planned,
)
from resnet_sweep.workers.study import to_record
from resnet_sweep.workers.trial import Training
from resnet_sweep.workers.worker import work

pytestmark = pytest.mark.usefixtures("quiet_optuna")


def _plan(folder: Path, configs: list[Config]) -> None:
    base = base_values(make_tiny_config())
    make_sweep(folder, n_trials=len(configs), base=base, max_rejections=1)
    study = open_stub_study(folder)
    for config in configs:
        study.enqueue_trial({}, user_attrs={PLANNED: to_dict(config)})


@pytest.mark.slow
def test_workers_train_exactly_what_is_planned(tmp_path: Path) -> None:
    configs = [replace(make_tiny_config(), seed=seed) for seed in range(5, 10)]
    _plan(tmp_path, configs)
    run_stub_sweep(tmp_path)
    assert trained_numbers(tmp_path) == list(range(5))
    assert [read_config(tmp_path / RUNS / str(number)) for number in range(5)] == configs
    assert [to_record(trial).seed for trial in read_trials(tmp_path)] == list(range(5, 10))
    run_stub_sweep(tmp_path)
    assert len((tmp_path / TRAININGS).read_text().split()) == 5


def _too_large(
    config: Config, run_dir: Path, on_epoch: Callable[[EpochMetrics], None] | None = None
) -> RunResult:
    if config.seed == 1:
        raise UserError("train.batch_size=64: must be at most the number of training images")
    return stub_run_trial(config, run_dir, on_epoch)


def test_what_cannot_be_trained_has_failed_and_no_other_takes_its_place(tmp_path: Path) -> None:
    twice = replace(make_tiny_config(), seed=2)
    configs = [replace(twice, seed=seed) for seed in (0, 1)] + [twice, twice]
    _plan(tmp_path, configs)
    assert work(tmp_path, 0, _too_large, prepare).kind == "done"
    records = [to_record(trial) for trial in read_trials(tmp_path)]
    assert [record.state for record in records] == ["completed", "failed", "completed", "failed"]
    assert "batch_size=64" in (records[1].error or "")
    assert records[3].error == "repeats trial 2"


def _broken(config: Config, *_: object) -> RunResult:
    return result_of(config, "diverged")


@pytest.mark.parametrize(("run_training", "fails"), [(_broken, True), (_too_large, False)])
def test_a_command_of_which_no_run_completed_fails(
    run_training: Training,
    fails: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(planned, "supervise", lambda *_: work(place, 0, run_training, prepare))
    place, config = tmp_path / "study", make_tiny_config()
    runs = [PlannedRun("one", replace(config, seed=seed)) for seed in (0, 1)]
    local = OmegaConf.create(
        {"hydra": {"launcher": {"_target_": BASIC_LAUNCHER}, "job": {"env_set": {}}}}
    )
    workers = WorkerPool(WorkersConfig(), local, Mock(), "again")
    with pytest.raises(SystemExit) if fails else nullcontext() as ended:
        exit_if_all_failed(train_planned(place, "val_accuracy", runs, workers, "title"))
    if ended is not None:
        assert ended.value.code == 1
        assert "none of 2 runs completed (2 diverged)" in capsys.readouterr().err


def test_a_completed_run_without_its_accuracy_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "study"
    monkeypatch.setattr(planned, "supervise", lambda *_: work(place, 0, stub_run_trial, prepare))
    local = OmegaConf.create(
        {"hydra": {"launcher": {"_target_": BASIC_LAUNCHER}, "job": {"env_set": {}}}}
    )
    workers = WorkerPool(WorkersConfig(), local, Mock(), "again")
    runs = [PlannedRun("one", make_tiny_config())]
    (ended,) = train_planned(place, "val_accuracy", runs, workers, "title")
    assert ended.accuracy is not None
    path = place / "runs/0/result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"val_accuracy": None}))
    with pytest.raises(UserError, match=r"runs/0/result\.json: is damaged: .* val_accuracy"):
        train_planned(place, "val_accuracy", runs, workers, "title")
