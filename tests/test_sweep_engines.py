"""Sweeps under many kills and on the engines of many machines: make test-engines."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import Postgres, require_package, running_postgres
from optuna.trial import TrialState
from processes import children, meanwhile, wait_for
from stub_sweep import (
    STUB,
    make_sweep,
    read_trials,
    run_stub_sweep,
    start_stub_sweep,
    trained_numbers,
)
from stub_worker import TRAININGS, hold_from, release
from test_sweep_supervisor import _check_complete, _trainings

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(3600),
    # A database's connections end with the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WORKERS, TRIALS, ENDLESS = 8, 200, 10**6


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        running_postgres(Path(folder)) as server,
    ):
        yield server
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()


@pytest.fixture(params=["journal", "postgres"])
def storage(request: pytest.FixtureRequest) -> str | None:
    if request.param == "journal":
        return None
    return str(request.getfixturevalue("postgres").url)


def _check_each_told_once(folder: Path, n_trials: int) -> None:
    _check_complete(folder, n_trials)
    trained = (folder / TRAININGS).read_text().split()
    assert Counter(trained) == Counter(map(str, range(n_trials)))


def test_eight_workers_tell_each_trial_once(tmp_path: Path, storage: str | None) -> None:
    make_sweep(tmp_path, n_trials=TRIALS, workers=WORKERS, storage=storage, study_name="once")
    run_stub_sweep(tmp_path, WORKERS)
    _check_each_told_once(tmp_path, TRIALS)


def _start_and_wait(folder: Path, more: int) -> subprocess.Popen[bytes]:
    """Start a sweep of two workers without end, and wait until it has begun some trainings."""
    begun = len(_trainings(folder))
    parent = start_stub_sweep(folder, ENDLESS, 2)
    workers = lambda: children(parent.pid, STUB)  # noqa: E731
    wait_for(lambda: len(_trainings(folder)) >= begun + more and len(workers()) == 2, parent)
    return parent


def test_twenty_random_kills_lose_nothing(tmp_path: Path) -> None:
    draw = random.Random(0)
    make_sweep(tmp_path, n_trials=ENDLESS)
    values: dict[int, list[float]] = {}
    for kill in range(20):
        parent = _start_and_wait(tmp_path, more=draw.randint(1, 20))
        workers = children(parent.pid, STUB)
        victims = {0: workers[:1], 1: [parent.pid], 2: [parent.pid, *workers]}[kill % 3]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        if kill % 3 == 0:
            wait_for(lambda: {*children(parent.pid, STUB)} - {*workers}, parent)  # noqa: B023
            parent.kill()
        parent.wait()
        now = {t.number: t.values for t in read_trials(tmp_path) if t.values}
        assert values.items() <= now.items()
        values = now
    n_trials = len(values) + 10
    make_sweep(tmp_path, n_trials=n_trials)
    run_stub_sweep(tmp_path)
    _check_complete(tmp_path, n_trials)
    assert values.items() <= {t.number: t.values for t in read_trials(tmp_path)}.items()


def test_workers_wait_for_a_storage_that_is_away(tmp_path: Path, postgres: Postgres) -> None:
    make_sweep(tmp_path, n_trials=60, storage=postgres.url, study_name="away")
    hold_from(tmp_path, 2)

    def interrupt() -> None:
        wait_for(lambda: len(_trainings(tmp_path)) == 4)
        postgres.control("stop", "-m", "immediate")
        release(tmp_path)
        time.sleep(30)
        postgres.control("start")

    with meanwhile(interrupt):
        run_stub_sweep(tmp_path)
    _check_each_told_once(tmp_path, 60)


def test_a_sweep_on_optunas_proxy(tmp_path: Path) -> None:
    require_package("grpc", "grpc")
    import sys

    from engines import free_port

    port = free_port()
    code = (
        "import sys, optuna\n"
        "storage = optuna.storages.get_storage(sys.argv[1])\n"
        "optuna.storages.run_grpc_proxy_server(storage, host='localhost', port=int(sys.argv[2]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{tmp_path}/a.db", str(port)]
    server = subprocess.Popen(command)
    try:
        make_sweep(tmp_path / "s", n_trials=10, storage=f"grpc://localhost:{port}")
        run_stub_sweep(tmp_path / "s")
        _check_each_told_once(tmp_path / "s", 10)
    finally:
        server.kill()
        server.wait()


def test_a_full_disk_is_waited_out_or_told(tmp_path: Path) -> None:
    """The journal lies on a file system of 1 MiB that fills up while the sweep runs."""

    mounted = tmp_path / "small"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system takes root")
    try:
        folder = mounted / "s"
        make_sweep(folder, n_trials=25)
        hold_from(folder, 2)

        def fill_for_a_while() -> None:
            wait_for(lambda: len(_trainings(folder)) == 4)
            filler = mounted / "filler"
            with open(filler, "wb") as file:
                while True:
                    try:
                        os.write(file.fileno(), b"x" * 4096)
                    except OSError:
                        break
            release(folder)
            time.sleep(5)
            filler.unlink()

        filler = threading.Thread(target=fill_for_a_while, daemon=True)
        filler.start()
        try:
            run_stub_sweep(folder)
        except ValueError as error:  # a run folder could not be written
            assert "No space left" in str(error)
            filler.join()
            run_stub_sweep(folder)
        filler.join()
        failed = [t.user_attrs for t in read_trials(folder) if t.state != TrialState.COMPLETE]
        assert failed == []
        assert len(read_trials(folder)) == 25
        assert trained_numbers(folder) == list(range(25))
    finally:
        subprocess.run(["umount", str(mounted)], check=False)
