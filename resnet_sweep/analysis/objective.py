"""What runs are ordered by, and in which direction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from resnet_sweep.analysis.filters import TEST_COLUMNS
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.sweep_folder import SweepRecord
from resnet_sweep.reporting.numbers import cut_to_fractions

PEAK_MEMORY = "peak_memory_bytes"
DEFAULT_OBJECTIVE = "val_accuracy"
UNITS = {
    "val_accuracy": "validation accuracy (fraction)",
    "objective": "what each run's own record calls its objective",
    "val_loss": "validation cross-entropy (nats)",
    "num_params": "parameters",
    "multiply_adds": "multiply-adds of one image's forward pass",
    "train_seconds": "training time (s)",
    "images_per_second": "training speed (images/s)",
    PEAK_MEMORY: "peak memory (bytes)",
}
MAXIMIZED = frozenset({"val_accuracy", "images_per_second"})


@dataclass(frozen=True)
class Objective:
    """A column of the runs table that is to be large (`sign` 1) or small (-1)."""

    column: str
    sign: int

    @property
    def label(self) -> str:
        return UNITS.get(self.column, self.column)

    @property
    def is_accuracy(self) -> bool:
        return self.column in ("val_accuracy", "test_accuracy")

    def show(self, value: float) -> str:
        return f"{value:.4f}" if self.is_accuracy else f"{value:.6g}"

    def interval(self, low: float, high: float) -> str:
        """Return the ends of an interval; no accuracy lies beyond 0 or 1, so they are cut there."""
        if self.is_accuracy:
            low, high = cut_to_fractions(low, high)
        return f"{self.show(low)} to {self.show(high)}"

    def best_first(self, table: pd.DataFrame, column: str | None = None) -> pd.DataFrame:
        """Return the rows ordered from the best; missing values last."""
        return table.sort_values(column or self.column, ascending=self.sign < 0, kind="stable")


TEST = Objective("test_accuracy", 1)  # only reported


def choose_objective(
    name: str | None, sweeps: Iterable[SweepRecord], runs: pd.DataFrame
) -> Objective:
    """Return the objective asked for, the one that all sweeps share, or validation accuracy.

    Raises:
        UserError: an unknown one, one that no run has, or one that would select on the test set.
    """
    if name is None:
        named = [record.objectives for record in sweeps if record.objectives]
        # a sweep is ordered by accuracy wherever it is among several objectives
        firsts = {DEFAULT_OBJECTIVE if DEFAULT_OBJECTIVE in each else each[0] for each in named}
        name = firsts.pop() if len(firsts) == 1 else DEFAULT_OBJECTIVE
        known = name in UNITS and (name != PEAK_MEMORY or runs[name].notna().any())
        name = name if known else DEFAULT_OBJECTIVE
    if name == "objective":
        name = _recorded_objective(runs)
    if name in TEST_COLUMNS:
        raise UserError(f"objective={name}: the test set is only reported, it never selects")
    if name not in UNITS:
        raise UserError(f"objective={name}: must be one of {', '.join(UNITS)}")
    if name == PEAK_MEMORY and runs[name].isna().all():
        raise UserError(f"objective={name}: none of the runs has one")
    return Objective(name, 1 if name in MAXIMIZED else -1)


def _recorded_objective(runs: pd.DataFrame) -> str:
    """Return what the runs' own records call their objective: its direction follows from that."""
    names = sorted(runs.loc[runs["objective"].notna(), "objective_name"].dropna().unique())
    if len(names) > 1:
        apart = f"the runs were judged by {', '.join(names)}: name one of them"
        raise UserError(f"objective=objective: {apart}")
    return str(names[0]) if names else DEFAULT_OBJECTIVE
