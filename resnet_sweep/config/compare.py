"""Schema of the command `python -m resnet_sweep.compare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from resnet_sweep.config.errors import UserError, require, require_int, require_one_of
from resnet_sweep.config.workers import MOST_SEEDS, WorkersConfig

DESIGNS = ("recipes", "steps", "factors")
SPLITS = ("val", "test")


@dataclass
class CompareConfig(WorkersConfig):
    """A comparison, beside its workers: recipes, steps or factors must be given.

    Args:
        recipes: experiments of conf/experiment/ side by side, each against the first.
        steps: changes one after another: a file of conf/comparison/steps/, or the path of one.
        factors: many changes at once, in a fractional factorial design: a file of
            conf/comparison/factors/, or the path of one.
        split: val or test: the accuracy that is compared. Runs that read the test set train on
            all training images, unless data.val_size is given. Factors are chosen, so they have
            val alone.
        num_seeds: runs of each configuration; a larger number adds to what is there; of steps at
            least 2; null: 5, with factors 1.
        survivor_seeds: fresh seeds of each factor that survives, trained alone and all together;
            0: none; a larger number adds to what is there.
        folder: of the runs and the report; null: outputs/comparisons/ and a name.
    """

    recipes: list[str] = field(default_factory=list)
    steps: Optional[str] = None
    factors: Optional[str] = None
    split: str = "val"
    num_seeds: Optional[int] = None
    survivor_seeds: int = 10
    folder: Optional[str] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in DESIGNS if getattr(self, name) not in ([], None)]
        if len(given) != 1:
            shown = ", ".join(f"{name}={_shown(getattr(self, name))}" for name in given)
            raise UserError(f"{shown or 'no design'}: give one of recipes, steps and factors")
        require_one_of("split", self.split, SPLITS)
        least = 2 if self.steps is not None else 1
        require_int("num_seeds", self.num_seeds, least, MOST_SEEDS, or_null=True)
        if self.survivor_seeds != 0:
            require_int("survivor_seeds", self.survivor_seeds, 2, MOST_SEEDS)
        allowed = "must be val for factors: the test set chooses nothing"
        require(self.factors is None or self.split == "val", "split", self.split, allowed)
        twice = len(set(self.recipes)) < len(self.recipes)
        require(not twice, "recipes", _shown(self.recipes), "must name each once")
        require(self.folder != "", "folder", self.folder, "must be a folder")

    @property
    def design(self) -> str:
        return "recipes" if self.recipes else "steps" if self.steps is not None else "factors"

    @property
    def seeds(self) -> int:
        """num_seeds, or its default."""
        return self.num_seeds or (1 if self.factors is not None else 5)


def _shown(value: object) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
