"""A stage of a confirmation: planned runs in SWEEP/confirm/STAGE."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from resnet_sweep.records.confirmation import ConfirmationRun
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.workers.planned import PlannedRun, WorkerPool, train_planned

OBJECTIVES = {"choose": "val_accuracy", "over_promise": "val_accuracy", "test": "test_accuracy"}
TITLES = {
    "choose": "stage 1 of 3, to choose on a fresh split",
    "over_promise": "stage 2 of 3, the sweep's best on its own split",
    "test": "stage 3 of 3, the chosen one and the baseline on the test set",
}


def run_stage(
    folder: Path, stage: str, runs: list[PlannedRun], workers: WorkerPool
) -> list[ConfirmationRun]:
    """Train what is not trained yet and return how each run ended.

    Args:
        folder: of the confirmation.

    Raises:
        UserError: no worker can go on.
        SystemExit: it was interrupted.
    """
    title = f"{TITLES[stage]} ({stage})"
    ended = train_planned(folder / stage, OBJECTIVES[stage], runs, workers, title)
    return [
        ConfirmationRun(**asdict(run) | {"stage": stage, "run_dir": f"{stage}/{RUNS}/{number}"})
        for number, run in enumerate(ended)
    ]
