"""Schemas of `screen`, `follow_up`, `ablate` and `measure` of `python -m resnet_sweep.`"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from resnet_sweep.config.errors import require, require_int
from resnet_sweep.config.workers import MOST_SEEDS, WorkersConfig


@dataclass
class EffectsConfig(WorkersConfig):
    """What all of them ask for, beside the workers.

    Args:
        num_seeds: runs of each configuration; a larger number adds to what is there.
        folder: of the runs and the report; null: outputs/ and the name of the file.
    """

    num_seeds: int = 5
    folder: Optional[str] = None

    def __post_init__(self) -> None:
        require_int("num_seeds", self.num_seeds, 1, MOST_SEEDS)
        require(self.folder != "", "folder", self.folder, "must be a folder")
        super().__post_init__()


@dataclass
class ScreenConfig(EffectsConfig):
    """A screening.

    Args:
        factors: a file of conf/screenings/, or the path of one of your own.
    """

    num_seeds: int = 1
    factors: str = "ingredients"


@dataclass
class FollowUpConfig(EffectsConfig):
    """The survivors of a screening with more seeds.

    Args:
        screening: folder of one that has ended.
    """

    num_seeds: int = 10
    screening: Optional[str] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("num_seeds", self.num_seeds, 2, MOST_SEEDS)
        allowed = "must be the folder of a screening, such as outputs/screenings/ingredients"
        require(bool(self.screening), "screening", self.screening, allowed)


@dataclass
class AblateConfig(EffectsConfig):
    """An ablation.

    Args:
        steps: a file of conf/ablations/, or the path of one of your own.
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
        require(bool(self.experiments), "experiments", self.experiments, "must name at least one")
        twice = len(set(self.experiments)) < len(self.experiments)
        require(not twice, "experiments", self.experiments, "must name each once")
