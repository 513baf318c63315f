"""One planned run, as a command that trains fixed runs records it.

Free of Optuna and torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class EndedRun:
    """One planned run, as it ended.

    Args:
        configuration: whose it is.
        state, reason, error: as in records.sweep_folder.
        accuracy: null where the run did not complete.
        run_dir: name of its folder among the runs.
    """

    configuration: str
    seed: int
    state: str
    reason: Optional[str]
    error: Optional[str]
    accuracy: Optional[float]
    train_seconds: Optional[float]
    run_dir: str
