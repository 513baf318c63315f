"""What the one lock of a study's workers is there for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial
from stub_sweep import make_sweep, open_stub_study, read_trials

from resnet_sweep.system.locks import FileLock
from resnet_sweep.workers.claims import Claims
from resnet_sweep.workers.coordination import worker_lock
from resnet_sweep.workers.study import StudyProgress

WORKERS = 4


@pytest.fixture
def _slow_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the others pass between what a worker reads and what it writes then."""
    read = StudyProgress.refresh

    def read_slowly(progress: StudyProgress) -> list[FrozenTrial]:
        finished = read(progress)
        time.sleep(0.1)
        return finished

    monkeypatch.setattr(StudyProgress, "refresh", read_slowly)


def _at_once(
    folder: Path, n_trials: int, act: Callable[[Claims, threading.Barrier], int | None]
) -> list[int | None]:
    """Return what each of some workers does at one moment."""
    together = threading.Barrier(WORKERS)
    all_claims = [Claims(open_stub_study(folder), folder, n_trials, i) for i in range(WORKERS)]
    worker_lock(folder, 0).parent.mkdir()
    with ExitStack() as alive, ThreadPoolExecutor(WORKERS) as pool:
        for index in range(WORKERS):
            alive.enter_context(FileLock(worker_lock(folder, index)))
        return list(pool.map(lambda claims: act(claims, together), all_claims))


@pytest.mark.usefixtures("_slow_progress")
def test_workers_that_ask_at_once_claim_no_trial_too_many(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=2)

    def claim(claims: Claims, together: threading.Barrier) -> int | None:
        together.wait()
        trial = claims.claim()
        return None if trial is None else trial.number

    claimed = _at_once(tmp_path, 2, claim)
    assert sorted(number for number in claimed if number is not None) == [0, 1]
    assert len(read_trials(tmp_path)) == 2


@pytest.mark.usefixtures("_slow_progress")
def test_of_workers_that_accept_one_configuration_at_once_one_trains_it(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=WORKERS)

    def accept(claims: Claims, together: threading.Barrier) -> int | None:
        trial = claims.claim()
        assert trial is not None
        together.wait()
        return claims.accept(trial, {"signature": "the same", "seed": 0})

    accepted = _at_once(tmp_path, WORKERS, accept)
    assert accepted.count(None) == 1
    (first,) = {number for number in accepted if number is not None}
    assert [t.number for t in read_trials(tmp_path) if "accepted" in t.user_attrs] == [first]
