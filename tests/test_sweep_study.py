"""What a sweep's study knows and keeps: owner, rungs, repeats, starts, endings."""

from __future__ import annotations

import re
import time
from collections import Counter
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.trial import TrialState
from rich.console import Console
from stub_sweep import (
    make_settings,
    make_supervisor,
    make_sweep,
    open_stub_study,
    read_trials,
    run_stub_sweep,
)
from stub_worker import prepare, stub_run_trial

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.pruners import build_pruner
from resnet_sweep.search.schema import AshaConfig, HyperbandConfig, PatientConfig, PrunerConfig
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.trial_attributes import (
    EXTENDED_FROM,
    REPEAT_OF,
    SEED,
    TRIAL_OUTCOME,
    WORKER,
)
from resnet_sweep.sweep.extension import extend_from
from resnet_sweep.workers import claims
from resnet_sweep.workers import status as status_module
from resnet_sweep.workers.coordination import WorkerExit
from resnet_sweep.workers.status import Status
from resnet_sweep.workers.study import StudyProgress, state_of
from resnet_sweep.workers.supervisor import EXHAUSTED, MAX_DEATHS, MAX_STOPS, Slot
from resnet_sweep.workers.worker import work

pytestmark = pytest.mark.usefixtures("quiet_optuna")

GRID = {"_target_": "optuna.samplers.GridSampler", "_partial_": True, "seed": 0}


def _work(folder: Path) -> WorkerExit:
    return work(folder, 0, stub_run_trial, prepare)


def _compared_at(pruner: BasePruner, rungs: list[int], trials: int) -> set[int]:
    """Return the rungs at which some of ever worse trials were pruned."""
    study = optuna.create_study(direction="maximize", study_name="s", pruner=pruner)
    pruned = set()
    for number in range(trials):
        trial = study.ask()
        for rung in rungs:
            # Equal at the first rung, where all tie and go on.
            trial.report(1.0 if rung == rungs[0] else 1 / (1 + number), rung)
            if trial.should_prune():
                pruned.add(rung)
                break
        study.tell(trial, state=TrialState.FAIL)
    return pruned


@pytest.mark.parametrize("config", [AshaConfig(), PatientConfig(patience=0)])
def test_trials_are_compared_at_each_rung_whatever_lies_between(config: PrunerConfig) -> None:
    assert _compared_at(build_pruner(config, 20, [5, 10]), [5, 10], 9) == {10}
    assert _compared_at(build_pruner(config, 20, [2, 3, 19]), [2, 3, 19], 9) == {3}


def test_hyperband_has_a_bracket_from_each_rung_on() -> None:
    rungs = [4, 5, 6, 7, 8]
    study = optuna.create_study(direction="maximize", study_name="s")
    pruner = build_pruner(HyperbandConfig(), 9, rungs)
    study.pruner = pruner
    assert not study.ask().should_prune()
    trial = study.ask()
    trial.report(1.0, 4)
    trial.should_prune()
    assert vars(pruner)["_n_brackets"] == 6
    assert _compared_at(build_pruner(HyperbandConfig(), 9, [5, 10]), [5, 10], 40) == {10}


def test_repeats_of_an_older_sweep_do_not_count(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=4, noise_repeats=2)
    attributes = {REPEAT_OF: 0, SEED: 1, EXTENDED_FROM: "old"}
    taken_over = optuna.trial.create_trial(value=0.1, user_attrs=attributes)
    open_stub_study(tmp_path).add_trials([taken_over] * 2)
    assert _work(tmp_path).kind == "done"
    repeated = [t.user_attrs.get(REPEAT_OF) for t in read_trials(tmp_path)[2:]]
    assert repeated == [None, 2, 2, None]


def test_a_repeat_is_taken_over_as_a_trial_of_its_own() -> None:
    space = SearchSpace.from_json(make_settings().space)
    composer = Composer(conf_dir(), space.fixed_overrides)
    old = optuna.create_study().ask({p.name: p.distribution for p in space.parameters})
    old.set_user_attr(REPEAT_OF, 0)
    old.set_user_attr(SEED, 1)
    trial = old.study.tell(old, 0.5)
    (moved,), _ = extend_from(space, composer, [(trial, composer.config(trial.params, 1))])
    assert moved.params == pytest.approx(trial.params)
    assert moved.user_attrs == {SEED: 1}


def test_a_space_without_anything_new_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MOST_DUPLICATES", 15)
    make_sweep(tmp_path, "optimizer.lr=choice(0.1,0.2)", n_trials=5, max_rejections=50)
    assert _work(tmp_path).kind == "done"
    states = Counter(state_of(trial) for trial in read_trials(tmp_path))
    assert states["completed"] == 2 and 15 <= states["duplicate"] < 50


