"""What every command that trains with a sweep's workers lets its user say about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from resnet_sweep.config.errors import require_int, require_number

MOST_SEEDS = 1000


@dataclass
class WorkersConfig:
    """The workers.

    Args:
        n_jobs: workers; null: one for each GPU, without one for each 4 CPU cores; as jobs of
            a cluster 1.
        trial_timeout_seconds: a run that trains longer has failed; null: no limit.
        status_seconds: between two status lines where there is no terminal.
    """

    n_jobs: Optional[int] = None
    trial_timeout_seconds: Optional[float] = None
    status_seconds: float = 10.0

    def __post_init__(self) -> None:
        require_int("n_jobs", self.n_jobs, 1, or_null=True)
        seconds = self.trial_timeout_seconds
        require_number("trial_timeout_seconds", seconds, 0, open_low=True, or_null=True)
        require_number("status_seconds", self.status_seconds, 0, open_low=True)
