"""Sweeps from the command line, with real trainings of the smallest net."""

from __future__ import annotations

import os
import shlex
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, TINY_OVERRIDES, run_train, train_here
from hydra.core.global_hydra import GlobalHydra
from processes import wait_for

from resnet_sweep.records.run_folder import read_result
from resnet_sweep.records.sweep_folder import SweepTrial, read_sweep
from resnet_sweep.sweep import checks
from resnet_sweep.train import main
from resnet_sweep.workers import launchers

TINY_SWEEP = [
    "-m",
    "hydra/sweeper=optuna",
    *(o for o in TINY_OVERRIDES if not o.startswith(("train.epochs", "train.batch_size"))),
    "train.epochs=1",
    "train.batch_size=64",
    "hydra.sweeper.study_name=s",
    "hydra.sweeper.n_trials=7",
    "hydra.sweeper.n_jobs=1",
]
FOLDER = Path("outputs/sweeps/s")


def _sweep(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return run_train(*TINY_SWEEP, *overrides, cwd=folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "begun").touch()
    done = _sweep(folder, "hydra.sweeper.start_from=[]")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_sweep_leaves_its_folder(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    sweep = read_sweep(folder / FOLDER)
    assert sweep.record.objectives == ["val_accuracy"] and sweep.record.n_trials == 7
    trained = sweep.trained()
    assert len(trained) == 7
    for trial in trained:
        run_dir = sweep.run_dir(trial)
        assert run_dir is not None and trial.num_params == read_result(run_dir).num_params
    completed = [t for t in trained if t.state == "completed"]
    best = max(completed, key=lambda t: t.values or [0.0])
    results = yaml.safe_load((folder / FOLDER / "optimization_results.yaml").read_text())
    assert results["name"] == "optuna"
    assert [results["best_value"]] == best.values
    assert "again: python -m resnet_sweep.train" in printed
    assert "trained 7 of 7" in printed


def test_between_two_trials_passes_a_small_part_of_what_it_takes_to_start(
    finished: tuple[Path, str],
) -> None:
    """A worker stays: no trial pays for a process and its imports, as the first one does."""
    trained = read_sweep(finished[0] / FOLDER).trained()
    begun = (finished[0] / "begun").stat().st_mtime
    first = min(trial.started for trial in trained if trial.started is not None)
    gaps = _gaps(trained)
    assert len(gaps) == 6
    assert statistics.median(gaps) < (first - begun) / 10  # its seconds: sweep_overhead.py


def _gaps(trials: list[SweepTrial]) -> list[float]:
    """Return the seconds between the ends of one worker's trials, without the later's training."""
    ends = sorted((t.ended, t.train_seconds) for t in trials if t.train_seconds)
    return [end - before - training for (before, _), (end, training) in pairwise(ends)]


@pytest.mark.slow
def test_the_printed_command_is_the_same_run(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder, printed = finished
    command = next(line for line in printed.splitlines() if "again:" in line).split("train ")[1]
    words = shlex.split(command)
    done = run_train(*words, "train.figures=false", "hydra.run.dir=r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    best = yaml.safe_load((folder / FOLDER / "optimization_results.yaml").read_text())
    assert read_result(tmp_path / "r").val_accuracy == best["best_value"]


@pytest.mark.slow
def test_the_same_command_goes_on_to_the_same_total(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    before = read_sweep(folder / FOLDER).trials
    done = train_here(*TINY_SWEEP, "hydra.sweeper.start_from=[]", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert read_sweep(folder / FOLDER).trials == before


@pytest.mark.slow
def test_a_changed_sweep_is_refused_with_the_difference(finished: tuple[Path, str]) -> None:
    changes = ["optimizer.lr=interval(0.1,0.2)", "data.val_size=0.3"]
    done = train_here(*TINY_SWEEP, *changes, cwd=finished[0])
    assert done.returncode == 2
    for part in ("optimizer.lr@sgd was", "optimizer.lr was (none), is 0.1..0.2", "extend_from"):
        assert part in done.stderr
    assert "data.val_size was 0.2, is 0.3" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def _started(folder: Path) -> subprocess.Popen[str]:
    """Start a sweep that would take hours, and wait until both of its workers train."""
    long = ["train.epochs=100000", "hydra/sweeper/pruner=none", "hydra.sweeper.n_jobs=2"]
    seldom = "train.checkpoint_interval_seconds=0.2"
    command = [sys.executable, "-m", "resnet_sweep.train", *TINY_SWEEP, *long, seldom]
    process = _Killed(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len([*(folder / FOLDER).glob("runs/*/checkpoint.pt")]) == 2, process)
    return process


class _Killed(subprocess.Popen):  # type: ignore[type-arg] # of text
    def __exit__(self, *args: object) -> None:
        self.kill()
        super().__exit__(None, None, None)


@pytest.mark.engines
def test_one_sweep_of_a_name_at_a_time_and_an_interrupted_one_says_how_to_go_on(
    tmp_path: Path,
) -> None:
    with _started(tmp_path) as process:
        second = train_here(*TINY_SWEEP, cwd=tmp_path)
        assert second.returncode == 2 and "is running" in second.stderr
        assert str(process.pid) in second.stderr
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate()
    assert process.returncode == 130
    assert "go on with: python -m resnet_sweep.train -m hydra/sweeper=optuna" in printed
    assert "hydra.sweeper.study_name=s" in printed
    statuses = {read_result(run).status for run in (tmp_path / FOLDER / "runs").iterdir()}
    assert statuses == {"interrupted"}


BAD_INPUT = {
    "hydra/sweeper/sampler=magic": "hydra/sweeper/sampler=magic",
    "hydra/sweeper/pruner=magic": "asha, hyperband, median, none, patient",
    "hydra/sweeper/pruner=asha hydra.sweeper.objectives=[val_accuracy,num_params]": "pruner=none",
    "hydra.sweeper.objectives=[num_params] hydra/sweeper/pruner=asha": "must be none: num_params",
    "hydra.sweeper.objectives=[accuracy]": "val_accuracy",
    "hydra.sweeper.objectives=[]": "at least one",
    "hydra.sweeper.direction=minimize": "maximize",
    "hydra.sweeper.n_trials=0": "hydra.sweeper.n_trials=0",
    "hydra.sweeper.n_trials=many": "hydra.sweeper.n_trials",
    "hydra.sweeper.n_jobs=0": "hydra.sweeper.n_jobs=0",
    "hydra.sweeper.max_failure_rate=2": "max_failure_rate=2",
    "hydra.sweeper.rungs=[5]": "train.epochs=1",
    "hydra.sweeper.rungs=[3,2]": "must rise",
    "hydra.sweeper.rungs=[1] train.epochs=2 hydra/sweeper/pruner=patient": "need a pruner that",
    "hydra.sweeper.storage=postgresql+psycopg://me:pw@localhost:1/x": "hydra.sweeper.storage",
    "hydra.sweeper.extend_from=nowhere": "extend_from=nowhere: must be a sweep folder: nowhere/",
    "hydra.sweeper.start_from=[nowhere]": "nowhere",
    "hydra.sweeper.custom_search_space=no.such": "no.such",
    "hydra.sweeper.folder=/proc": "/proc",
    "hydra.sweeper.n_trails=3": "did you mean n_trials?",
    "optimizer.lrr=interval(0,1)": "did you mean lr?",
    "optimizer=choice(sgd,magic)": "magic",
    "optimizer.lr=interval(1,0.1)": "must have the lower bound first",
    "model.max_params=10": "none of 20 random nets fits its budget; the smallest had",
    "model.widths=choice([4,8],[4,8,16])": "model.widths=[4, 8, 16]: must have 2 entries",
    "model.widths=choice([4,8],[8,16]) model.base_width=4": "does not count beside",
    "model.widths=[4,8] model.base_width=choice(4,8)": "beside model.base_width=choice(4,8)",
    "init.zero_init_residual=choice(null,1)": (
        "error: init.zero_init_residual=choice(null,1): TypeError while evaluating"
    ),
    "search_space=nowhere": "search_space=nowhere",
    "data.val_size=0": "data.val_size",
    "data.val_size=1437": "data.val_size=1437.0: must be less than the 1437 training images",
    "data=cifar10 data.train_subset=null data.root=no data.download=false": (
        "data.root=no: no such folder, and data.download=false"
    ),
    "data=image_folder data.root=no": "data.root=no: no such folder",
    "data=arrays data.root=no": "data.root=no: no such folder",
    "train.device=cuda": "train.device=cuda: no NVIDIA GPU is listed or visible on this machine",
    "train.device=mps": "train.device=mps: this machine has no Apple GPU",
    "data.val_size=interval(10,100)": "data.val_size must have one value in a sweep",
    "train.batch_size=4096 regularization.ghost_batch_size=range(2048,4097)": (
        "none can be built: regularization.ghost_batch_size="
    ),
    "hydra.sweeper.custom_search_space=os.sep": "custom_search_space=os.sep: must be a function",
    "hydra.sweeper.pruner.name=foo": "hydra.sweeper.pruner.name=foo: must be one of none, median",
    "hydra.sweeper.pruner.name=median": "write hydra/sweeper/pruner=median",
    "optimizer.lr=interval(0,inf)": "optimizer.lr=interval(0,inf): must have finite bounds",
    "optimizer.lr=interval(nan,1)": "optimizer.lr=interval(nan,1): must have finite bounds",
    "optimizer.lr=interval(0,1e400)": "must have finite bounds",
    "optimizer.lr=interval(-1e308,1e308)": "must have finite bounds",
    "optimizer.lr=tag(lgo,interval(0.1,1))": "has the tag lgo: an interval takes log alone",
    "optimizer.lr=tag(log,range(1,5))": "has the tag log: only an interval takes one",
    "+hydra.sweeper.sampler.nope=3": "hydra.sweeper.sampler.nope=3: there is no such field",
    "hydra.sweeper.sampler.nope=3": "hydra.sweeper.sampler.nope: there is no such field",
    "+hydra.sweeper.pruner.warmpu=3": "hydra.sweeper.pruner.warmpu=3: there is no such field",
    "hydra.sweeper.sampler.seed=-1": "hydra.sweeper.sampler.seed=-1: must be an integer, from 0",
    "hydra.sweeper.sampler.n_startup_trials=-1": "n_startup_trials=-1: must be an integer",
    "hydra.sweeper.sampler.n_ei_candidates=0": "n_ei_candidates=0: must be an integer, at least 1",
    "hydra.sweeper.direction=5": "hydra.sweeper.direction=5: follows from the objectives",
    "hydra.sweeper._target_=foo": "error: hydra.sweeper._target_=foo: Hydra cannot read this",
    "hydra.sweeper.folder=''": "hydra.sweeper.folder=''",
    "search_space=null": "error: search_space=null: ",
    "~optimizer": "error: ~optimizer: ",
    "experiment=source_tuned train.epochs=9 augmentation=choice(none,cutout)": (
        "augmentation=none: the experiment sets augmentation.crop_flip"
    ),
}


@pytest.fixture
def in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the entry point run here: a process for each mistake would take minutes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(checks, "TRIAL_DRAWS", 20)
    monkeypatch.setattr(launchers, "visible_gpus", list)
    yield
    GlobalHydra.instance().clear()


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("overrides", BAD_INPUT)
def test_bad_input_gets_one_line_before_any_trial(
    overrides: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Drawing from the default space would take seconds.
    drawn = ["search_space=[]", "optimizer.lr=interval(0.02,0.2)"]
    kept = [] if "optimizer" in overrides or "search_space" in overrides else drawn
    monkeypatch.setattr(sys, "argv", ["train", *TINY_SWEEP, *kept, *overrides.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    assert BAD_INPUT[overrides] in lines[0]
    assert os.listdir() == []


@pytest.mark.engines
def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    done = _sweep(tmp_path, "hydra.sweeper.dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "1,000 proposals" in done.stdout and "estimate" in done.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_the_sweeper_imports_no_torch() -> None:
    code = (
        "import sys\nimport resnet_sweep.sweep.plugin\nassert 'optuna' not in sys.modules\n"
        "import resnet_sweep.sweep.command\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
