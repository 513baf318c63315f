"""What is said about a run when it has ended."""

from __future__ import annotations

import signal
from pathlib import Path

from resnet_sweep.records.run_folder import TrialResult


def report(result: TrialResult, run_dir: Path) -> int:
    """Print where the run folder is and what came out; return the exit status."""
    print(f"run folder: {run_dir}")
    print(f"status: {result.status}{f' ({result.error})' if result.error else ''}")
    if result.val_accuracy is not None:
        print(f"validation accuracy: {result.val_accuracy:.4f}")
    if result.test_accuracy is not None:
        print(f"test accuracy: {result.test_accuracy:.4f}")
    if result.status == "interrupted":
        print(f"go on with: python -m resnet_sweep.train resume={run_dir}")
    return exit_status(result)


def exit_status(result: TrialResult) -> int:
    """Return 0 for a completed run, 128 + signal for an interrupted one, otherwise 1."""
    if result.status == "interrupted":
        number = (result.error or "").removeprefix("signal ")
        return 128 + (int(number) if number.isdigit() else signal.SIGINT)
    return 0 if result.status in ("completed", "pruned") else 1
