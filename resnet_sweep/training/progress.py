"""What a run says while it goes on: progress bar, log lines, TensorBoard."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from resnet_sweep.records.run_folder import LOG, TENSORBOARD, EpochMetrics
from resnet_sweep.system.console import say

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

PACKAGE_LOGGER = logging.getLogger("resnet_sweep")
log = logging.getLogger(__name__)


class ConsoleHandler(logging.Handler):
    """Writes to whatever sys.stdout is at the moment, so that lines pass above a live bar.

    Tracebacks stay in the log file.
    """

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def log_to_console() -> None:
    """Show the package's log lines on standard output, once."""
    PACKAGE_LOGGER.setLevel(logging.INFO)
    PACKAGE_LOGGER.propagate = False
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it announces its font cache
    if not any(isinstance(handler, ConsoleHandler) for handler in PACKAGE_LOGGER.handlers):
        PACKAGE_LOGGER.addHandler(ConsoleHandler())


class _QuietFileHandler(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Lose the line: what is written after it tells that the disk is full."""


@contextmanager
def log_to_file(run_dir: Path) -> Iterator[None]:
    """Append the package's log lines to train.log."""
    handler = _QuietFileHandler(run_dir / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = PACKAGE_LOGGER.level
    PACKAGE_LOGGER.setLevel(logging.INFO)
    PACKAGE_LOGGER.addHandler(handler)
    try:
        yield
    finally:
        PACKAGE_LOGGER.removeHandler(handler)
        PACKAGE_LOGGER.setLevel(level)
        handler.close()


class RunProgress:
    """The bar over all steps of a run, and what each epoch leaves behind.

    The bar shows the last finished epoch's loss: reading the present one would make the
    device wait.
    """

    def __init__(
        self,
        run_dir: Path,
        steps_per_epoch: int,
        epochs: int,
        done_epochs: int,
        done_steps: int,
        show: bool,
        tensorboard: bool,
    ) -> None:
        self._epochs = epochs
        self._writer = _summary_writer(run_dir, done_epochs) if tensorboard else None
        self._bar = _progress_bar(show and sys.stdout.isatty())
        self._task: TaskID = self._bar.add_task(
            "",
            total=epochs * steps_per_epoch,
            completed=done_epochs * steps_per_epoch + done_steps,
        )

    def __enter__(self) -> RunProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def end_step(self) -> None:
        self._bar.advance(self._task)

    def end_epoch(self, metrics: EpochMetrics, images_per_second: float) -> None:
        """Log an epoch, show it beside the bar and add it to TensorBoard."""
        line = describe_epoch(metrics, self._epochs, images_per_second)
        self._bar.update(self._task, description=line)
        log.info("%s", line)
        if self._writer is not None:
            self._add_scalars(self._writer, metrics)

    def _add_scalars(self, writer: SummaryWriter, metrics: EpochMetrics) -> None:
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr"):
            value = getattr(metrics, name)
            if value is not None and math.isfinite(value):
                writer.add_scalar(name.replace("_", "/", 1), value, metrics.epoch)


def describe_epoch(metrics: EpochMetrics, epochs: int, images_per_second: float) -> str:
    """Return one line about a finished epoch."""
    train = _pair(metrics.train_loss, metrics.train_accuracy)
    line = f"epoch {metrics.epoch}/{epochs}  train {train}"
    if metrics.val_loss is not None and metrics.val_accuracy is not None:
        line += f"  val {_pair(metrics.val_loss, metrics.val_accuracy)}"
    return f"{line}  {images_per_second:,.0f} images/s"


def _pair(loss: float, accuracy: float) -> str:
    return f"loss {loss:.4f} accuracy {accuracy:.4f}"


def _summary_writer(run_dir: Path, done_epochs: int) -> SummaryWriter:
    # TensorBoard takes a second to import and not every run needs it.
    from torch.utils.tensorboard.writer import SummaryWriter

    # Whatever a sitting before wrote of later epochs goes: they are trained again.
    purge_step = done_epochs + 1 if (run_dir / TENSORBOARD).exists() else None
    return SummaryWriter(str(run_dir / TENSORBOARD), purge_step=purge_step)


def _progress_bar(show: bool) -> Progress:
    columns = (
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, disable=not show, transient=True)
