"""Whole sweeps of stub trainings in worker processes, and what kills them."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from optuna.trial import TrialState
from processes import children, is_alive, kill_all, meanwhile, wait_for
from stub_sweep import (
    STUB,
    make_supervisor,
    make_sweep,
    read_trials,
    run_stub_sweep,
    start_stub_sweep,
    stubs_importable,
    trained_numbers,
)
from stub_worker import TRAININGS, hold_from, release

from resnet_sweep.config.errors import UserError
from resnet_sweep.records.sweep_folder import read_sweep_trials
from resnet_sweep.system.locks import FileLock
from resnet_sweep.workers import launchers
from resnet_sweep.workers import supervisor as supervisor_module
from resnet_sweep.workers.coordination import worker_lock
from resnet_sweep.workers.launchers import GONE_SECONDS, SUBMITTED, LaunchedWorker
from resnet_sweep.workers.storage import JOURNAL
from resnet_sweep.workers.study import StudyProgress
from resnet_sweep.workers.supervisor import TooManyFailures


def _trainings(folder: Path) -> list[str]:
    path = folder / TRAININGS
    return path.read_text().split() if path.exists() else []


def _check_complete(folder: Path, n_trials: int) -> None:
    trials = read_trials(folder)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * n_trials
    assert trained_numbers(folder) == list(range(n_trials))
    recorded = read_sweep_trials(folder)
    assert [t.values for t in recorded] == [t.values for t in trials]


def test_each_trial_is_trained_once_by_one_of_the_workers(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=30, workers=3)
    hold_from(tmp_path, 0)

    def release_all() -> None:
        wait_for(lambda: len(_trainings(tmp_path)) == 3)
        release(tmp_path)

    with meanwhile(release_all):
        printed = run_stub_sweep(tmp_path, 3)
    _check_complete(tmp_path, 30)
    assert Counter(_trainings(tmp_path)) == Counter(map(str, range(30)))
    assert {t.user_attrs["worker"] for t in read_trials(tmp_path)} == {0, 1, 2}
    assert printed.count(" completed: val_accuracy") == 30


def test_a_killed_worker_is_replaced_and_its_trial_goes_on(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=6)
    hold_from(tmp_path, 0)
    supervisor, output = make_supervisor(tmp_path)
    start, started = supervisor.launcher.start, []

    def start_and_note(index: int):  # type: ignore[no-untyped-def] # as the launcher's
        started.append(start(index))
        return started[-1]

    supervisor.launcher.start = start_and_note  # type: ignore[method-assign]

    def kill_first() -> None:
        wait_for(lambda: len(_trainings(tmp_path)) == 2)
        started[0].kill()
        wait_for(lambda: len(_trainings(tmp_path)) == 3)
        release(tmp_path)

    with meanwhile(kill_first), stubs_importable():
        supervisor.run(2)
    _check_complete(tmp_path, 6)
    assert len(started) == 3
    assert sorted(Counter(_trainings(tmp_path)).values()) == [1, 1, 1, 1, 1, 2]
    assert "worker 0 has died (signal 9" in output.getvalue()


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=8)
    hold_from(tmp_path, 4)
    parent = start_stub_sweep(tmp_path, 8, 2)
    wait_for(lambda: len(_trainings(tmp_path)) == 6, parent)
    assert len(children(parent.pid, STUB)) == 2
    kill_all(parent, STUB)
    before = {t.number: t.values for t in read_trials(tmp_path) if t.values}
    assert list(before) == [0, 1, 2, 3]
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b'{"op_code":6,"worker_')  # as if it had been killed while it wrote
    release(tmp_path)
    run_stub_sweep(tmp_path)
    _check_complete(tmp_path, 8)
    after = {t.number: t.values for t in read_trials(tmp_path)}
    assert before.items() <= after.items()


@pytest.mark.slow
def test_workers_end_with_their_sweep(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=10**6)
    parent = start_stub_sweep(tmp_path, 10**6, 2)
    wait_for(lambda: len(children(parent.pid, STUB)) == 2 and _trainings(tmp_path), parent)
    workers = children(parent.pid, STUB)
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(map(is_alive, workers)))


@pytest.mark.slow
def test_a_worker_that_cannot_start_ends_the_sweep(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=2)
    (tmp_path / "conf" / "config.yaml").write_text("nonsense: [")
    with pytest.raises(UserError):
        run_stub_sweep(tmp_path, 1)


@pytest.mark.slow
def test_failures_are_shown_and_bounded(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=20)
    (tmp_path / "script.json").write_text(json.dumps({"1": "diverged", "2": "failed"}))
    hold_from(tmp_path, 3)
    supervisor, output = make_supervisor(tmp_path, max_failures=1)
    with stubs_importable(), pytest.raises(TooManyFailures, match="2 of 20"):
        supervisor.run(2)
    assert "trial 1 failed: diverged: scripted diverged" in output.getvalue()
    progress = StudyProgress(supervisor.study)
    progress.refresh()
    assert progress.trained < 20


@pytest.mark.slow
def test_the_deadline_stops_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sweep(tmp_path, n_trials=1000)
    hold_from(tmp_path, 3)
    supervisor, _output = make_supervisor(tmp_path, deadline=6.0)
    clock = SimpleNamespace(monotonic=lambda: 2.1 * supervisor.progress.trained, sleep=time.sleep)
    monkeypatch.setattr(supervisor_module, "time", clock)
    with stubs_importable():
        supervisor.run(2)
    assert supervisor.timed_out
    assert 3 <= supervisor.progress.trained <= 5


class _Job:
    """A launcher whose job never tells how it ended, as Slurm without accounting."""

    def launch(self, overrides: list[list[str]], initial_job_idx: int) -> list[object]:
        threading.Event().wait()
        return []


def test_a_launched_worker_is_gone_when_its_lock_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(launchers, "time", clock)
    path = worker_lock(tmp_path, 0)
    worker = LaunchedWorker(_Job(), 0, path, tmp_path)

    def is_running_at(now: float) -> bool:
        clock.now = now
        return worker.is_running()

    assert is_running_at(10) and is_running_at(20)  # it waits in a queue
    with FileLock(path) as lock:
        lock.write("process 1 on a")
        assert is_running_at(30) and is_running_at(40)
    assert is_running_at(50) and is_running_at(50 + GONE_SECONDS)  # it may be about to leave word
    assert not is_running_at(50.1 + GONE_SECONDS)
    assert "process 1 on a" in worker.last_words()
    assert LaunchedWorker(_Job(), 0, path, tmp_path).is_running()


class _Queued:
    """A worker whose job never comes out of its queue."""

    is_cancelled = False

    def is_running(self) -> bool:
        return not self.is_cancelled

    def has_begun(self) -> bool:
        return False

    def stop(self) -> None: ...

    def kill(self) -> None:
        self.is_cancelled = True

    def last_words(self) -> str:
        return ""


@pytest.mark.slow
def test_a_job_still_queued_keeps_no_finished_sweep_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "STOP_SECONDS", math.inf)
    make_sweep(tmp_path, n_trials=3)
    supervisor, _output = make_supervisor(tmp_path)
    start, queued = supervisor.launcher.start, _Queued()
    supervisor.launcher.start = lambda i: queued if i else start(i)  # type: ignore[method-assign]
    with stubs_importable():
        supervisor.run(2)
    _check_complete(tmp_path, 3)
    assert queued.is_cancelled


def test_a_queued_job_of_slurm_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "bin" / "scancel"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/cancelled\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "jobs" / SUBMITTED / "17").mkdir(parents=True)
    worker = LaunchedWorker(_Job(), 0, worker_lock(tmp_path, 0), tmp_path / "jobs")
    assert worker.is_running() and not worker.has_begun()
    worker.kill()
    assert (tmp_path / "cancelled").read_text().split() == ["17"]
