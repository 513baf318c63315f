"""Whose a study is, where several sweeps open it at one moment."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest

from resnet_sweep.config.errors import UserError
from resnet_sweep.workers import study as study_module
from resnet_sweep.workers.storage import connect
from resnet_sweep.workers.study import open_own_study

pytestmark = pytest.mark.usefixtures("quiet_optuna")


class _SlowAttributes:
    """Lets a second start pass between the creation of a study and the word of its owner."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        set_at_once = optuna.Study.set_user_attr

        def set_late(study: optuna.Study, key: str, value: object) -> None:
            time.sleep(seconds)
            set_at_once(study, key, value)

        monkeypatch.setattr(optuna.Study, "set_user_attr", set_late)


def _open_at_once(url: str, folders: list[Path]) -> list[str]:
    """Open one study from several folders at one moment; return whose tries went through."""
    together = threading.Barrier(len(folders))

    def open_study(folder: Path) -> str | None:
        folder.mkdir()
        together.wait()
        try:
            open_own_study("s", url, folder, ["maximize"])
        except UserError as error:
            assert "belongs to the sweep in" in str(error)
            return None
        return folder.name

    with ThreadPoolExecutor(len(folders)) as pool:
        return [name for name in pool.map(open_study, folders) if name is not None]


class _Together:
    """A clock by which both find the owner's time over before either has claimed the study."""

    def __init__(self) -> None:
        self._both = threading.Barrier(2)
        self._own = threading.local()

    def monotonic(self) -> float:
        is_second = hasattr(self._own, "seen")
        self._own.seen = True
        if is_second:
            self._both.wait()
        return 10.0 * is_second

    def sleep(self, _seconds: float) -> None:
        self._both.wait()  # until both have written


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_of_two_first_starts_at_one_moment_one_has_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    connect(url)  # its tables
    monkeypatch.setattr(study_module, "OWNER_SECONDS", 3600.0)
    _SlowAttributes(monkeypatch, seconds)
    assert len(_open_at_once(url, [tmp_path / "a", tmp_path / "b"])) == 1


def test_a_study_whose_creator_was_killed_goes_to_one_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    optuna.create_study(study_name="s", storage=url, direction="maximize")
    monkeypatch.setattr(study_module, "time", _Together())
    (owner,) = _open_at_once(url, [tmp_path / "a", tmp_path / "b"])
    open_own_study("s", url, tmp_path / owner, ["maximize"])
