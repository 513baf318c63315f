"""Schema of the command `python -m resnet_sweep.confirm`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Optional

from resnet_sweep.config.errors import list_of, require, require_int
from resnet_sweep.config.workers import MOST_SEEDS, WorkersConfig

DEFAULT_NAME = "confirm"
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")  # as it stands on a command line, too


@dataclass
class ConfirmConfig(WorkersConfig):
    """A confirmation, beside its workers.

    Args:
        sweep: folder of the sweep; required.
        top_k: configurations that are retrained on a fresh split.
        num_seeds: fresh seeds for each of them there; at least 2.
        over_promise_k: of the best, how many are reseeded on the sweep's own split.
        num_over_promise_seeds: fresh seeds for each of them there; at least 2.
        num_test_seeds: fresh seeds of the chosen one, and of the baseline, on the test set; at
            least 5.
        baseline: experiment of the sweep's frozen conf/ that is trained beside the chosen one;
            null: none.
        all_data: the test stage lifts the sweep's data.train_subset.
        data_root: where the data lie now; null: where the sweep read them.
        distill_from: where the teacher lies now, or a list of such folders: each candidate takes
            the one that holds its net; null: where the sweep had it.
        name: folder in the sweep's folder; another name is another confirmation.
    """

    sweep: Optional[str] = None
    top_k: int = 5
    num_seeds: int = 3
    over_promise_k: int = 1
    num_over_promise_seeds: int = 5
    num_test_seeds: int = 5
    baseline: Optional[str] = "source"
    all_data: bool = True
    data_root: Optional[str] = None
    distill_from: Any = None
    name: str = DEFAULT_NAME

    def __post_init__(self) -> None:
        require(bool(self.sweep), "sweep", self.sweep, "must be the folder of a sweep")
        require_int("top_k", self.top_k, 1)
        require_int("num_seeds", self.num_seeds, 2, MOST_SEEDS)
        require_int("over_promise_k", self.over_promise_k, 1, self.top_k)
        require_int("num_over_promise_seeds", self.num_over_promise_seeds, 2, MOST_SEEDS)
        require_int("num_test_seeds", self.num_test_seeds, 5, MOST_SEEDS)
        allowed = "must be the name of a folder: letters from a to z, digits, _, - and ."
        require(bool(PLAIN_NAME.fullmatch(self.name)), "name", self.name, allowed)
        self.teachers()  # refuses what is no folder
        super().__post_init__()

    def teachers(self) -> list[str]:
        """Return the folders where teachers lie now."""
        given = self.distill_from
        return [] if given is None else list_of("distill_from", given)

    def questions(self) -> dict[str, Any]:
        """Return the options that decide what is trained, not how or where."""
        places = ("sweep", "name", "data_root", "distill_from")
        free = (*places, "n_jobs", "trial_timeout_seconds", "status_seconds")
        return {name: value for name, value in asdict(self).items() if name not in free}
