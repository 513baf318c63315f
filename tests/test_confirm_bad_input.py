"""What cannot be confirmed: one line, exit status 2, nothing written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
from confirmable import write_untrained_sweep
from omegaconf import OmegaConf
from stub_sweep import stubs_importable

from resnet_sweep import confirm
from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.confirmation import command, findings
from resnet_sweep.confirmation.command import run_stage
from resnet_sweep.confirmation.planning import choose_runs, make_plan
from resnet_sweep.records.confirmation import read_plan, write_plan
from resnet_sweep.records.sweep_folder import SWEEP_LOCK, EndedRun, SweepTrial, write_sweep_trials
from resnet_sweep.search.settings import read_settings
from resnet_sweep.system.locks import FileLock, this_process
from resnet_sweep.workers import planned
from resnet_sweep.workers.launchers import LocalLauncher
from resnet_sweep.workers.planned import PlannedRun


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained_sweep(tmp_path_factory.mktemp("sweep") / "s")


@pytest.fixture
def sweep(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "s"))


def _refused(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *options: str,
) -> str:
    """Return the one line that a command prints when it is refused."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(sys, "argv", ["confirm", *options])
    with pytest.raises(SystemExit) as stopped:
        confirm.main()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


BAD_OPTIONS = {
    "sweep=null": "sweep=null: must be the folder of a sweep",
    "sweep=nowhere": "sweep=nowhere: must be the folder of a sweep",
    "top_k=0": "top_k=0: must be an integer, at least 1",
    "top_k=many": "top_k",
    "num_seeds=1": "num_seeds=1: must be an integer, from 2 to 1000",
    "num_test_seeds=4": "num_test_seeds=4: must be an integer, from 5 to 1000",
    "num_over_promise_seeds=1": "num_over_promise_seeds=1",
    "over_promise_k=6": "over_promise_k=6: must be an integer, from 1 to 5",
    "n_jobs=0": "n_jobs=0",
    "trial_timeout_seconds=0": "trial_timeout_seconds=0",
    "status_seconds=0": "status_seconds=0",
    "num_seeds=100000000000": "num_seeds=100000000000: must be an integer, from 2 to 1000",
    "name=conf": "name=conf: s/conf is the sweep's own",
    "name=runs": "name=runs: s/runs is the sweep's own",
    "name=experiment": "name=experiment: s/experiment is the sweep's own",
    "name=a/b": "name=a/b: must be the name of a folder",
    "name='a,b'": "name=a,b: must be the name of a folder: letters",
    "top_kk=2": "did you mean top_k?",
    "+top_kk=2": "did you mean top_k?",
    "baseline=sourc": "did you mean source?",
    "-m": "confirm has no multirun",
    "++hydra.mode=MULTIRUN": "confirm has no multirun",
}


@pytest.mark.slow
@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_bad_options(
    option: str, sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(sweep)
    options = [option] if option.startswith("sweep=") else ["sweep=s", option]
    assert BAD_OPTIONS[option] in _refused(capsys, monkeypatch, sweep.parent, *options)
    assert _files(sweep) == before and os.listdir(sweep.parent) == ["s"]


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.name != "sweep.lock"}


def _no_trial(sweep: Path) -> None:
    write_sweep_trials(sweep, [SweepTrial(0, "failed", run_dir="runs/0")])


def _other_data(sweep: Path) -> None:
    for path in sweep.glob("runs/*/result.json"):
        values = json.loads(path.read_text())
        path.write_text(json.dumps({**values, "data_fingerprint": "beef"}))


def _no_data(sweep: Path) -> None:
    _set_data(sweep, {"name": "arrays", "root": "gone", "num_classes": None}, drop="test_size")


def _other_split(sweep: Path) -> None:
    _set_data(sweep, {"split_seed": 4}, only="runs/1")


def _set_data(sweep: Path, values: dict[str, object], only: str = "", drop: str = "") -> None:
    """Change the data of the runs' configurations; of all, the sweep's as well."""
    for path in sweep.glob(f"{only or 'runs/*'}/config.json"):
        config = json.loads(path.read_text())
        config["data"] = {k: v for k, v in {**config["data"], **values}.items() if k != drop}
        path.write_text(json.dumps(config))
    if not only:
        settings = json.loads((sweep / "settings.json").read_text())
        settings["base"]["data"] = config["data"]
        (sweep / "settings.json").write_text(json.dumps(settings))


def _other_record(sweep: Path) -> None:
    values = json.loads((sweep / "sweep.json").read_text())
    (sweep / "sweep.json").write_text(json.dumps({**values, "schema_version": 99}))


def _other_settings(sweep: Path) -> None:
    values = json.loads((sweep / "settings.json").read_text())
    del values["rungs"]
    (sweep / "settings.json").write_text(json.dumps(values))


def _other_plan(sweep: Path) -> None:
    plan = make_plan(sweep, ConfirmConfig(sweep=str(sweep), top_k=2))
    (sweep / "confirm").mkdir()
    write_plan(sweep / "confirm", plan)


