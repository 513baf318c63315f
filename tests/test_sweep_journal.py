"""The journal survives kills, full disks and stale locks."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from resnet_sweep.config.errors import UserError
from resnet_sweep.system.locks import held_if_free
from resnet_sweep.workers.storage import JournalFile


def _study(path: Path) -> optuna.Study:
    storage = JournalStorage(JournalFile(path))
    return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)


def _add_trial(study: optuna.Study, value: float) -> None:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    study.tell(trial, value)


def test_optuna_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    for value in (1.0, 2.0):
        _add_trial(_study(path), value)
    storage = JournalStorage(JournalFileBackend(str(path)))
    assert [t.value for t in optuna.load_study(study_name="s", storage=storage).trials] == [1, 2]


@pytest.mark.parametrize("cut", [1, 20, 100_000])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.log"
    _add_trial(_study(path), 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":5,"worker_id":"' + b"x" * cut)
    assert [trial.value for trial in _study(path).trials] == [1.0]
    assert path.read_bytes()[: len(whole)] == whole


def test_a_line_torn_while_the_journal_is_open_is_cut_off_too(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    study = _study(path)
    with open(path, "ab") as file:
        file.write(b'{"op_code":5,')  # another worker is killed here
    _add_trial(study, 3.0)
    assert [trial.value for trial in _study(path).trials] == [3.0]


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    journal = JournalFile(path)
    journal.append_logs([{"a": 1}])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:  # the kernel takes the part that fits and refuses the rest
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            journal.append_logs([{"b": "x" * 100}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    journal.append_logs([{"c": 3}])
    assert list(journal.read_logs(0)) == [{"a": 1}, {"c": 3}]


def test_reading_goes_on_from_any_line(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / "journal.log")
    journal.append_logs([{"n": n} for n in range(5)])
    for start in (3, 0, 5, 1):
        assert [log["n"] for log in journal.read_logs(start)] == list(range(start, 5))


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_text('{"a":1}\nnonsense\n{"b":2}\n')
    with pytest.raises(UserError, match="line 2 is damaged"):
        list(JournalFile(path).read_logs(0))


def test_the_lock_of_a_killed_holder_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path\n"
        "from resnet_sweep.system.locks import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); lock.acquire()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with held_if_free(path) as is_free:
            assert not is_free
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with held_if_free(path) as is_free:
            assert is_free
