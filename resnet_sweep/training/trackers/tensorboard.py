"""TensorBoard: event files in the run folder."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from torch.utils.tensorboard.writer import SummaryWriter  # takes a second to import

from resnet_sweep.records.run_folder import TENSORBOARD, EpochMetrics, RunResult
from resnet_sweep.training.trackers.tracker import TrackedRun, Tracker, metrics_of


class TensorBoardTracker(Tracker):
    """Scalars over the epochs."""

    is_remote = False

    def __init__(self, run: TrackedRun) -> None:
        self._folder = run.run_dir / TENSORBOARD
        self._writer: SummaryWriter | None = None
        self._written = 0

    def begin(self, rows: Sequence[EpochMetrics]) -> None:
        # Whatever a sitting before wrote of later epochs goes: they are trained again.
        goes_on = self._folder.exists()
        self._written = len(rows) if goes_on else 0
        purge_step = self._written + 1 if goes_on else None
        if goes_on:
            # TensorBoard reads files by their names, which hold the second they began in.
            now = time.time()
            if any(self._folder.glob(f"events.out.tfevents.{int(now)}.*")):
                time.sleep(1 - now % 1)
        self._writer = SummaryWriter(str(self._folder), purge_step=purge_step)
        self.update(rows)

    def update(self, rows: Sequence[EpochMetrics]) -> None:
        if self._writer is None:
            self.begin(rows[: self._written])
        assert self._writer is not None
        for row in rows[self._written :]:
            for name, value in metrics_of(row).items():
                if math.isfinite(value) and name != "epoch_seconds":
                    self._writer.add_scalar(name, value, row.epoch)
            self._written = row.epoch

    def end(self, result: RunResult) -> None:
        """Nothing more: the result is in the folder beside."""

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
