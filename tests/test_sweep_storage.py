"""A storage that is away for a while, and one that cannot be reached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from stub_sweep import make_settings, make_sweep

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.search.settings import found_changes, write_settings
from resnet_sweep.workers import storage as storage_module
from resnet_sweep.workers.storage import PatientStorage, dashboard_argument, open_storage, shown


class Unreliable(InMemoryStorage):
    """Fails `failures` times before, or after, an operation takes effect."""

    def __init__(self, error: Exception, after: bool = False) -> None:
        super().__init__()
        self.error, self.after, self.failures = error, after, 0

    def set_trial_state_values(self, *args: Any, **kwargs: Any) -> bool:
        if self.failures and not self.after:
            self._fail()
        result = super().set_trial_state_values(*args, **kwargs)
        if self.failures:
            self._fail()
        return result

    def _fail(self) -> None:
        self.failures -= 1
        raise self.error


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "PAUSE_SECONDS", 0.01)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "full"), StorageInternalError("gone")])
def test_an_interruption_is_waited_out(error: Exception, after: bool) -> None:
    inner = Unreliable(error, after)
    study = optuna.create_study(storage=PatientStorage(inner))
    trial = study.ask()
    inner.failures = 3
    if after:
        inner.failures = 1  # it took effect: only the answer is lost
    study.tell(trial, 1.5)
    assert [(t.state, t.value) for t in study.trials] == [(TrialState.COMPLETE, 1.5)]


def test_patience_ends() -> None:
    inner = Unreliable(OSError(28, "full"))
    study = optuna.create_study(storage=PatientStorage(inner, patience_seconds=0.05))
    trial = study.ask()
    inner.failures = 10**6
    with pytest.raises(OSError, match="full"):
        study.tell(trial, 1.0)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "must be a URL"),
        ("sqlite:////no/such/folder/a.db", "cannot be reached"),
        ("grpc://somewhere", "grpc://host:port"),
        ("magic://host/base", "cannot be reached"),
    ],
)
def test_bad_urls_get_one_line(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_storage(url, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_database_file_works(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/a.db", tmp_path)
    study = optuna.create_study(storage=storage)
    study.tell(study.ask(), 2.0)
    assert study.best_value == 2.0


def test_passwords_are_not_shown() -> None:
    assert shown("postgresql+psycopg://me:secret@host/db") == "postgresql+psycopg://me:***@host/db"


@pytest.mark.slow
def test_the_dashboard_opens_whatever_storage_a_sweep_has(tmp_path: Path) -> None:
    make_sweep(tmp_path / "own")
    url = f"sqlite:///{tmp_path}/a.db"
    make_sweep(tmp_path / "database", storage=url)
    command = [sys.executable, "-m", "resnet_sweep.workers.storage"]
    for name, opened in (("own", f"{tmp_path}/own/journal.log"), ("database", url)):
        printed = subprocess.check_output([*command, str(tmp_path / name)], text=True)
        assert printed.strip() == opened


def test_a_database_may_move_and_its_password_is_not_shown() -> None:
    url = "postgresql+psycopg://me:{}@{}/{}"
    old = make_settings(storage=url.format("secret1", "old", "db"))
    assert found_changes(old, make_settings(storage=url.format("secret2", "new:5433", "db"))) == []
    others = [url.format("secret2", "old", "other"), None, "sqlite:////tmp/db"]
    for storage in others:
        (change,) = found_changes(old, make_settings(storage=storage))
        assert "hydra.sweeper.storage" in change and "secret" not in change


def test_the_dashboard_needs_the_folder() -> None:
    command = [sys.executable, "-m", "resnet_sweep.workers.storage"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def test_the_dashboard_opens_the_journal_or_the_database_but_no_proxy(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me@host/db"
    for storage, opened in ((None, str(tmp_path / "journal.log")), (url, url)):
        write_settings(tmp_path, make_settings(storage=storage))
        assert dashboard_argument(tmp_path) == opened
    write_settings(tmp_path, make_settings(storage="grpc://localhost:1"))
    with pytest.raises(UserError, match="the database that this proxy serves"):
        dashboard_argument(tmp_path)
