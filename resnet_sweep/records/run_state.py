"""In which state a run folder is, and what a run was told beside its configuration.

Free of torch, but for the checkpoint of a run that has lost something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped] # ships no types

from resnet_sweep.config.errors import RunFolderError
from resnet_sweep.records.run_folder import (
    CONFIG,
    METRICS,
    MODEL,
    RESULT,
    CheckpointError,
    RecordError,
    RunResult,
    check_archive,
    read_config_values,
    read_metrics,
    read_predictions,
    read_result,
)

COMPOSED = Path(".hydra", "hydra.yaml")


class BeyondRepair(RunFolderError):
    """A completed run has lost what no checkpoint gives again."""


class Stage(Enum):
    """How far a run is."""

    NOT_BEGUN = "it has no configuration"
    UNDER_WAY = "it has epochs to train"
    COMPLETE = "nothing is left to do"
    LACKING = "it is complete but for files that its last checkpoint gives again"
    BEYOND_REPAIR = "it is complete but for files that nothing gives again"


@dataclass(frozen=True)
class RunState:
    """The state of a run folder.

    Args:
        result: null where it is missing or cannot be read.
        lost: a line for each file that was there once and is missing or damaged.
        problem: why it is beyond repair, and how to train the run again.
    """

    stage: Stage
    result: RunResult | None = None
    lost: tuple[str, ...] = ()
    problem: str = ""

    @property
    def completed(self) -> RunResult | None:
        """Return the result of a run that has completed, whatever it has lost since."""
        done = self.result is not None and self.result.status == "completed"
        return self.result if done else None


def run_state(run_dir: Path, with_test: bool = False) -> RunState:
    """Look through a run folder.

    Args:
        with_test: a completed run without a test accuracy lacks it.

    Raises:
        RecordError: the configuration of a run that lacks something cannot be read.
    """
    if not (run_dir / CONFIG).is_file():
        return RunState(Stage.NOT_BEGUN)
    result, lost = None, tuple[str, ...]()
    try:
        result = read_result(run_dir)
    except RecordError as error:
        # The net comes just before the result: where it is, there has been a result.
        if not (run_dir / RESULT).exists() and not (run_dir / MODEL).exists():
            return RunState(Stage.UNDER_WAY)
        lost = (str(error),)
    else:
        if result.status != "completed":
            return RunState(Stage.UNDER_WAY, result)
        lost = tuple(_lost(run_dir, result, with_test))
    if not lost:
        return RunState(Stage.COMPLETE, result)
    from resnet_sweep.records.checkpoint import read_checkpoint  # brings torch

    checkpoint, problem = None, "it has no checkpoint"
    try:
        checkpoint = read_checkpoint(run_dir)
    except CheckpointError as error:
        problem = error.reason
    if checkpoint is None:  # what has completed must not be trained anew
        paths = [run_dir / CONFIG, (run_dir / COMPOSED).parent]
        files = " and ".join(str(path) for path in paths if path.exists())
        again = f"copy {files} into a new folder and train it with resume=NEW_FOLDER"
        problem = f"{lost[0]}; {problem}; to have it again, {again}"
        return RunState(Stage.BEYOND_REPAIR, result, lost, problem)
    is_trained = checkpoint["position"]["epoch"] >= read_config_values(run_dir)["train"]["epochs"]
    return RunState(Stage.LACKING if is_trained else Stage.UNDER_WAY, result, lost)


def _lost(run_dir: Path, result: RunResult, with_test: bool) -> Iterator[str]:
    checks: list[Callable[[], object]] = [
        lambda: check_archive(run_dir / MODEL),
        lambda: _check_metrics(run_dir, result.epochs),
    ]
    if result.val_accuracy is not None:  # else there was no validation part
        checks.append(lambda: read_predictions(run_dir))
    for check in checks:
        try:
            check()
        except RecordError as error:
            yield str(error)
    if with_test and result.test_accuracy is None:
        yield f"{run_dir / RESULT}: has no test accuracy, which evaluate_test=true asks for"


def _check_metrics(run_dir: Path, epochs: int) -> None:
    rows = len(read_metrics(run_dir))
    if rows != epochs:  # a file that was cut at the end of a line reads well
        raise RecordError(f"{run_dir / METRICS}: has {rows} of {epochs} epochs")


def variables_of(run_dir: Path) -> dict[str, str]:
    """Return what hydra.job.env_set was for a run of its own; empty where that is not known."""
    found = None
    with suppress(OSError, ValueError, YAMLError, OmegaConfBaseException):
        found = OmegaConf.select(OmegaConf.load(run_dir / COMPOSED), "hydra.job.env_set")
    if not isinstance(found, DictConfig):
        return {}
    pairs = [(str(name), str(value)) for name, value in found.items()]
    return {name: value for name, value in pairs if "\0" not in name + value and name}
