"""How many runs and proposals ended how."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from resnet_sweep.analysis.archive import Archive
from resnet_sweep.analysis.configurations import pruned
from resnet_sweep.analysis.runs import sweep_labels
from resnet_sweep.records.sweep_folder import SweepTrial

ORDER = (
    "completed",
    "pruned",
    "running",
    "waiting",
    "rejected",
    "interrupted",
    "diverged",
    "out_of_memory",
    "failed",
    "unreadable",
)


def count_statuses(archive: Archive, runs: pd.DataFrame) -> tuple[dict[str, int], float | None]:
    """Return runs and proposals without one by status, and the rejection rate.

    A trial counts once: its finished rungs only where it was pruned after them.

    Args:
        runs: those that count, and with them their sweeps.
    """
    finished_rung = runs["rung"].notna() & (runs["status"] == "completed")
    ended_at_rung = pruned(runs)["rung"].notna().sum()
    counts = Counter(runs.loc[~finished_rung, "status"].tolist())
    trials = _trials(archive, runs)
    rejected = sum(trial.state == "rejected" for trial in trials)
    trained = sum(trial.is_trained for trial in trials)
    counts["pruned"] += int(ended_at_rung)
    counts["rejected"] += rejected
    counts["waiting"] += sum(trial.state == "waiting" for trial in trials)
    counts["failed"] += sum(t.state == "failed" and t.run_dir is None for t in trials)
    shown = {status: counts[status] for status in ORDER if counts[status]}
    rate = rejected / (rejected + trained) if rejected + trained else None
    return shown, rate


def _trials(archive: Archive, runs: pd.DataFrame) -> list[SweepTrial]:
    """Return the trials of sweeps that have runs among these, or of all where all runs are."""
    labels, chosen = sweep_labels(archive), set(runs["sweep"].dropna())
    sweeps = [
        sweep
        for folder, sweep in archive.sweeps.items()
        if labels[folder] in chosen or len(runs) == len(archive.found)
    ]
    return [trial for sweep in sweeps for trial in sweep.trials]
