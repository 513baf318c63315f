"""What running the packaged hydra-optuna-sweeper beside this one takes.

python benchmarks/packaged_sweeper.py     tells whether its joblib launcher is installed
"""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import sys
from pathlib import Path

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.records.sweep_folder import SweepTrial
from resnet_sweep.system.cli import fail


def require_joblib_launcher() -> None:
    """Refuse, in one line with exit status 2, to begin what would fail for want of a package."""
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        sys.exit(fail("hydra/launcher=joblib: needs pip install '.[benchmarks]'"))


def conf_without_ours(folder: Path) -> Path:
    """Copy the configuration without conf/hydra/sweeper, which shadows the packaged one."""
    ignored = shutil.ignore_patterns("sweeper")
    return Path(shutil.copytree(conf_dir(), folder / "conf", ignore=ignored))


def between_trials(trials: list[SweepTrial]) -> list[float]:
    """Return for each trial but a worker's first its time since the last one without training."""
    ends: dict[int | None, list[tuple[float, float]]] = {}
    for trial in trials:
        if trial.is_trained and trial.ended is not None and trial.train_seconds is not None:
            ends.setdefault(trial.worker, []).append((trial.ended, trial.train_seconds))
    pairs = (pair for each in ends.values() for pair in itertools.pairwise(sorted(each)))
    return [later - earlier - seconds for (earlier, _), (later, seconds) in pairs]


if __name__ == "__main__":
    require_joblib_launcher()
