"""What goes wrong around a training costs one trial, or ends the sweep and loses none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from conftest import make_tiny_config
from stub_sweep import make_settings, make_sweep, read_trials
from sweep_stub import prepare

from resnet_sweep.config import Config
from resnet_sweep.errors import UserError
from resnet_sweep.records.claim import claimed
from resnet_sweep.records.run_folder import EpochMetrics, TrialResult
from resnet_sweep.sweep.endings import Ending
from resnet_sweep.sweep.settings import base_values, refuse_changes
from resnet_sweep.sweep.training_trial import RunTrial
from resnet_sweep.sweep.worker import work

OnEpoch = Callable[[EpochMetrics], None]


@pytest.fixture(autouse=True)
def _quiet(recwarn: pytest.WarningsRecorder) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _work(folder: Path, run_trial: RunTrial) -> Ending:
    return work(folder, 0, run_trial, prepare)


def test_trainings_that_cannot_begin_end_the_sweep_as_rejections_do(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3, max_rejections=4)
    calls: list[Path] = []

    def refuse(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> TrialResult:
        calls.append(run_dir)
        assert len(calls) < 20, "no end"
        raise UserError("train.batch_size=10000: must be at most the number of training images")

    ending = _work(tmp_path, refuse)
    assert ending.kind == "user_error" and "max_rejections=4" in ending.message
    assert len(read_trials(tmp_path)) == 4


@pytest.mark.parametrize(
    "field",
    [
        "train.device",
        "train.num_threads",
        "train.checkpoint_interval_seconds",
        "train.progress",
        "train.figures",
        "train.tensorboard",
        "evaluate_test",
    ],
)
def test_what_a_sweep_may_change_its_runs_may_change(tmp_path: Path, field: str) -> None:
    name = field.removeprefix("train.")
    values = {"device": "cuda", "num_threads": 7, "checkpoint_interval_seconds": 1.0}
    config = make_tiny_config()
    changed = copy.deepcopy(config)
    node = changed if name == field else changed.train
    setattr(node, name, values.get(name, not getattr(node, name)))
    old, new = (make_settings(base=base_values(each)) for each in (config, changed))
    assert old != new
    refuse_changes(tmp_path, old, new)
    for each in (config, changed):
        with claimed(tmp_path / "run", each):
            pass
