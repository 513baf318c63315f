"""A sweep whose workers train stubs: python -m stub_sweep folder n_trials n_jobs. No torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from rich.console import Console

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.records.sweep_folder import RUNS, SETTINGS
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.conf_files import freeze_conf
from resnet_sweep.search.proposals import base_config
from resnet_sweep.search.settings import (
    SweepSettings,
    base_values,
    read_settings,
    write_settings,
)
from resnet_sweep.search.space_building import build_space
from resnet_sweep.workers.launchers import LocalLauncher
from resnet_sweep.workers.status import Status
from resnet_sweep.workers.storage import open_storage
from resnet_sweep.workers.supervisor import Supervisor

TESTS = Path(__file__).parent
STUB = "stub_worker"  # the module that its workers run
FIXED = ["data=digits", "train.epochs=3", "model.widths=[4,8]", "model.blocks=[1,1]"]
SPACE = ["optimizer.lr=tag(log, interval(0.001,1))"]
RANDOM = {"_target_": "optuna.samplers.RandomSampler", "seed": 0}


def make_settings(*overrides: str, **changes: Any) -> SweepSettings:
    space = build_space({}, [*FIXED, *(overrides or SPACE)])
    base = base_config(space, Composer(conf_dir(), space.fixed_overrides))
    settings = SweepSettings(
        study_name="stub",
        storage=None,
        space=space.to_json(),
        base=base_values(base),
        objectives=["val_accuracy"],
        rungs=[],
        sampler=RANDOM,
        pruner={"name": "none"},
        custom_search_space=None,
        n_trials=10,
        noise_repeats=0,
        max_rejections=50,
        trial_timeout_seconds=None,
        workers=2,
        last_start=None,
    )
    return replace(settings, **changes)


def make_sweep(folder: Path, *overrides: str, **changes: Any) -> SweepSettings:
    """Write what the workers of a sweep read, and create its study."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = make_settings(*overrides, **changes)
    freeze_conf(folder, conf_dir())
    write_settings(folder, settings)
    optuna.create_study(
        study_name=settings.study_name,
        storage=open_storage(settings.storage, folder),
        directions=["maximize"] * len(settings.objectives),
        load_if_exists=True,
    )
    return settings


def open_stub_study(folder: Path) -> optuna.Study:
    settings = read_settings(folder)
    storage = open_storage(settings.storage, folder)
    return optuna.load_study(study_name=settings.study_name, storage=storage)


def read_trials(folder: Path) -> list[FrozenTrial]:
    return open_stub_study(folder).get_trials()


def trained_numbers(folder: Path) -> list[int]:
    """Return the trials that have a run folder."""
    return sorted(int(path.name) for path in (folder / RUNS).iterdir())


def make_supervisor(
    folder: Path, max_failures: float = 1e9, deadline: float | None = None
) -> tuple[Supervisor, StringIO]:
    """Return a supervisor of stub workers and what it prints."""
    settings, study, output = read_settings(folder), open_stub_study(folder), StringIO()
    console = Console(file=output, width=1000)
    status = Status(study, settings.objectives, settings.n_trials, 0.2, console)
    launcher = LocalLauncher(folder, settings.workers, module=STUB)
    limits = (settings.n_trials, max_failures, deadline)
    return Supervisor(folder, study, launcher, status, *limits), output


@contextmanager
def stubs_importable() -> Iterator[None]:
    """Let worker processes find this folder."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), before] if before else [str(TESTS)])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def run_stub_sweep(folder: Path, n_jobs: int = 2, **limits: Any) -> str:
    """Run a sweep to its end in this process and return what it printed."""
    supervisor, output = make_supervisor(folder, **limits)
    with stubs_importable():
        supervisor.run(n_jobs)
    return output.getvalue()


def start_stub_sweep(folder: Path, n_trials: int, n_jobs: int) -> subprocess.Popen[bytes]:
    """Start a sweep in a process of its own, which a test may kill."""
    command = [sys.executable, "-m", "stub_sweep", str(folder), str(n_trials), str(n_jobs)]
    return subprocess.Popen(command, cwd=TESTS, stdout=subprocess.DEVNULL)


def main() -> None:
    folder, n_trials, n_jobs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not (folder / SETTINGS).exists():
        make_sweep(folder, n_trials=n_trials, workers=n_jobs)
    run_stub_sweep(folder, n_jobs)


if __name__ == "__main__":
    main()
