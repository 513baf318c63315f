"""Workers on stub trainings, in this process: what is trained, retried, pruned, told."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from stub_sweep import make_sweep, open_stub_study, read_trials
from stub_worker import TRAININGS, stub_run_trial, work_here

from resnet_sweep.config import Config
from resnet_sweep.records.checkpoint import CHECKPOINT, read_checkpoint
from resnet_sweep.records.run_folder import (
    METRICS,
    MODEL,
    RESULT,
    EpochMetrics,
    RunResult,
    read_config,
    write_config,
    write_metrics,
)
from resnet_sweep.records.run_state import BeyondRepair, Stage, run_state
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.search.trial_attributes import TRIAL_OUTCOME
from resnet_sweep.workers.coordination import request_stop, withdraw_stop
from resnet_sweep.workers.study import StudyProgress, to_record
from resnet_sweep.workers.trial import Training

pytestmark = pytest.mark.usefixtures("quiet_optuna")

OnEpoch = Callable[[EpochMetrics], None]


def _with_status(*statuses: str) -> Training:
    """Return a training whose n-th call ends in the n-th status, later ones completed."""
    left = list(statuses)

    def run(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        status = left.pop(0) if left else "completed"
        result = stub_run_trial(config, run_dir, on_epoch)
        if status != "completed":
            result.status, result.error, result.val_accuracy = status, f"some {status}", None
        return result

    return run


@pytest.mark.slow
def test_all_trials_are_trained_and_told(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=8)
    assert work_here(tmp_path).kind == "done"
    trials = read_trials(tmp_path)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 8
    for trial in trials:
        config = read_config(tmp_path / RUNS / str(trial.number))
        assert config.optimizer.lr == trial.params["optimizer.lr"]
        assert list(trial.intermediate_values) == [1, 2, 3]
    assert work_here(tmp_path).kind == "done"
    assert len(read_trials(tmp_path)) == 8


@pytest.mark.slow
@pytest.mark.parametrize("status", ["failed", "diverged", "out_of_memory"])
def test_failures_are_told_apart(tmp_path: Path, status: str) -> None:
    make_sweep(tmp_path, n_trials=3)
    assert work_here(tmp_path, run_training=_with_status(status, status)).kind == "done"
    first = to_record(read_trials(tmp_path)[0])
    assert (first.state, first.reason) == ("failed", status)
    assert first.error == f"some {status}"
    assert StudyProgress(open_stub_study(tmp_path)).refresh()[2].state == TrialState.COMPLETE


@pytest.mark.slow
def test_out_of_memory_is_tried_once_more_with_an_empty_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sweep(tmp_path, n_trials=1)
    emptied: list[bool] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: emptied.append(True))
    work_here(tmp_path, run_training=_with_status("out_of_memory"))
    assert read_trials(tmp_path)[0].state == TrialState.COMPLETE
    assert (tmp_path / TRAININGS).read_text().split() == ["0", "0"] and emptied == [True]


@pytest.mark.slow
def test_a_full_disk_ends_the_worker_and_keeps_the_trial(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=2)

    def full(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        result = stub_run_trial(config, run_dir, on_epoch)
        result.status, result.error = "failed", "OSError: [Errno 28] No space left on device"
        (run_dir / "result.json").unlink()
        return result

    ending = work_here(tmp_path, run_training=full)
    assert ending.kind == "broken_folder" and "No space" in ending.message
    assert read_trials(tmp_path)[0].state == TrialState.RUNNING
    work_here(tmp_path)
    assert [t.state for t in read_trials(tmp_path)] == [TrialState.COMPLETE] * 2


@pytest.mark.slow
def test_a_stopped_trial_goes_on_in_its_folder(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=2)

    def stop(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        request_stop(tmp_path)
        result = stub_run_trial(config, run_dir, None)
        (run_dir / "result.json").unlink()
        result.status = "interrupted"
        return result

    assert work_here(tmp_path, run_training=stop).kind == "stopped"
    before = read_trials(tmp_path)[0]
    assert before.state == TrialState.RUNNING
    withdraw_stop(tmp_path)
    work_here(tmp_path, index=1)  # another worker: the first one's lock is free
    after = read_trials(tmp_path)
    assert [trial.state for trial in after] == [TrialState.COMPLETE] * 2
    assert after[0].params == before.params
    assert (tmp_path / TRAININGS).read_text().split() == ["0", "0", "1"]


@pytest.mark.slow
def test_a_pruned_trial_is_stored_as_such(tmp_path: Path) -> None:
    from resnet_sweep.training.loop import PrunedRun

    def run(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        try:
            return stub_run_trial(config, run_dir, on_epoch)
        except PrunedRun:
            result = stub_run_trial(config, run_dir, None)
            result.status = "pruned"
            return result

    pruner = {"name": "asha", "first_rung": 0.3, "factor": 3}
    make_sweep(tmp_path, n_trials=12, pruner=pruner, noise_repeats=2)
    work_here(tmp_path, run_training=run)
    records = [to_record(trial) for trial in read_trials(tmp_path)]
    states = Counter(record.state for record in records)
    assert states["pruned"] > 0 and states["completed"] > 0 and sum(states.values()) == 12
    assert all(list(r.intermediate_values) == [1] for r in records if r.state == "pruned")
    assert all(r.state == "completed" for r in records if r.repeat_of is not None)


@pytest.mark.slow
def test_rungs_train_anew_with_the_schedule_compressed(tmp_path: Path) -> None:
    pruner = {"name": "asha", "first_rung": 0.3, "factor": 3}
    make_sweep(tmp_path, n_trials=9, pruner=pruner, rungs=[1])
    work_here(tmp_path)
    records = [to_record(trial) for trial in read_trials(tmp_path)]
    states = Counter(record.state for record in records)
    assert states["pruned"] >= 3 and states["completed"] >= 1
    for record in records:
        run = tmp_path / RUNS / str(record.number)
        assert read_config(run / "rung_1").train.epochs == 1
        assert list(record.intermediate_values) == [1]
        assert (run / "config.json").exists() == (record.state == "completed")
        trainings = 2 if record.state == "completed" else 1
        assert record.train_seconds == pytest.approx(0.1 * trainings)


def test_several_objectives(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=4, objectives=["val_accuracy", "num_params"])
    work_here(tmp_path)
    values = [trial.values for trial in read_trials(tmp_path)]
    assert all(len(v) == 2 and v[1] == 1000 for v in values)


@pytest.mark.slow
def test_a_trial_over_its_time_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill, is_told = os.kill, threading.Event()

    def kill_and_tell(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGTERM)
        kill(pid, number)
        is_told.set()

    def slow(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        result = stub_run_trial(config, run_dir, on_epoch)
        is_told.wait()
        is_told.clear()
        result.status, result.error = "interrupted", "signal 15"
        return result

    monkeypatch.setattr(os, "kill", kill_and_tell)
    make_sweep(tmp_path, n_trials=2, trial_timeout_seconds=0.2)
    assert work_here(tmp_path, run_training=slow).kind == "done"
    assert {to_record(trial).reason for trial in read_trials(tmp_path)} == {"timeout"}


def test_the_time_of_a_trial_counts_over_all_its_sittings(tmp_path: Path) -> None:
    """Of 30 s, the first sitting has recorded 40: the second one ends at once."""

    def train(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        result = stub_run_trial(config, run_dir, on_epoch)
        (run_dir / RESULT).unlink()
        if (run_dir / METRICS).exists():
            time.sleep(0.5)  # the watch's signal comes at once
        lines = [EpochMetrics(epoch, 0.1, 1.0, 0.5, 1.0, 0.5, 20.0) for epoch in (1, 2)]
        write_metrics(run_dir, lines)
        result.status = "interrupted"
        return result

    make_sweep(tmp_path, n_trials=1, trial_timeout_seconds=30)
    work_here(tmp_path, run_training=train)
    assert {to_record(trial).reason for trial in read_trials(tmp_path)} == {None}
    work_here(tmp_path, run_training=train)
    assert {to_record(trial).reason for trial in read_trials(tmp_path)} == {"timeout"}


def test_no_trial_starts_when_the_time_is_over(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3, last_start=time.time() - 1)
    assert work_here(tmp_path).kind == "done"
    assert read_trials(tmp_path) == []


def test_pruned_trials_do_not_shorten_what_a_trial_is_expected_to_take(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=9, last_start=time.time() + 500)
    study = open_stub_study(tmp_path)
    for state, seconds in (("pruned", 1.0), ("pruned", 1.0), ("completed", 1000.0)):
        trial = study.ask()
        trial.set_user_attr(TRIAL_OUTCOME, {"state": state, "train_seconds": seconds})
        value, code = (None, TrialState.PRUNED) if state == "pruned" else (0.5, None)
        study.tell(trial, value, code)
    assert "no time" in str(work_here(tmp_path).message)
    assert len(read_trials(tmp_path)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("names", [[CHECKPOINT], [MODEL], [MODEL, CHECKPOINT]])
def test_a_trial_without_a_readable_checkpoint_starts_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str]
) -> None:
    """Also where it had come as far as to its net: its sweep has never heard of a result."""
    make_sweep(tmp_path, n_trials=1)
    damaged = tmp_path / RUNS / "0" / names[-1]

    def run(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        if not run_dir.exists():
            run_dir.mkdir(parents=True)
            write_config(run_dir, config)
            for name in names:
                (run_dir / name).write_bytes(b"torn")
        state = run_state(run_dir)
        if state.stage is Stage.BEYOND_REPAIR:
            raise BeyondRepair(state.problem)
        read_checkpoint(run_dir)
        return stub_run_trial(config, run_dir, on_epoch)

    work_here(tmp_path, run_training=run)
    assert [trial.state for trial in read_trials(tmp_path)] == [TrialState.COMPLETE]
    assert "trial 0 starts from its beginning" in caplog.text
    assert damaged.with_name(f"{damaged.name}.damaged").read_bytes() == b"torn"
