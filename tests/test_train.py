"""The command line from end to end, on the smallest run."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY_OVERRIDES, make_tiny_config, run_train, train_here
from signals_sent import signal_at

from resnet_sweep.records.checkpoint import read_model
from resnet_sweep.records.run_folder import (
    METRIC_NAMES,
    read_config,
    read_metrics,
    read_predictions,
    read_result,
    write_config,
)
from resnet_sweep.training.resume import is_resume, resume_command, resumed_config

RUN = "hydra.run.dir=run"


@pytest.mark.slow
def test_a_run_leaves_its_whole_folder(tmp_path: Path) -> None:
    done = run_train(
        *TINY_OVERRIDES, RUN, "train.figures=true", "tracker=tensorboard", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    run = tmp_path / "run"
    names = {path.name for path in run.iterdir()}
    assert names == {
        ".hydra",
        "accuracies.png",
        "architecture.png",
        "architecture.txt",
        "checkpoint.pt",
        "config.json",
        "losses.png",
        "metrics.csv",
        "model.pt",
        "result.json",
        "tensorboard",
        "train.log",
        "val_predictions.npz",
    }
    result, metrics = read_result(run), read_metrics(run)
    assert [row.epoch for row in metrics] == [1, 2]
    assert result.status == "completed" and result.epochs == 2 and result.error is None
    assert result.objective == result.val_accuracy == metrics[-1].val_accuracy
    assert result.test_accuracy is not None and 0 <= result.test_accuracy <= 1
    assert torch.__version__.startswith(result.versions["torch"])
    assert read_config(run).train.epochs == 2
    assert "run folder: run\n" in done.stdout
    assert f"{result.test_accuracy:.4f}" in done.stdout
    _check_predictions(run, result.val_accuracy, result.val_loss)


def _check_predictions(run: Path, accuracy: float | None, loss: float | None) -> None:
    predictions = read_predictions(run)
    assert predictions.probabilities.dtype == np.float16
    hits = predictions.probabilities.argmax(1) == predictions.labels
    assert hits.mean() == pytest.approx(accuracy)
    own = predictions.probabilities[np.arange(len(hits)), predictions.labels].astype(float)
    assert -np.log(own).mean() == pytest.approx(loss, rel=1e-2)
    content = read_model(run)
    assert content["class_names"] == list(predictions.class_names)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    done = run_train(*TINY_OVERRIDES, RUN, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def _without_timings(run: Path) -> list[tuple[object, ...]]:
    names = [name for name in METRIC_NAMES if name != "epoch_seconds"]
    return [tuple(getattr(row, name) for name in names) for row in read_metrics(run)]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(finished: Path, tmp_path: Path) -> None:
    done = run_train(*TINY_OVERRIDES, "hydra.run.dir=again", "seed=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = train_here(*TINY_OVERRIDES, "hydra.run.dir=other", "seed=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert _without_timings(tmp_path / "again") == _without_timings(finished)
    assert _without_timings(tmp_path / "other") != _without_timings(finished)


def test_a_folder_that_holds_a_run_is_refused(finished: Path) -> None:
    before = (finished / ".hydra" / "overrides.yaml").read_text()
    done = train_here(*TINY_OVERRIDES, RUN, "seed=5", cwd=finished.parent)
    assert done.returncode == 2
    assert "hydra.run.dir" in done.stderr and "resume=run" in done.stderr
    assert (finished / ".hydra" / "overrides.yaml").read_text() == before


def test_resuming_a_finished_run_changes_nothing(finished: Path) -> None:
    before = read_result(finished)
    done = train_here("resume=run", cwd=finished.parent)
    assert done.returncode == 0, done.stderr
    assert "complete" in done.stdout
    assert read_result(finished) == before


def test_resuming_with_another_configuration_shows_the_difference(finished: Path) -> None:
    done = train_here("resume=run", "optimizer.lr=0.5", cwd=finished.parent)
    assert done.returncode == 2
    assert "optimizer.lr=0.1" in done.stderr and "0.5" in done.stderr
    same = train_here("resume=run", "optimizer.lr=0.1", "optimizer=sgd", cwd=finished.parent)
    assert same.returncode == 0, same.stderr


def _signalled(folder: Path, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Train a process of its own, which gets a signal as it writes the last epoch's first step."""
    words = [*TINY_OVERRIDES, RUN, "train.checkpoint_interval_seconds=0"]
    command = [sys.executable, "-m", "resnet_sweep.train", *words]
    environment = signal_at(folder / "signals", "/checkpoint.pt", 4, number)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def _go_on_as_if_uninterrupted(folder: Path, finished: Path) -> None:
    done = run_train("resume=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert _without_timings(folder / "run") == _without_timings(finished)
    assert not list((folder / "run").glob("*.partial"))


SIGNALS_AND_STATUS = [
    (signal.SIGINT, 130),
    pytest.param(signal.SIGTERM, 143, marks=pytest.mark.engines),
    pytest.param(signal.SIGUSR1, 138, marks=pytest.mark.engines),
]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), SIGNALS_AND_STATUS)
def test_a_signal_leaves_a_checkpoint_and_its_exit_status(
    finished: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    done = _signalled(tmp_path, number)
    assert done.returncode == status, done.stderr
    assert "resume=run" in done.stdout
    assert read_result(tmp_path / "run").status == "interrupted"
    assert len(read_metrics(tmp_path / "run")) == 1
    if number == signal.SIGINT:  # with cold caches and generators, unlike in one process
        _go_on_as_if_uninterrupted(tmp_path, finished)


@pytest.mark.engines
def test_a_killed_run_reads_and_goes_on_as_if_uninterrupted(finished: Path, tmp_path: Path) -> None:
    """Killed where only the checkpoint before the last one has its name."""
    assert _signalled(tmp_path, signal.SIGKILL).returncode == -signal.SIGKILL
    assert len(read_metrics(tmp_path / "run")) == 1
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    _go_on_as_if_uninterrupted(tmp_path, finished)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--help"], ["--cfg", "job"]])
def test_help_and_cfg_import_no_torch(flags: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['train', *{flags}]\n"
        "from resnet_sweep.train import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True)
    assert "wrn_2343" in done.stdout


@pytest.mark.slow
def test_a_finished_run_can_still_read_the_test_set(tmp_path: Path) -> None:
    done = train_here(*TINY_OVERRIDES, RUN, "evaluate_test=false", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_result(tmp_path / "run").test_accuracy is None
    done = train_here("resume=run", "evaluate_test=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_result(tmp_path / "run").test_accuracy is not None


@pytest.mark.parametrize(
    "folder",
    [
        *("outputs/runs/2026-11-22", "my runs/a", "optimizer.lr=0.1,seed=2", "été (1)", "it's"),
        *("1e3", "{a}", "$HOME", "a\\", "a\\'b", "(\\\n", "null"),
    ],
)
def test_the_command_that_goes_on_names_the_folder(tmp_path: Path, folder: str) -> None:
    """As a shell and Hydra take it: override_dirname puts = and , into the names of folders."""
    (tmp_path / folder).mkdir(parents=True)
    write_config(tmp_path / folder, make_tiny_config())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        words = shlex.split(resume_command(Path(folder)))
        assert words[:3] == ["python", "-m", "resnet_sweep.train"] and is_resume(words[3:])
        assert resumed_config(words[3:]) == (make_tiny_config(), Path(folder))


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "resnet_sweep.train", *TINY_OVERRIDES, RUN]
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(command, cwd=tmp_path, stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert read_result(tmp_path / "run").status == "completed"


@pytest.mark.engines
def test_kills_at_any_moment_lose_nothing(tmp_path: Path) -> None:
    long = [*TINY_OVERRIDES, "train.epochs=60", "train.checkpoint_interval_seconds=0"]
    whole = run_train(*long, "hydra.run.dir=whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    run, draw = tmp_path / "run", random.Random(0)
    epochs = []
    for i in range(12):
        arguments = ["resume=run"] if i else [*long, RUN]
        command = [sys.executable, "-m", "resnet_sweep.train", *arguments]
        # Of the files that take their places; ten do in an epoch of three steps.
        environment = signal_at(tmp_path / "kill", "", draw.randint(15, 40), signal.SIGKILL)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        epochs.append(len(read_metrics(run)))
    assert epochs == sorted(epochs) and 0 < epochs[0] < epochs[-1] < 60
    done = run_train("resume=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert _without_timings(run) == _without_timings(tmp_path / "whole")


@pytest.mark.engines
def test_inductor_gives_the_same_numbers(finished: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "resnet_sweep.train", *TINY_OVERRIDES, RUN]
    subprocess.run([*command, "train.compile=inductor"], cwd=tmp_path, check=True)
    pairs = zip(read_metrics(tmp_path / "run"), read_metrics(finished), strict=True)
    for ours, eager in pairs:
        assert ours.train_loss == pytest.approx(eager.train_loss, rel=1e-3)


def test_multirun_trains_each(tmp_path: Path) -> None:
    done = train_here(*TINY_OVERRIDES, "-m", "seed=1,2", "hydra.sweep.dir=many", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [read_result(tmp_path / "many" / n).seed for n in ("0", "1")] == [1, 2]


def test_divergence_is_told_and_keeps_what_there_was(tmp_path: Path) -> None:
    done = train_here(
        *TINY_OVERRIDES, RUN, "optimizer.lr=1e30", "optimizer.momentum=0.99", cwd=tmp_path
    )
    assert done.returncode == 1
    result = read_result(tmp_path / "run")
    assert result.status == "diverged" and result.objective is None
    assert result.error is not None and "loss" in result.error


def test_training_on_everything_has_no_objective(tmp_path: Path) -> None:
    done = train_here(*TINY_OVERRIDES, RUN, "data.val_size=0", "evaluate_test=false", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = read_result(tmp_path / "run")
    assert result.status == "completed"
    assert result.objective is None and result.test_accuracy is None
    assert not (tmp_path / "run" / "val_predictions.npz").exists()
    assert all(row.val_loss is None for row in read_metrics(tmp_path / "run"))


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("train.tensorboard=true,false", "train.tensorboard: is no field any more"),
        ("optimizer.lr=0.1,abc", "optimizer.lr=abc: must be a number"),
        ("optimizer.lr=0.1,-1", "optimizer.lr=-1.0: must be"),
        ("+optimizer.lrr=0.1,0.2", "optimizer.lrr=0.1: there is no such field"),
        ("optimizer=sgd,nowhere", "optimizer=nowhere: there is no such option"),
        ("train.batch_size=16,5000", "train.batch_size=5000: must be at most"),
        ("model.widths=[4,8],[4,4000]", "model.max_params=5000000: this net has"),
        ("optimizer.lr=interval(0,1)", "optimizer.lr=interval(0,1): draws from a range"),
    ],
)
def test_a_multirun_with_a_mistake_trains_none(field: str, found: str, tmp_path: Path) -> None:
    """Nothing is left, wherever among its runs the mistake is."""
    done = train_here(*TINY_OVERRIDES, "-m", field, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert found in line
    assert list(tmp_path.iterdir()) == []


def test_the_runs_of_a_multirun_may_refer_to_hydra(tmp_path: Path) -> None:
    words = [
        *TINY_OVERRIDES,
        "train.epochs=1",
        "-m",
        "seed=${hydra:job.num}",
        "optimizer.lr=0.1,0.2",
    ]
    done = train_here(*words, "hydra.sweep.dir=many", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [read_result(tmp_path / "many" / n).seed for n in ("0", "1")] == [0, 1]