@pytest.mark.slow
def test_a_sweep_says_why_it_ended_early(tmp_path: Path) -> None:
    make_sweep(tmp_path / "grid", "optimizer.lr=choice(0.1,0.2)", n_trials=5, sampler=GRID)
    assert EXHAUSTED in run_stub_sweep(tmp_path / "grid", 1)
    make_sweep(tmp_path / "late", n_trials=5, last_start=time.time() - 1)
    assert "no time for another trial" in run_stub_sweep(tmp_path / "late", 1)


@pytest.mark.slow
@pytest.mark.parametrize("taken_by", [0, 1, None])
def test_only_a_trial_that_is_still_its_own_is_charged_to_a_dead_worker(
    tmp_path: Path, taken_by: int | None
) -> None:
    make_sweep(tmp_path, n_trials=3)
    supervisor, _ = make_supervisor(tmp_path)
    trial = supervisor.study.ask()
    trial.set_user_attr(WORKER, 0)
    supervisor.progress.refresh()
    if taken_by is None:
        supervisor.study.tell(trial, 0.5)
    else:
        trial.set_user_attr(WORKER, taken_by)
    for _ in range(MAX_DEATHS):
        supervisor._charge_trial(0, "signal 9")
    states = {0: TrialState.FAIL, 1: TrialState.RUNNING, None: TrialState.COMPLETE}
    assert read_trials(tmp_path)[0].state == states[taken_by]
    assert (TRIAL_OUTCOME in read_trials(tmp_path)[0].user_attrs) == (taken_by == 0)


def test_status_lines_come_with_changes_or_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sweep(tmp_path, n_trials=9)
    study, output, now = open_stub_study(tmp_path), StringIO(), 0.0
    monkeypatch.setattr(status_module.time, "monotonic", lambda: now)
    status = Status(study, ["val_accuracy"], 9, 10.0, Console(file=output, width=500))
    progress = StudyProgress(study)
    for second in range(201):
        now = float(second)
        if second in (15, 18):
            study.add_trial(optuna.trial.create_trial(value=0.5))
        status.update(progress, progress.refresh())
    lines = [line for line in output.getvalue().splitlines() if line.startswith("trained")]
    assert [line.split(",")[0] for line in lines] == [
        f"trained {count} of 9" for count in (0, 2, 2, 2, 2)
    ]
    assert "time left" not in lines[0] and "time left 11.7 min" in lines[-1]  # 200 s / 2 * 7
    study.ask()
    status.end(progress, progress.refresh())
    last = output.getvalue().splitlines()[-1]
    assert "unfinished 1" in last and "running" not in last and "time left" not in last


def test_the_time_left_ends_with_the_sweep_s_hours(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=900)
    study, output = open_stub_study(tmp_path), StringIO()
    until = time.time() + 30
    status = Status(study, ["val_accuracy"], 900, 0.0, Console(file=output), last_start=until)
    progress = StudyProgress(study)
    status.update(progress, [])
    time.sleep(0.2)
    study.add_trial(optuna.trial.create_trial(value=0.5))  # 900 such take three minutes
    status.update(progress, progress.refresh())
    found = re.search(r"time left (\S+) s", output.getvalue())
    assert found is not None and float(found[1]) <= 30


def test_a_worker_that_dies_or_is_stopped_again_and_again_ends_the_sweep(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3)
    for bound, note, *seconds in ((MAX_DEATHS, "_note_death"), (MAX_STOPS, "_note_stop", 1.0)):
        supervisor, _ = make_supervisor(tmp_path)
        worker: Any = SimpleNamespace(last_words=lambda: "signal 9", stop=lambda: None)
        slot = supervisor._slots[0] = Slot(worker)
        for count in range(1, bound + 1):
            assert supervisor._fatal is None, count
            getattr(supervisor, note)(0, slot, *seconds)
        assert supervisor._fatal is not None and f"{bound} times" in supervisor._fatal.message


def test_a_long_trial_may_take_more_jobs_than_a_worker_may_be_stopped(tmp_path: Path) -> None:
    make_sweep(tmp_path, n_trials=3)
    supervisor, _ = make_supervisor(tmp_path)
    worker: Any = SimpleNamespace(stop=lambda: None)
    slot = supervisor._slots[0] = Slot(worker)
    for _job in range(MAX_STOPS + 1):
        supervisor._note_stop(0, slot, 3600.0)
    assert supervisor._fatal is None
