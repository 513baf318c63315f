"""A confirmation under many kills, and with workers as a launcher's jobs: make test-engines."""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path

import pytest
from confirmable import (
    CONFIRM,
    NUM_RUNS,
    OPTIONS,
    results,
    run_confirm,
    run_sweep,
)
from engines import require_package
from signals_sent import signal_at

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept")
    run_sweep(folder)
    return folder


@pytest.fixture(scope="module")
def accuracies(swept: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Return every accuracy of a confirmation that nothing disturbs."""
    return _confirmed(_copy(swept, tmp_path_factory.mktemp("undisturbed")))


def _copy(swept: Path, folder: Path) -> Path:
    return Path(shutil.copytree(swept, folder, dirs_exist_ok=True))


def _confirmed(folder: Path, *options: str) -> dict[str, float]:
    done = run_confirm(*OPTIONS, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    runs = json.loads((folder / CONFIRM / "confirmation.json").read_text())["runs"]
    assert len(runs) == NUM_RUNS
    return {run["run_dir"]: run["accuracy"] for run in runs}


def test_many_kills_change_nothing(
    swept: Path, accuracies: dict[str, float], tmp_path: Path
) -> None:
    folder, draw = _copy(swept, tmp_path / "killed"), random.Random(0)
    ended: dict[str, int] = {}
    for _ in range(8):  # of the files that a worker puts in place
        environment = signal_at(tmp_path / "kill", "", draw.randint(4, 25), signal.SIGKILL)
        done = run_confirm(*OPTIONS, cwd=folder, environment=environment)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        assert ended.items() <= results(folder).items()
        ended = results(folder)
    assert 0 < len(ended) < NUM_RUNS
    assert _confirmed(folder) == accuracies
    assert ended.items() <= results(folder).items()


def test_the_workers_may_be_jobs_of_a_launcher(
    swept: Path, accuracies: dict[str, float], tmp_path: Path
) -> None:
    require_package("hydra_plugins.hydra_submitit_launcher", "slurm")
    folder = _copy(swept, tmp_path / "launched")
    assert _confirmed(folder, "hydra/launcher=submitit_local") == accuracies
    assert {path.name for path in folder.iterdir()} == {"outputs"}
