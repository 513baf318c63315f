"""What becomes of options: limits, and the GPU that a worker sees."""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from conftest import ROOT
from hydra.core.config_store import ConfigStore
from optuna.trial import TrialState
from rich.console import Console
from shipped_spaces import shipped
from stub_sweep import make_settings, make_sweep, open_stub_study

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.errors import UserError
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.schema import OBJECTIVES, PRUNERS
from resnet_sweep.search.space_building import build_space
from resnet_sweep.search.trial_attributes import REJECTED
from resnet_sweep.sweep import command as sweep_module
from resnet_sweep.sweep.checks import check_space
from resnet_sweep.sweep.command import SweepCommand
from resnet_sweep.sweep.first_trials import find_starts
from resnet_sweep.workers import launchers
from resnet_sweep.workers.launchers import LocalLauncher
from resnet_sweep.workers.status import Status
from resnet_sweep.workers.study import StudyProgress


@pytest.mark.slow
def test_the_default_first_trial_is_the_origin() -> None:
    space = build_space(shipped("core"), ["train.epochs=30"])
    composer = Composer(conf_dir(), space.fixed_overrides)
    (start,) = find_starts(space, composer, None, print)
    assert start.source == "source" and start.params["model.base_width"] == 64


def test_limits_follow_from_their_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sweep(tmp_path, n_trials=40)
    monkeypatch.setattr(sweep_module, "choose_launcher", lambda *_: None)
    monkeypatch.setattr(sweep_module, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    options = SimpleNamespace(timeout_seconds=30.0, max_failure_rate=0.25, status_seconds=1.0)
    asked: Any = SimpleNamespace(options=options, folder=tmp_path, config=None, context=None)
    settings = make_settings(n_trials=40)
    limits = SweepCommand._supervisor(asked, settings, open_stub_study(tmp_path))
    assert (limits.n_trials, limits.max_failures) == (40, 10.0)
    assert limits.deadline == 1030.0
    options.timeout_seconds = None
    limits = SweepCommand._supervisor(asked, settings, open_stub_study(tmp_path))
    assert limits.deadline is None


def test_workers_take_turns_at_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr(
        launchers,
        "LocalWorker",
        lambda command, environment, log: seen.append(environment["CUDA_VISIBLE_DEVICES"]),
    )
    launcher = LocalLauncher(tmp_path, 3)
    for index in range(3):
        launcher.start(index)
    assert seen == ["3", "5", "3"]


@pytest.mark.slow
def test_experiments_with_data_of_their_own_are_no_choice_unless_the_data_are_fixed() -> None:
    def check(*fixed: str) -> None:
        space = build_space({}, ["experiment=choice(source,quickstart)", *fixed])
        check_space(space, Composer(conf_dir(), space.fixed_overrides))

    with pytest.raises(UserError, match=r"=quickstart: data\.name would be cifar10 and"):
        check()
    check("data=digits")


def test_help_names_every_sampler_pruner_and_objective() -> None:
    command = [sys.executable, "-m", "resnet_sweep.train", "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = set(re.findall(r"\w+", text))
    samplers = ConfigStore.instance().repo["hydra"]["sweeper"]["sampler"]
    assert {name.removesuffix(".yaml") for name in samplers} <= words
    assert {*PRUNERS, *OBJECTIVES} <= words


def test_rejections_are_explained_at_the_end() -> None:
    study, output = optuna.create_study(direction="maximize"), StringIO()
    progress = StudyProgress(study)
    for reason in ("over_budget", "unbuildable", "over_budget", "duplicate"):
        trial = study.ask()
        trial.set_user_attr(REJECTED, {"reason": reason, "num_params": 6_000_000})
        study.tell(trial, state=TrialState.FAIL)
    progress.refresh()
    status = Status(study, ["val_accuracy"], 10, 1.0, Console(file=output, width=1000))
    status.explain_rejections(progress)
    assert "rejected: 3 proposals cost no training and no trial" in output.getvalue()
    assert "2 over model.max_params, 1 that cannot be built" in output.getvalue()
