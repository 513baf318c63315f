"""Signals that come when a run can no longer be interrupted, and runs that fail among others."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY_OVERRIDES, Killed, make_tiny_config, train_here

from resnet_sweep.config import Config
from resnet_sweep.config.trackers import TensorBoardConfig, TrackerConfig
from resnet_sweep.records.checkpoint import read_model
from resnet_sweep.records.run_folder import RESULT, EpochMetrics, read_metrics, read_result
from resnet_sweep.system.stopping import stop_on_signals
from resnet_sweep.training.run import run_training

RUNS = "hydra.sweep.dir=runs"
LATE = {
    "the last evaluation": "resnet_sweep.training.loop.Training.evaluate_test",
    "the weights": "resnet_sweep.training.products.write_model",
    "the drawing": "resnet_sweep.training.products.draw_curves",
    "the result": "resnet_sweep.training.run.write_result",
}
DATA = "resnet_sweep.training.run.place_data"


def _signal_in(
    monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals
) -> Callable[..., Any]:
    """Let a function send this process a signal when it begins."""
    owner, _, attribute = name.rpartition(".")
    module, _, cls = owner.rpartition(".")
    target = getattr(__import__(module, fromlist=[cls]), cls)
    original = getattr(target, attribute)

    def signalled(*arguments: Any, **options: Any) -> Any:
        signal.raise_signal(number)
        return original(*arguments, **options)

    monkeypatch.setattr(target, attribute, signalled)
    return signalled


@pytest.mark.slow
@pytest.mark.parametrize("place", LATE)
def test_a_late_signal_ends_a_multirun_after_its_run(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_in(monkeypatch, LATE[place], signal.SIGINT)
    words = [*TINY_OVERRIDES, "train.figures=true", "train.epochs=1", "-m", "seed=1,2", RUNS]
    done = train_here(*words, cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert read_result(tmp_path / "runs" / "0").status == "completed"
    assert read_model(tmp_path / "runs" / "0")
    assert not (tmp_path / "runs" / "1").exists()


@pytest.mark.slow
@pytest.mark.parametrize("place", LATE)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_late_signal_ends_a_single_run_that_is_complete(
    place: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_in(monkeypatch, LATE[place], number)
    words = [*TINY_OVERRIDES, "train.figures=true", "train.epochs=1", "hydra.run.dir=run"]
    done = train_here(*words, cwd=tmp_path)
    assert done.returncode == 128 + number
    assert "run folder: run\n" in done.stdout
    assert read_result(tmp_path / "run").status == "completed"


def test_a_signal_while_data_are_read_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_in(monkeypatch, DATA, signal.SIGTERM)
    done = train_here(*TINY_OVERRIDES, "-m", "seed=1,2", RUNS, cwd=tmp_path)
    assert done.returncode == 143, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_signal_while_a_worker_reads_data_interrupts_the_run_before_its_first_step(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_in(monkeypatch, DATA, signal.SIGTERM)
    with stop_on_signals() as stop:
        result = run_training(tiny_config, tmp_path / "run")
    assert (result.status, result.error, result.train_seconds) == ("interrupted", "SIGTERM", 0.0)
    assert stop.signal_number == signal.SIGTERM
    monkeypatch.undo()
    assert run_training(tiny_config, tmp_path / "run").status == "completed"


@pytest.mark.slow
@pytest.mark.parametrize(("rates", "failed"), [("0.02,1e30", 1), ("1e30,1e31", 2)])
def test_a_multirun_counts_the_runs_that_failed(rates: str, failed: int, tmp_path: Path) -> None:
    words = [*TINY_OVERRIDES, "train.epochs=1", "-m", f"optimizer.lr={rates}", RUNS]
    done = train_here(*words, cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and f"{failed} of 2" in last
    assert f"{failed} diverged" in last and "runs" in last
    assert (tmp_path / "runs" / "1" / RESULT).exists()


@pytest.mark.slow
def test_a_multirun_counts_runs_that_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: object, **__: object) -> None:
        raise RuntimeError("no step")

    monkeypatch.setattr("resnet_sweep.training.step.TrainStep.__call__", raises)
    done = train_here(*TINY_OVERRIDES, "-m", "seed=1,2", RUNS, cwd=tmp_path)
    assert done.returncode == 1
    assert "2 of 2" in done.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_multirun_without_failures_ends_with_0(tmp_path: Path) -> None:
    done = train_here(*TINY_OVERRIDES, "train.epochs=1", "-m", "seed=1,2", RUNS, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("interval", [1e6, 0])  # before the first checkpoint; after many
@pytest.mark.parametrize("stops", [[1], [2], [2, 1]])
def test_tensorboard_and_metrics_hold_each_epoch_once_after_a_kill(
    interval: float, stops: list[int], tmp_path: Path, tiny_config: Config
) -> None:
    with warnings.catch_warnings(action="ignore"):  # of what it imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    tiny_config.train.epochs = 3
    tiny_config.tracker = TrackerConfig(tensorboard=TensorBoardConfig())
    tiny_config.train.checkpoint_interval_seconds = interval
    for epochs in stops:
        seen = []

        def kill(metrics: object, epochs: int = epochs, seen: list[object] = seen) -> None:
            seen.append(metrics)
            if len(seen) == epochs:
                raise Killed

        with pytest.raises(Killed):
            run_training(tiny_config, tmp_path / "run", kill)
    assert run_training(tiny_config, tmp_path / "run").status == "completed"
    assert [row.epoch for row in read_metrics(tmp_path / "run")] == [1, 2, 3]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]


@pytest.mark.slow
def test_tensorboard_reads_sittings_within_a_second_in_their_order(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings(action="ignore"):  # of what it imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.summary.writer import event_file_writer

    from resnet_sweep.training.trackers.tensorboard import TensorBoardTracker
    from resnet_sweep.training.trackers.tracker import TrackedRun

    # Names end with a number that is written without zeros: 10 sorts before 9.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    rows = [EpochMetrics(epoch, 0.1, 1.0, 0.5, 1.0, 0.5, 1.0) for epoch in (1, 2, 3)]
    for done in (1, 2, 3):
        tracker = TensorBoardTracker(TrackedRun("a", "a", None, tmp_path, tiny_config, done - 1))
        tracker.begin(rows[: done - 1])
        tracker.update(rows[:done])
        tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]


def test_tensorboard_chosen_on_resume_gets_the_epochs_from_before(
    tmp_path: Path, tiny_config: Config
) -> None:
    with warnings.catch_warnings(action="ignore"):  # of what it imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def kill(metrics: EpochMetrics) -> None:
        if metrics.epoch == 2:
            raise Killed

    tiny_config.train.epochs = 3
    tiny_config.train.checkpoint_interval_seconds = 0
    with pytest.raises(Killed):
        run_training(tiny_config, tmp_path / "run", kill)
    tiny_config.tracker = TrackerConfig(tensorboard=TensorBoardConfig())
    assert run_training(tiny_config, tmp_path / "run").status == "completed"
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]


def test_metrics_after_the_checkpoint_go_before_they_are_trained_again(
    tmp_path: Path, tiny_config: Config
) -> None:
    def kill(metrics: object) -> None:
        raise Killed

    tiny_config.train.checkpoint_interval_seconds = 1e6
    with pytest.raises(Killed):
        run_training(tiny_config, tmp_path / "run", kill)
    assert len(read_metrics(tmp_path / "run")) == 1
    with pytest.MonkeyPatch.context() as patch:
        _signal_in(patch, "resnet_sweep.training.step.TrainStep.__call__", signal.SIGTERM)
        result = run_training(tiny_config, tmp_path / "run")
    assert (result.status, result.epochs) == ("interrupted", 0)
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.slow
def test_a_short_run_after_a_large_one_has_its_own_peak_memory(tmp_path: Path) -> None:
    from resnet_sweep.system.environment import PeakMemory

    small = run_training(make_tiny_config(), tmp_path / "a").peak_memory_bytes
    if small is None:
        pytest.skip("this system cannot measure from a given moment on")
    import torch

    large = PeakMemory(torch.device("cpu"))
    torch.ones(100_000_000)
    taken = large.bytes()
    assert taken is not None and taken >= 400_000_000
    again = run_training(make_tiny_config(), tmp_path / "b").peak_memory_bytes
    assert again is not None and again < small + 100_000_000
    record = read_result(tmp_path / "b")
    assert record.peak_memory_bytes == again


def test_a_peak_that_cannot_be_measured_is_not_given(
    tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.write_text

    def refuse(path: Path, *arguments: Any, **options: Any) -> int:
        if str(path) == "/proc/self/clear_refs":
            raise PermissionError(path)
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", refuse)
    assert run_training(tiny_config, tmp_path / "run").peak_memory_bytes is None
    assert read_result(tmp_path / "run").peak_memory_bytes is None
