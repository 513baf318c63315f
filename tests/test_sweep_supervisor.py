"""Whole sweeps of stub trainings in worker processes, and what kills them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from stub_sweep import (
    make_supervisor,
    make_sweep,
    read_trials,
    run_stub_sweep,
    start_stub_sweep,
    stubs_importable,
    trained_numbers,
)
from sweep_stub import TRAININGS

from resnet_sweep.errors import UserError
from resnet_sweep.records.sweep_folder import read_sweep_trials
from resnet_sweep.sweep import launching
from resnet_sweep.sweep.endings import worker_lock
from resnet_sweep.sweep.journal import JOURNAL
from resnet_sweep.sweep.launching import SUBMITTED, LaunchedWorker
from resnet_sweep.sweep.ledger import Ledger
from resnet_sweep.sweep.locks import FileLock
from resnet_sweep.sweep.supervisor import TooManyFailures


def _wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def _trainings(folder: Path) -> list[str]:
    path = folder / TRAININGS
    return path.read_text().split() if path.exists() else []


def _workers_of(parent: int) -> list[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True
    )
    lines = listing.stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "sweep_stub" in line]


def _check_complete(folder: Path, n_trials: int) -> None:
    trials = read_trials(folder)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * n_trials
    assert trained_numbers(folder) == list(range(n_trials))
    recorded = read_sweep_trials(folder)
    assert [t.values for t in recorded] == [t.values for t in trials]


def test_each_trial_is_trained_once_by_one_of_the_workers(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=30, workers=3)
    (tmp_path / "sleep").write_text("0.01")
    printed = run_stub_sweep(tmp_path, 3)
    _check_complete(tmp_path, 30)
    assert Counter(_trainings(tmp_path)) == Counter(map(str, range(30)))
    assert len({t.user_attrs["worker"] for t in read_trials(tmp_path)}) > 1
    assert printed.count(" completed: val_accuracy") == 30


def test_a_killed_worker_is_replaced_and_its_trial_goes_on(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=6)
    (tmp_path / "sleep").write_text("0.1")
    supervisor, output = make_supervisor(tmp_path)
    start, started = supervisor.launcher.start, []

    def start_and_note(index: int):  # type: ignore[no-untyped-def] # as the launcher's
        started.append(start(index))
        return started[-1]

    supervisor.launcher.start = start_and_note  # type: ignore[method-assign]

    def kill_first() -> None:
        _wait_for(lambda: _trainings(tmp_path))
        started[0].kill()

    killer = threading.Thread(target=kill_first)
    killer.start()
    with stubs_importable():
        supervisor.run(2)
    killer.join()
    _check_complete(tmp_path, 6)
    assert len(started) == 3
    assert "worker 0 has died (signal 9" in output.getvalue()


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=8)
    (tmp_path / "sleep").write_text("0.05")
    parent = start_stub_sweep(tmp_path, 8, 2)
    _wait_for(lambda: len(_trainings(tmp_path)) >= 4)
    workers = _workers_of(parent.pid)
    assert len(workers) == 2
    for pid in (parent.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    parent.wait()
    before = {t.number: t.values for t in read_trials(tmp_path) if t.values}
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b'{"op_code":6,"worker_')  # as if it had been killed while it wrote
    run_stub_sweep(tmp_path)
    _check_complete(tmp_path, 8)
    after = {t.number: t.values for t in read_trials(tmp_path)}
    assert before.items() <= after.items()


def test_workers_end_with_their_sweep(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=50)
    (tmp_path / "sleep").write_text("0.1")
    parent = start_stub_sweep(tmp_path, 50, 2)
    _wait_for(lambda: len(_trainings(tmp_path)) >= 2)
    workers = _workers_of(parent.pid)
    parent.kill()
    parent.wait()
    _wait_for(lambda: not any(_is_alive(pid) for pid in workers), 20)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_worker_that_cannot_start_ends_the_sweep(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=2)
    (tmp_path / "conf" / "config.yaml").write_text("nonsense: [")
    with pytest.raises(UserError):
        run_stub_sweep(tmp_path, 1)


def test_failures_are_shown_and_bounded(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=20)
    (tmp_path / "script.json").write_text(json.dumps({"1": "diverged", "2": "failed"}))
    (tmp_path / "sleep").write_text("0.05")
    supervisor, output = make_supervisor(tmp_path, max_failures=1)
    with stubs_importable(), pytest.raises(TooManyFailures, match="2 of 20"):
        supervisor.run(2)
    assert "trial 1 failed: diverged: scripted diverged" in output.getvalue()
    ledger = Ledger(supervisor.study)
    ledger.refresh()
    assert ledger.trained < 20


def test_the_deadline_stops_the_workers(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=1000)
    (tmp_path / "sleep").write_text("0.05")
    supervisor, _output = make_supervisor(tmp_path, deadline=time.monotonic() + 6)
    with stubs_importable():
        supervisor.run(2)
    assert supervisor.timed_out
    assert 0 < supervisor.ledger.trained < 1000


class _Job:
    """A launcher whose job never tells how it ended, as Slurm without accounting."""

    def launch(self, overrides: list[list[str]], initial_job_idx: int) -> list[object]:
        threading.Event().wait(60)
        return []


def test_a_launched_worker_is_gone_when_its_lock_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "GONE_SECONDS", 0.2)
    path = worker_lock(tmp_path, 0)
    worker = LaunchedWorker(_Job(), 0, path, tmp_path)
    for _ in range(4):  # it waits in a queue
        assert worker.is_running()
        time.sleep(0.1)
    with FileLock(path) as lock:
        lock.write("process 1 on a")
        assert worker.is_running()
    assert worker.is_running()  # it may be about to leave its word
    time.sleep(0.3)
    assert not worker.is_running()
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


def test_a_job_still_queued_keeps_no_finished_sweep_open(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3)
    supervisor, _output = make_supervisor(tmp_path)
    start, queued = supervisor.launcher.start, _Queued()
    supervisor.launcher.start = lambda i: queued if i else start(i)  # type: ignore[method-assign]
    began = time.monotonic()
    with stubs_importable():
        supervisor.run(2)
    assert time.monotonic() - began < 60
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