def _damaged_plan(sweep: Path) -> None:
    (sweep / "confirm").mkdir()
    (sweep / "confirm/plan.json").write_text("{")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (["candidates"], [], "candidates is empty"),
        (["candidates", 0, "val_accuracies"], [], "val_accuracies is empty"),
        (["candidates", 0, "val_accuracies"], [7.0], "val_accuracies is \\[7.0\\], must be from"),
        (["candidates", 0, "config"], {}, "the configuration lacks"),
        (["num_val"], None, "num_val is null, must be an integer"),
        (["test_seeds"], [-1, 2], "test_seeds is \\[-1, 2\\], must be from 0 to"),
        (["choose_seeds"], "abc", "choose_seeds is abc, must be"),
        (["choose_seeds"], [], "choose_seeds must be a list for each"),
        (["choose_seeds", 0], [], "choose_seeds has no seed"),
        (["over_promise_seeds"], [], "over_promise_seeds has no seed"),
        (["test_seeds"], [], "test_seeds has no seed"),
    ],
)
def test_a_damaged_plan_is_told_before_anything_is_trained(
    place: list[Any], value: Any, said: str, sweep: Path
) -> None:
    _other_plan(sweep)
    path = sweep / "confirm/plan.json"
    values = json.loads(path.read_text())
    node = values
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=f"plan.json: is damaged: .*{said}"):
        read_plan(sweep / "confirm")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_no_trial, "none of its trials has completed"),
        (_other_data, "the data have changed since the sweep"),
        (_no_data, "data.root=gone"),
        (_other_split, "its trials differ in data.split_seed"),
        (_other_record, "schema_version is 99"),
        (_other_settings, "settings.json: cannot be read: KeyError: 'rungs'"),
        (_other_plan, "top_k=5: s/confirm was planned with 2; another name="),
        (_damaged_plan, "plan.json: cannot be read"),
    ],
)
def test_bad_sweeps(
    change: object,
    problem: str,
    sweep: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(sweep)
    before = _files(sweep)
    assert problem in _refused(capsys, monkeypatch, sweep.parent, "sweep=s")
    assert _files(sweep) == before


@pytest.mark.slow
def test_a_baseline_that_could_not_be_trained_at_the_end_is_refused_at_once(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_data(sweep, {"train_subset": 100})
    line = _refused(capsys, monkeypatch, sweep.parent, "sweep=s", "all_data=false")
    assert "train.batch_size=128 with 100 training images" in line and "baseline=null" in line
    assert not (sweep / "confirm").exists()


def test_a_sweep_that_runs_is_refused(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileLock(sweep / SWEEP_LOCK) as lock:
        lock.write(this_process())
        line = _refused(capsys, monkeypatch, sweep.parent, "sweep=s")
    assert f"is in use (process {os.getpid()}" in line


def test_a_read_only_sweep_is_one_line(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(lock: FileLock) -> bool:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(lock.path))

    monkeypatch.setattr(FileLock, "try_acquire", refuse)
    line = _refused(capsys, monkeypatch, sweep.parent, "sweep=s")
    assert line == "error: sweep=s: [Errno 30] Read-only file system: 's/sweep.lock'"
    assert not (sweep / "confirm").exists()


@pytest.mark.slow
def test_a_run_that_diverges_is_told_and_counted(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ConfirmConfig(sweep=str(sweep), top_k=2, num_seeds=3, trial_timeout_seconds=60.0)
    plan = make_plan(sweep, options)
    place = sweep / "confirm/choose"
    place.mkdir(parents=True)
    (place / "script.json").write_text(json.dumps({"1": "diverged", "4": "out_of_memory"}))
    monkeypatch.setattr(
        planned, "choose_launcher", lambda at, jobs, *_: LocalLauncher(at, jobs, "stub_worker")
    )
    workers = planned.WorkerPool(options, OmegaConf.create({}), None, "again")
    with stubs_importable():
        runs = run_stage(sweep / "confirm", "choose", choose_runs(plan), workers)
    states = [(run.state, run.reason) for run in runs]
    completed = ("completed", None)
    assert states[1] == ("failed", "diverged") and states[4] == ("failed", "out_of_memory")
    assert states.count(completed) == 4 and "scripted diverged" in (runs[1].error or "")
    assert [rival.seeds.num_failed for rival in findings.choose(plan, runs).rivals] == [1, 1]
    assert read_settings(place).trial_timeout_seconds == 60.0
    printed = capsys.readouterr().out
    assert printed.startswith("stage 1 of 3, to choose on a fresh split (choose): 6 runs\n")
    first, second = (candidate.label for candidate in plan.candidates)
    assert f"configuration 1 of 2 ({first}), seed 2 of 3 failed: diverged" in printed
    assert f"configuration 2 of 2 ({second}), seed 3 of 3 completed: val_accuracy" in printed
    assert "rejected" not in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "reported"), [("choose", False), ("over_promise", True), ("test", True)]
)
def test_a_stage_whose_runs_all_fail_ends_with_1_and_what_can_be_reported_is(
    stage: str,
    reported: bool,
    sweep: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ended(place: Path, _: str, runs: list[PlannedRun], *__: object) -> list[EndedRun]:
        fails = place.name == stage
        end = ("failed", "diverged", None, None) if fails else ("completed", None, None, 0.9)
        return [
            EndedRun(run.configuration, run.config.seed, *end, 1.0, f"{place.name}/runs/{number}")
            for number, run in enumerate(runs)
        ]

    monkeypatch.setattr(command, "train_planned", ended)
    hydra = OmegaConf.create({"hydra": {"job": {"env_set": {}}}})
    options = ConfirmConfig(sweep=str(sweep), top_k=1, num_seeds=3, baseline=None)
    with pytest.raises(SystemExit) as stopped:
        command.Confirming(options, hydra, Mock()).run()
    assert stopped.value.code == 1
    assert "runs completed (" in capsys.readouterr().err
    place = sweep / "confirm"
    assert (place / "confirmation.json").exists() == reported
    if reported:
        table = pd.read_csv(place / "confirmation.csv")
        assert set(table.loc[table.stage == stage, "reason"]) == {"diverged"}
