"""What goes wrong around a training costs one trial, or ends the sweep and loses none."""

from __future__ import annotations

import copy
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_tiny_config
from optuna.trial import TrialState
from stub_sweep import make_settings, make_sweep, read_trials
from stub_worker import TRAININGS, prepare, stub_run_trial

from resnet_sweep.config import Config
from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.config.trackers import MlflowConfig, TrackerConfig
from resnet_sweep.records import run_lock
from resnet_sweep.records.run_folder import EpochMetrics, RunResult, write_result
from resnet_sweep.records.run_lock import holding_run
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.search.settings import base_values, found_changes
from resnet_sweep.system.atomic import write_text
from resnet_sweep.system.stopping import stop_on_signals
from resnet_sweep.training import run as trial
from resnet_sweep.training.loop import PrunedRun
from resnet_sweep.workers import worker
from resnet_sweep.workers.coordination import WorkerExit
from resnet_sweep.workers.study import to_record
from resnet_sweep.workers.trial import Training
from resnet_sweep.workers.worker import work

pytestmark = pytest.mark.usefixtures("quiet_optuna")

OnEpoch = Callable[[EpochMetrics], None]


def _work(folder: Path, run_training: Training) -> WorkerExit:
    return work(folder, 0, run_training, prepare)


def test_trainings_that_cannot_begin_end_the_sweep_as_rejections_do(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3, max_rejections=4)
    calls: list[Path] = []

    def refuse(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        calls.append(run_dir)
        assert len(calls) < 20, "no end"
        raise UserError("train.batch_size=10000: must be at most the number of training images")

    ending = _work(tmp_path, refuse)
    assert ending.kind == "user_error" and "max_rejections=4" in ending.message
    assert len(read_trials(tmp_path)) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drawn", "trials"),
    [("optimizer.lr=interval(0.1,1)", 1), ("train.batch_size=choice(64,10000)", 4)],
)
def test_a_fixed_value_that_the_data_refuse_ends_the_sweep_at_once(
    tmp_path: Path, drawn: str, trials: int
) -> None:
    make_sweep(tmp_path, drawn, "seed=range(0,9)", n_trials=3, max_rejections=4)

    def refuse(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        raise ConfigError("train.batch_size", 10000, "must be at most the number of images")

    ending = _work(tmp_path, refuse)
    assert ending.kind == "user_error"
    assert ending.message.startswith("train.batch_size=10000: must be") == (trials == 1)
    assert len(read_trials(tmp_path)) == trials


def test_data_that_vanish_are_the_cause_and_reject_nothing(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3, max_rejections=4)
    images = tmp_path / "images"
    config = ImageFolderConfig(root=str(images))

    def vanished(given: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        trial.prepare(replace(given, data=config))
        raise AssertionError("there are no images")

    ending = _work(tmp_path, vanished)
    assert ending.kind == "user_error"
    assert ending.message.startswith(f"data.root={images}: no such folder")
    assert [trial.state for trial in read_trials(tmp_path)] == [TrialState.RUNNING]
    (images / "train").mkdir(parents=True)
    (images / "test").mkdir()
    ending = _work(tmp_path, vanished)  # the same trial; the files name no field
    assert "must hold a folder for each" in ending.message
    assert [trial.state for trial in read_trials(tmp_path)] == [TrialState.RUNNING]


@pytest.mark.slow
@pytest.mark.parametrize(
    "field",
    [
        "train.device",
        "train.num_threads",
        "train.checkpoint_interval_seconds",
        "train.progress",
        "train.figures",
        "tracker",
        "evaluate_test",
    ],
)
def test_what_a_sweep_may_change_its_runs_may_change(tmp_path: Path, field: str) -> None:
    name = field.removeprefix("train.")
    values = {
        "device": "cuda",
        "num_threads": 7,
        "checkpoint_interval_seconds": 1.0,
        "tracker": TrackerConfig(mlflow=MlflowConfig(uri="http://localhost:5000")),
    }
    config = make_tiny_config()
    changed = copy.deepcopy(config)
    node = changed if name == field else changed.train
    setattr(node, name, values.get(name, not getattr(node, name)))
    old, new = (make_settings(base=base_values(each)) for each in (config, changed))
    assert old != new
    assert found_changes(old, new) == []
    for each in (config, changed):
        with holding_run(tmp_path / "run", each):
            pass


def _claim(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
    with holding_run(run_dir, config):
        return stub_run_trial(config, run_dir, on_epoch)


def test_a_disk_that_is_full_before_a_training_rejects_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sweep(tmp_path, n_trials=2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_lock, "write_config", full)
        ending = _work(tmp_path, _claim)
    assert ending.kind == "broken_folder" and "No space left" in ending.message
    assert [trial.state for trial in read_trials(tmp_path)] == [TrialState.RUNNING]
    assert _work(tmp_path, _claim).kind == "done"
    assert [trial.state for trial in read_trials(tmp_path)] == [TrialState.COMPLETE] * 2


def test_a_finished_run_of_another_configuration_is_not_taken_for_a_trial(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=1)
    foreign = replace(make_tiny_config(), seed=77)
    with holding_run(tmp_path / RUNS / "0", foreign):
        stub_run_trial(foreign, tmp_path / RUNS / "0", None)
    _work(tmp_path, _claim)
    [trial] = read_trials(tmp_path)
    assert trial.state == TrialState.FAIL
    assert "holds another run" in (to_record(trial).error or "")


def test_a_folder_in_use_is_a_failure_of_its_trial(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=2)
    run_dir = tmp_path / RUNS / "0"
    run_dir.mkdir(parents=True)
    write_text(run_dir / "config.json", "{}")
    with open(run_dir / "config.json", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert _work(tmp_path, _claim).kind == "done"
    first, second = (to_record(trial) for trial in read_trials(tmp_path))
    assert (first.state, first.reason) == ("failed", "failed")
    assert "another process" in (first.error or "")
    assert second.state == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("content", ["{", '{"schema_version": 1, "seed": -5}'])
def test_a_folder_that_does_not_fit_is_a_failure_of_its_trial(tmp_path: Path, content: str) -> None:
    make_sweep(tmp_path, n_trials=1)
    run_dir = tmp_path / RUNS / "0"
    run_dir.mkdir(parents=True)
    write_text(run_dir / "config.json", content)
    assert _work(tmp_path, _claim).kind == "done"
    assert [to_record(trial).state for trial in read_trials(tmp_path)] == ["failed"]


def test_a_result_that_cannot_be_written_leaves_its_trial_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sweep(tmp_path, n_trials=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def run(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        result = stub_run_trial(config, run_dir, on_epoch)
        (run_dir / "result.json").unlink()
        return trial._written(run_dir, result)

    with monkeypatch.context() as patch:
        patch.setattr(trial, "write_result", full)
        ending = _work(tmp_path, run)
    assert ending.kind == "broken_folder" and "result.json" in ending.message
    assert [each.state for each in read_trials(tmp_path)] == [TrialState.RUNNING]


class _Killed(BaseException):
    """Stands for a kill: nothing after it is carried out."""


def _pruned(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
    try:
        return stub_run_trial(config, run_dir, on_epoch)
    except PrunedRun:
        result = replace(stub_run_trial(config, run_dir), status="pruned", val_accuracy=None)
        write_result(run_dir, result)
        return result


def _killed_before_result(
    config: Config, run_dir: Path, on_epoch: OnEpoch | None = None
) -> RunResult:
    try:
        return stub_run_trial(config, run_dir, on_epoch)
    except PrunedRun:
        (run_dir / "epoch").unlink()  # the last checkpoint is older
        raise _Killed from None


def _killed_after_result(
    config: Config, run_dir: Path, on_epoch: OnEpoch | None = None
) -> RunResult:
    result = _pruned(config, run_dir, on_epoch)
    if result.status == "pruned":
        raise _Killed
    return result


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed", "again"), [(_killed_before_result, True), (_killed_after_result, False)]
)
def test_a_pruned_trial_stays_pruned_after_a_kill(
    tmp_path: Path, killed: Training, again: bool
) -> None:
    pruner = {"name": "asha", "first_rung": 0.3, "factor": 3}
    make_sweep(tmp_path, n_trials=12, pruner=pruner)
    with pytest.raises(_Killed):
        _work(tmp_path, killed)
    left = read_trials(tmp_path)[-1]
    assert left.state == TrialState.RUNNING
    trained = len((tmp_path / TRAININGS).read_text().split())
    make_sweep(tmp_path, n_trials=left.number + 1, pruner=pruner)
    assert _work(tmp_path, _pruned).kind == "done"
    after = to_record(read_trials(tmp_path)[left.number])
    assert after.state == "pruned" and list(after.intermediate_values) == [1]
    assert (len((tmp_path / TRAININGS).read_text().split()) > trained) == again


def test_a_signal_after_the_last_step_ends_the_worker(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3)

    def run(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        with stop_on_signals():
            result = stub_run_trial(config, run_dir, on_epoch)
            signal.raise_signal(signal.SIGTERM)
            return result

    assert _work(tmp_path, run).kind == "stopped"
    assert [each.state for each in read_trials(tmp_path)] == [TrialState.COMPLETE]


def test_a_withdrawn_request_is_not_handed_on() -> None:
    with stop_on_signals() as outer, stop_on_signals() as middle:
        with stop_on_signals():
            signal.raise_signal(signal.SIGTERM)
        assert middle.signal_number == signal.SIGTERM
        middle.withdraw()
    assert outer.signal_number is None


def test_a_worker_whose_parent_is_gone_stops_even_if_the_signal_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sweep(tmp_path, n_trials=3)
    reading, writing = os.pipe()
    lost = threading.Event()
    monkeypatch.setattr(worker, "_parent_is_gone", threading.Event())
    monkeypatch.setattr(os, "kill", lambda *_: lost.set())
    with open(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        worker.end_with_parent()
        os.close(writing)
        assert lost.wait(10)
    assert _work(tmp_path, stub_run_trial).kind == "stopped"
    assert read_trials(tmp_path) == []
