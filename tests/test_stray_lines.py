"""A command prints what it has to say and nothing else, whatever the environment is like.

Matplotlib may have no font cache yet, or no place for one; a terminal may know ASCII alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY_OVERRIDES, run_train

# Nobody can make a folder there, not even root.
POOR = {
    "MPLCONFIGDIR": "/dev/null/matplotlib",
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "NO_COLOR": "1",
    "TERM": "dumb",
}
SWEEP = [
    *TINY_OVERRIDES,
    "-m",
    "hydra/sweeper=optuna",
    "hydra/sweeper/pruner=none",
    "search_space=[]",
    "optimizer.lr=interval(0.01,0.1)",
    "hydra.sweeper.start_from=[]",
    "hydra.sweeper.n_trials=2",
    "hydra.sweeper.n_jobs=1",
    "hydra.sweeper.status_seconds=1000",
    "hydra.sweeper.study_name=s",
]


@pytest.mark.slow
def test_a_training_with_figures_says_nothing_of_fonts(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = [*TINY_OVERRIDES, "train.epochs=1", "train.figures=true", "tracker=tensorboard"]
    done = run_train(*words, cwd=tmp_path, MPLCONFIGDIR=str(tmp_path / "empty"))
    assert list((tmp_path / "empty").iterdir())  # the cache was built
    assert (done.returncode, done.stderr) == (0, "")
    starts = ["trains on cpu in ", "epoch 1/1 ", "run folder: ", "status: "]
    starts += ["validation accuracy: ", "test accuracy: "]
    lines = done.stdout.splitlines()
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


Swept = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    folder = tmp_path_factory.mktemp("swept")
    return folder, run_train(*SWEEP, cwd=folder, **POOR)


@pytest.mark.slow
def test_a_sweep_says_nothing_else(swept: Swept) -> None:
    _, done = swept
    assert (done.returncode, done.stderr) == (0, "")
    starts = (
        "sweep folder: ",
        "workers: ",
        "trained ",
        "trial ",
        "best: ",
        "  again: ",
        "results: ",
    )
    assert [line for line in done.stdout.splitlines() if not line.startswith(starts)] == []


@pytest.mark.slow
@pytest.mark.parametrize("environment", [POOR, {"MPLCONFIGDIR": "empty"}], ids=["poor", "empty"])
def test_a_report_says_nothing_else(environment: dict[str, str], swept: Swept) -> None:
    folder, _ = swept
    command = [sys.executable, "-W", "error::UserWarning", str(ROOT / "analysis/summarize.py")]
    done = subprocess.run(
        [*command, "outputs", "--output=summary"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii() or environment is not POOR
    assert "\x1b" not in done.stdout and "font" not in done.stdout
    assert done.stdout.splitlines()[-1].endswith("report.html")
