"""Schemas of the commands `python -m resnet_sweep.screen` and `python -m resnet_sweep.ablate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from resnet_sweep.errors import require, require_int, require_number

MOST_SEEDS = 1000


@dataclass
class EffectsConfig:
    """What both commands ask for.

    Args:
        num_seeds: runs of each configuration; a larger number adds to what is there.
        folder: of the runs and the report; null: outputs/ and the name of the file.
        n_jobs: workers; null: as in a sweep.
        trial_timeout_seconds: a run that trains longer has failed.
        status_seconds: between two status lines where there is no terminal.
    """

    num_seeds: int = 5
    folder: Optional[str] = None
    n_jobs: Optional[int] = None
    trial_timeout_seconds: Optional[float] = None
    status_seconds: float = 10.0

    def __post_init__(self) -> None:
        require_int("num_seeds", self.num_seeds, 1, MOST_SEEDS)
        require(self.folder != "", "folder", self.folder, "must be a folder")
        if self.n_jobs is not None:
            require_int("n_jobs", self.n_jobs, 1)
        if self.trial_timeout_seconds is not None:
            seconds = self.trial_timeout_seconds
            require_number("trial_timeout_seconds", seconds, 0, open_low=True)
        require_number("status_seconds", self.status_seconds, 0, open_low=True)


@dataclass
class ScreenConfig(EffectsConfig):
    """A screening.

    Args:
        factors: a file of conf/screening/, or the path of one of your own.
    """

    num_seeds: int = 1
    factors: str = "ingredients"


@dataclass
class AblateConfig(EffectsConfig):
    """An ablation.

    Args:
        steps: a file of conf/ablation/, or the path of one of your own.
    """

    steps: str = "source_to_best"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("num_seeds", self.num_seeds, 2, MOST_SEEDS)


@dataclass
class MeasureConfig(EffectsConfig):
    """Recipes on the test set.

    Args:
        experiments: of conf/experiment/, decided on before.
    """

    experiments: list[str] = field(default_factory=lambda: ["source"])

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.experiments), "experiments", self.experiments, "must name some")
        twice = len(set(self.experiments)) < len(self.experiments)
        require(not twice, "experiments", self.experiments, "must name each once")
