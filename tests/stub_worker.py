"""A worker whose trainings are stubs: python -m stub_worker folder index. No torch.

What a stub does depends on files in the sweep folder, so that tests can steer workers from
outside: while `hold` is there, trials from the number in it on wait after their first epoch;
`script.json` has statuses by trial number.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_dict
from resnet_sweep.records.run_folder import EpochMetrics, RunResult, write_result
from resnet_sweep.search.proposals import DataShape
from resnet_sweep.system.atomic import write_text
from resnet_sweep.workers.coordination import WorkerExit, stop_is_requested, write_exit
from resnet_sweep.workers.trial import Training
from resnet_sweep.workers.worker import end_with_parent, work

TRAININGS = "trainings.log"
HOLD = "hold"


def prepare(_config: Config) -> DataShape:
    return DataShape(num_classes=10, image_size=32)


def accuracy_of(config: Config) -> float:
    """Return a surrogate that prefers a learning rate of 0.1."""
    return 1 / (1 + abs(config.optimizer.lr - 0.1))


def stub_run_trial(
    config: Config, run_dir: Path, on_epoch: Callable[[EpochMetrics], None] | None = None
) -> RunResult:
    """Count epochs in a file, as a checkpoint would, and leave a result."""
    run_dir.mkdir(parents=True, exist_ok=True)
    folder = run_dir.parent.parent
    values = {"schema_version": 1, **to_dict(config)}
    write_text(run_dir / "config.json", json.dumps(values))
    with open(folder / TRAININGS, "a") as file:
        file.write(f"{run_dir.name}\n")
    checkpoint = run_dir / "epoch"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    status = _script(folder).get(run_dir.name, "completed")
    for epoch in range(done + 1, config.train.epochs + 1):
        while epoch > 1 and _is_held(folder, run_dir.name):
            time.sleep(0.01)
        write_text(checkpoint, str(epoch))
        if on_epoch is not None:
            on_epoch(_metrics(config, epoch))
    result = result_of(config, status)
    write_result(run_dir, result)
    return result


def _script(folder: Path) -> dict[str, str]:
    path = folder / "script.json"
    return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]


def _is_held(folder: Path, trial: str) -> bool:
    """Return whether a trial is to wait; a sweep that stops is not kept waiting."""
    try:
        first = int((folder / HOLD).read_text())
    except FileNotFoundError:
        return False
    return int(trial) >= first and not stop_is_requested(folder)


def hold_from(folder: Path, number: int) -> None:
    write_text(folder / HOLD, str(number))


def release(folder: Path) -> None:
    (folder / HOLD).unlink()


def _metrics(config: Config, epoch: int) -> EpochMetrics:
    accuracy = accuracy_of(config) * epoch / config.train.epochs
    return EpochMetrics(epoch, 0.1, 1.0, 0.5, 1.0, accuracy, 0.0)


def result_of(config: Config, status: str) -> RunResult:
    value = accuracy_of(config) if status == "completed" else None
    return RunResult(
        status=status,
        num_params=1000,
        multiply_adds=2000,
        epochs=config.train.epochs,
        val_accuracy=value,
        val_loss=value,
        test_accuracy=None,
        test_loss=None,
        objective=value,
        train_seconds=0.1,
        images_per_second=None,
        peak_memory_bytes=0,
        seed=config.seed,
        device="cpu",
        versions={},
        git_commit=None,
        data_fingerprint="",
        error=None if status == "completed" else f"scripted {status}",
    )


def work_here(folder: Path, index: int = 0, run_training: Training = stub_run_trial) -> WorkerExit:
    """Be a worker in this process."""
    return work(folder, index, run_training, prepare)


def main() -> None:
    logging.basicConfig()
    end_with_parent()
    folder, index = Path(sys.argv[1]), int(sys.argv[2])
    write_exit(folder, index, work(folder, index, stub_run_trial, prepare))


if __name__ == "__main__":
    main()
