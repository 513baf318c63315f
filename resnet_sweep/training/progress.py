"""What a run says while it goes on: progress bar and log lines."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from resnet_sweep.records.run_folder import LOG, EpochMetrics
from resnet_sweep.system.console import duration, say

SAY_SECONDS = 20.0  # between two lines of one epoch
ON_BAR = "on_bar"  # of a log record: the bar shows it already

PACKAGE_LOGGER = logging.getLogger("resnet_sweep")
log = logging.getLogger(__name__)


class ConsoleHandler(logging.Handler):
    """Writes to whatever sys.stdout is at the moment, so that lines pass above a live bar.

    Tracebacks stay in the log file.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, ON_BAR, False):
            say(record.getMessage())


def log_to_console() -> None:
    """Show the package's log lines on standard output, once."""
    PACKAGE_LOGGER.setLevel(logging.INFO)
    PACKAGE_LOGGER.propagate = False
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
    device wait. Where there is no bar, and in train.log, a long epoch says how far it is. Steps
    count when they are handed to the device, which a GPU carries out a moment later.
    """

    def __init__(
        self,
        steps_per_epoch: int,
        batch_size: int,
        epochs: int,
        done_epochs: int,
        done_steps: int,
        show: bool,
    ) -> None:
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._batch_size = batch_size
        self._epoch, self._step = done_epochs, done_steps
        self._is_shown = show and sys.stdout.isatty()
        self._bar = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            disable=not self._is_shown,
            transient=True,
        )
        self._task = self._bar.add_task(
            "",
            total=epochs * steps_per_epoch,
            completed=done_epochs * steps_per_epoch + done_steps,
        )
        self._mark()

    def __enter__(self) -> RunProgress:
        self._bar.start()
        self._mark()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin_epoch(self) -> None:
        """Measure from here on: an evaluation and the trackers are no steps."""
        self._mark()

    def end_step(self) -> None:
        self._bar.advance(self._task)
        self._step += 1
        seconds = time.monotonic() - self._marked_at
        if seconds >= SAY_SECONDS and self._step < self._steps_per_epoch:
            steps = self._step - self._marked_step
            log.info("%s", self._describe_step(steps / seconds), extra={ON_BAR: self._is_shown})
            self._mark()

    def end_epoch(self, metrics: EpochMetrics, images_per_second: float) -> None:
        """Log an epoch and show it beside the bar."""
        line = f"epoch {metrics.epoch}/{self._epochs}  train loss {metrics.train_loss:.4f}"
        line += f" accuracy {metrics.train_accuracy:.4f}"
        if metrics.val_loss is not None and metrics.val_accuracy is not None:
            line += f"  val loss {metrics.val_loss:.4f} accuracy {metrics.val_accuracy:.4f}"
        line += f"  {images_per_second:,.0f} images/s"
        self._bar.update(self._task, description=line)
        log.info("%s", line)
        self._epoch, self._step = metrics.epoch, 0

    def _mark(self) -> None:
        self._marked_at, self._marked_step = time.monotonic(), self._step

    def _describe_step(self, steps_per_second: float) -> str:
        """Return one line about an epoch under way; its time left is that of all steps to come."""
        done = self._epoch * self._steps_per_epoch + self._step
        left = (self._epochs * self._steps_per_epoch - done) / steps_per_second
        return (
            f"epoch {self._epoch + 1}/{self._epochs}  step {self._step}/{self._steps_per_epoch}  "
            f"{steps_per_second * self._batch_size:,.0f} images/s  {duration(left)} left"
        )
