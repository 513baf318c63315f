"""A small sweep on the digits, and its confirmation as a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import TINY_OVERRIDES, run_here
from generated_runs import write_run
from stub_sweep import make_sweep

from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.data.registry import load_dataset
from resnet_sweep.records.sweep_folder import (
    SweepRecord,
    SweepTrial,
    write_sweep_record,
    write_sweep_trials,
)
from resnet_sweep.sweep import command as sweep
from resnet_sweep.system.atomic import write_text
from resnet_sweep.training.run import run_training
from resnet_sweep.workers import planned
from resnet_sweep.workers.coordination import write_exit
from resnet_sweep.workers.worker import work

SWEEP = Path("outputs/sweeps/s")
CONFIRM = SWEEP / "confirm"
OPTIONS = [
    f"sweep={SWEEP}",
    "top_k=2",
    "num_seeds=2",
    "num_over_promise_seeds=2",
    "baseline=tiny",
    "n_jobs=1",
]
NUM_RUNS = 2 * 2 + 2 + 2 * 5
BASELINE = """\
# @package _global_
defaults:
  - override /model: resnet20
  - override /scheduler: one_cycle
model:
  widths: [4, 8]
  blocks: [1, 1]
train:
  epochs: 4
  batch_size: 64
"""


def write_untrained_sweep(folder: Path) -> Path:
    """Write a sweep of three trials on the digits, the first one best, and return its folder."""
    make_sweep(folder)
    record = SweepRecord("s", ["val_accuracy"], ["maximize"], 3, 3, {}, [], "TPE", "none")
    write_sweep_record(folder, record)
    fingerprint = load_dataset(DigitsConfig()).fingerprint
    net = {"model.name": "mine", "model.widths": [4, 8], "model.blocks": [1, 1]}
    for number, lr in enumerate((0.1, 0.2, 0.3)):
        settings = {"data": "digits", "train.epochs": 3, **net, "optimizer.lr": lr}
        accuracy = 0.9 - lr
        write_run(folder / f"runs/{number}", accuracy, settings, data_fingerprint=fingerprint)
    trials = [SweepTrial(number, "completed", run_dir=f"runs/{number}") for number in range(3)]
    write_sweep_trials(folder, trials)
    return folder


def run_sweep(folder: Path) -> None:
    """Train three trials, the second of which repeats the first; add a small experiment."""
    fixed = [o for o in TINY_OVERRIDES if not o.startswith(("train.figures", "tracker"))]
    done = run_with_workers_here(
        "train",
        "-m",
        "hydra/sweeper=optuna",
        "hydra/sweeper/pruner=none",
        *fixed,
        "search_space=[]",
        "optimizer.lr=interval(0.02,0.2)",
        "hydra.sweeper.study_name=s",
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.n_jobs=1",
        "hydra.sweeper.noise_repeats=1",
        "hydra.sweeper.start_from=[]",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    write_text(folder / SWEEP / "conf/experiment/tiny.yaml", BASELINE)


class _HereLauncher:
    """Lets a worker do all of its work, in this process, as it is started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, index: int) -> SimpleNamespace:
        write_exit(self._folder, index, work(self._folder, index, run_training))
        nothing = {"stop": lambda: None, "kill": lambda: None, "last_words": str}
        return SimpleNamespace(is_running=lambda: False, has_begun=lambda: True, **nothing)


def run_with_workers_here(
    command: str, *arguments: str, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run a sweep or a confirmation without any process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (sweep, planned):
            patch.setattr(module, "choose_launcher", lambda folder, *_: _HereLauncher(folder))
        return run_here(command, *arguments, cwd=cwd)


def run_confirm(
    *options: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m resnet_sweep.confirm` in `cwd` and return what it printed."""
    command = [sys.executable, "-W", "error::UserWarning", "-m", "resnet_sweep.confirm", *options]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def results(folder: Path) -> dict[str, int]:
    """Return when each run of a confirmation ended."""
    paths = (folder / CONFIRM).glob("*/runs/*/result.json")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}
