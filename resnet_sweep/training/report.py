"""What is said about a run when it has ended."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from resnet_sweep.records.run_folder import TrialResult
from resnet_sweep.system.console import say


def report(result: TrialResult, run_dir: Path) -> int:
    """Print where the run folder is and what came out; return the exit status."""
    say(f"run folder: {run_dir}")
    say(f"status: {result.status}")
    if result.val_accuracy is not None:
        say(f"validation accuracy: {result.val_accuracy:.4f}")
    if result.test_accuracy is not None:
        say(f"test accuracy: {result.test_accuracy:.4f}")
    if result.status == "interrupted":
        say(f"go on with: python -m resnet_sweep.train resume={run_dir}")
    status = exit_status(result)
    if status == 1:
        say(f"error: the run ended as {result.status}: {result.error}", sys.stderr)
    return status


def exit_status(result: TrialResult) -> int:
    """Return 0 for a completed run, 128 + signal for an interrupted one, otherwise 1."""
    if result.status == "interrupted":
        return 128 + signal.Signals[result.error or "SIGINT"]
    return 0 if result.status in ("completed", "pruned") else 1
