"""A small sweep on the digits, and its confirmation as a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conftest import TINY_OVERRIDES, run_train
from generated_runs import write_run
from stub_sweep import make_sweep

from resnet_sweep.atomic import write_text
from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.data.dataset import load_dataset
from resnet_sweep.records.sweep_folder import (
    SweepRecord,
    SweepTrial,
    write_sweep_record,
    write_sweep_trials,
)

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
    fixed = [o for o in TINY_OVERRIDES if not o.startswith(("train.figures", "train.tensorboard"))]
    done = run_train(
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


def run_confirm(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m resnet_sweep.confirm` in `cwd` and return what it printed."""
    return subprocess.run(_command(options), cwd=cwd, capture_output=True, text=True, timeout=110)


def start_confirm(*options: str, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(_command(options), cwd=cwd, stdout=subprocess.DEVNULL)


def _command(options: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-W", "error::UserWarning", "-m", "resnet_sweep.confirm", *options]


def kill_with_workers(parent: subprocess.Popen[bytes]) -> None:
    """Kill -9 a command and the workers that it has started."""
    listing = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(parent.pid)], capture_output=True, text=True
    )
    workers = [line.split()[0] for line in listing.stdout.splitlines() if "sweep.worker" in line]
    for pid in (parent.pid, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)
    parent.wait()


def results(folder: Path) -> dict[str, int]:
    """Return when each run of a confirmation ended."""
    paths = (folder / CONFIRM).glob("*/runs/*/result.json")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 100
    while not condition():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
