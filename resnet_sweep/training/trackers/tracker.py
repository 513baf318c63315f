"""What a tracker has to do, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.errors import one_line
from resnet_sweep.records.run_folder import (
    ACCURACIES,
    ARCHITECTURE,
    DIAGRAM,
    LOSSES,
    METRIC_NAMES,
    MODEL,
    RESULT,
    EpochMetrics,
    RunResult,
)
from resnet_sweep.records.sweep_folder import RunGroup

ARTIFACTS = (ACCURACIES, LOSSES, DIAGRAM, ARCHITECTURE, RESULT, MODEL)


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker has to know of a run.

    Args:
        name: shown; within a group the run's number.
        group: the sweep, stage of a confirmation or comparison that it belongs to.
        done_epochs: given to this tracker before, by an earlier sitting.
    """

    id: str
    name: str
    group: RunGroup | None
    run_dir: Path
    config: Config
    done_epochs: int

    def settings(self) -> dict[str, Any]:
        """Return the configuration, flat, by dotted name."""
        values = to_dict(self.config)
        del values["tracker"], values["resume"]
        return dict(_flat(values, ""))

    def artifacts(self) -> list[Path]:
        """Return the files that the run has left."""
        return [path for name in ARTIFACTS if (path := self.run_dir / name).is_file()]


class Tracker(ABC):
    """One tracker of one run; any method may raise, and is called again later."""

    is_remote = True  # its calls may take long, and are made less often

    def begin(self, rows: Sequence[EpochMetrics]) -> None:
        """Start a run, or continue it after `rows`."""
        self.update(rows)

    @abstractmethod
    def update(self, rows: Sequence[EpochMetrics]) -> None:
        """Take those of a run's epochs that are not there yet."""

    @abstractmethod
    def end(self, result: RunResult) -> None:
        """Take the result; the epochs are there."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go
        """Let go of what is held, whether the run has ended or not; quick."""


def metrics_of(row: EpochMetrics) -> dict[str, float]:
    """Return an epoch's numbers; trackers group their charts by `train/` and `val/`."""
    numbers = {}
    for name in METRIC_NAMES[1:]:
        value = getattr(row, name)
        if value is not None:
            part, _, rest = name.partition("_")
            numbers[f"{part}/{rest}" if part in ("train", "val") else name] = float(value)
    return numbers


def results_of(result: RunResult) -> dict[str, float]:
    """Return the numbers of a result."""
    numbers = {n: v for n, v in vars(result).items() if isinstance(v, (int, float))}
    for name in ("schema_version", "seed"):
        numbers.pop(name, None)
    return {f"result/{name}": float(value) for name, value in numbers.items()}


def _flat(node: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in node.items():
        path = f"{prefix}{name}"
        found += _flat(value, f"{path}.") if isinstance(value, dict) else [(path, value)]
    return found


def shortened(error: Exception) -> str:
    """Return the type and the first words of an error; clients put a whole story into one."""
    text = one_line(error)
    return text if len(text) <= 200 else f"{text[:200]}..."


def cause_of(error: BaseException) -> Exception:
    """Return what an error came from in the end, such as a refused connection."""
    inner = error.__cause__ or error.__context__
    while isinstance(inner, Exception):
        error, inner = inner, inner.__cause__ or inner.__context__
    assert isinstance(error, Exception)
    return error
