"""What stands in the output folder after a kill, a full disk, a second summary, a bad hand."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, Killed
from generated_runs import LABELS, make_predictions, write_run
from processes import meanwhile, wait_for

from resnet_sweep.analysis.summary import writing
from resnet_sweep.analysis.summary.summarize import CACHE, LOCK, Options, Summary, summarize
from resnet_sweep.config.errors import UserError
from resnet_sweep.system.locks import FileLock

pytestmark = pytest.mark.usefixtures("one_figure")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed in range(3):
        write_run(tmp_path / "runs" / str(seed), 0.5 + seed / 10, {"seed": seed})
    return tmp_path / "runs"


def summary_of(root: Path, **options: str) -> Summary:
    return summarize(Options(root=root, output=root / "summary", **options))  # type: ignore[arg-type]


def num_rows(root: Path) -> int:
    return len(pd.read_csv(root / "summary" / "runs.csv"))


@pytest.mark.slow
def test_what_a_killed_summary_replaced_is_written_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise Killed

    summary_of(root)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(writing, "write_figures", kill)
        summary_of(root, where="seed=1")
    assert num_rows(root) == 1
    summary_of(root)
    assert num_rows(root) == 3


def test_a_mistake_leaves_the_last_summary_valid(root: Path) -> None:
    summary_of(root)
    with pytest.raises(UserError):
        summary_of(root, where="seed=9")
    before = (root / "summary" / "report.html").stat()
    summary_of(root)
    assert (root / "summary" / "report.html").stat() == before


def _cut(path: Path) -> None:
    os.truncate(path, 20)


def _alter(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-9] + content[-8:] + b"x")


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_cut, _alter, Path.unlink])
@pytest.mark.parametrize("name", ["runs.csv", "report.html", "runs.parquet"])
def test_a_file_changed_by_hand_is_written_anew(
    root: Path, name: str, damage: Callable[[Path], None]
) -> None:
    summary_of(root)
    path = root / "summary" / name
    size = path.stat().st_size
    damage(path)
    summary_of(root)
    assert abs(path.stat().st_size - size) < 50 and num_rows(root) == 3
    written = path.stat().st_mtime_ns
    summary_of(root)
    assert path.stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_second_summary_waits_for_the_first_and_says_so(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    summary_of(root)
    lock = FileLock(root / "summary" / CACHE / LOCK)
    assert lock.try_acquire()
    ended: list[int] = []
    with meanwhile(lambda: ended.append(summary_of(root).num_read)):
        wait_for(lambda: "waiting for another summary" in capfd.readouterr().err)
        write_run(root / "late")
        assert not ended
        lock.release()
    assert ended == [1] and num_rows(root) == 4


def test_a_file_system_without_locks_is_no_obstacle(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert summary_of(root).counts == {"completed": 3}


def test_what_a_killed_write_left_is_removed_and_nothing_else(root: Path) -> None:
    summary_of(root)
    folders = [root / "summary", root / "summary" / CACHE, root / "summary" / "figures"]
    for folder in folders:
        (folder / "runs.csv.123-456.partial").write_text("x")
        (folder / "film.partial").write_text("x")
    summary_of(root)
    for folder in folders:
        assert [path.name for path in folder.glob("*.partial")] == ["film.partial"]


@pytest.mark.parametrize("place", ["write_text", "write_atomically", "write_report"])
def test_a_full_disk_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, place, refuse)
    with pytest.raises(UserError, match=r"--output .*summary: cannot be written: .*No space left"):
        summary_of(root)


@pytest.mark.slow
def test_a_summary_without_the_stored_predictions_is_another(root: Path) -> None:
    write_run(root / "best", 0.9, predictions=make_predictions(np.arange(len(LABELS)) % 2 == 0))
    summary_of(root)
    (root / "best" / "val_predictions.npz").unlink()
    assert summary_of(root).num_read == 1


@pytest.mark.slow
def test_an_output_that_nobody_takes_is_no_failure(root: Path) -> None:
    summary_of(root)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(ROOT / "analysis" / "summarize.py"), str(root)]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_one_line(root: Path) -> None:
    summary_of(root)
    command = [sys.executable, str(ROOT / "analysis" / "summarize.py"), str(root)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "standard output cannot be written" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("end", ["| head -1", ">&-"])
def test_an_output_that_is_cut_or_closed_is_no_failure(root: Path, end: str) -> None:
    summary_of(root)
    script = f'set -o pipefail; "{sys.executable}" "{ROOT}/analysis/summarize.py" "{root}" {end}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (root / "summary" / "report.html").exists()
