"""Runs that have ended: their accuracies, what they gain and cost, and which failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from resnet_sweep.comparison.factorial import Values, verdict
from resnet_sweep.comparison.planning import Recipes
from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.comparison import Row
from resnet_sweep.records.run_folder import read_config, read_result
from resnet_sweep.records.sweep_folder import EndedRun
from resnet_sweep.reporting.numbers import points
from resnet_sweep.reporting.statistics import (
    Comparison,
    mean_interval,
    paired_t_test,
    pooled_noise,
    sidak,
    t_quantile,
)


@dataclass(frozen=True)
class Trained:
    """The runs of some recipes.

    Args:
        runs: seed by seed every recipe, as planned.
        folder: of the comparison.
    """

    recipes: Recipes
    runs: list[EndedRun]
    folder: Path

    @property
    def values(self) -> Values:
        """Accuracies, float64 [recipes, seeds]; NaN where a run did not complete."""
        found = [np.nan if run.accuracy is None else run.accuracy for run in self.runs]
        return np.array(found, np.float64).reshape(-1, len(self.recipes.names)).T

    @property
    def num_completed(self) -> int:
        return sum(run.accuracy is not None for run in self.runs)

    def rows(self) -> list[Row]:
        """Return what each recipe attains, gains and costs."""
        done: dict[str, list[Path]] = {name: [] for name in self.recipes.names}
        for run in self.runs:
            if run.accuracy is not None:
                done[run.configuration].append(self.folder / run.run_dir)
        rows = compare_recipes(self.recipes.names, self.values, self.recipes.others)
        return [replace(row, **costs(done[row.name])) for row in rows]

    def notes(self) -> list[str]:
        """Return how many runs completed, which failed, and the noise between seeds."""
        seconds = sum(run.train_seconds or 0.0 for run in self.runs)
        done = f"{self.num_completed} of {len(self.runs)} runs completed"
        failures = [
            f"{run.run_dir} ({run.configuration}, seed {run.seed}): {run.reason}: {run.error}"
            for run in self.runs
            if run.accuracy is None
        ]
        rows = [row[np.isfinite(row)] for row in self.values]
        noise = pooled_noise([row for row in rows if len(row)]).sd
        spread = f"standard deviation between seeds, pooled: {points(noise, '.2f')} points"
        return [
            f"{done}, {seconds:,.0f} s of training",
            *failures,
            *([] if math.isnan(noise) else [spread]),
        ]


def compare_recipes(names: Sequence[str], values: Values, others: Sequence[int]) -> list[Row]:
    """Return recipes, each but the first compared with another one.

    Args:
        values: float64 [recipes, seeds]; NaN where a run did not complete.
        others: place of the recipe that each is compared with.
    """
    rows = enumerate(zip(names, others, strict=True))
    return [_row(k, name, values, other) for k, (name, other) in rows]


def _row(k: int, name: str, values: Values, other: int) -> Row:
    known = values[k][np.isfinite(values[k])]
    row = Row(
        name=name,
        verdict="" if len(known) else "all failed",
        num_failed=values.shape[1] - len(known),
        **asdict(mean_interval(known)),
    )
    gain, total = (_paired(values[k], values[j]) if k else None for j in (other, 0))
    if total is not None:
        row = replace(row, over_start=total.difference)
    if gain is None:
        return row
    # Half of an interval that all rows keep together, over half of one of this row alone.
    count, degrees = len(values) - 1, gain.n - 1
    wider = float(t_quantile(degrees, count) / t_quantile(degrees))
    low = gain.difference - (gain.difference - gain.low) * wider
    high = gain.difference + (gain.high - gain.difference) * wider
    return replace(
        row,
        verdict=verdict(low, high),
        gain=gain.difference,
        gain_low=gain.low,
        gain_high=gain.high,
        p_value=gain.p_value,
        all_low=low,
        all_high=high,
        all_p_value=sidak(gain.p_value, count),
    )


def _paired(first: Values, second: Values) -> Comparison | None:
    """Compare the seeds that both have; None: fewer than two."""
    both = np.isfinite(first) & np.isfinite(second)
    return paired_t_test(first[both], second[both]) if both.sum() > 1 else None


def costs(run_dirs: Sequence[Path]) -> dict[str, Any]:
    """Return the fields of a Row that say what completed runs of one recipe are and take.

    Raises:
        UserError: they are no runs of one recipe on the same images.
    """
    if not run_dirs:
        return {}
    results = [read_result(run_dir) for run_dir in run_dirs]
    first = results[0]
    if len({(r.num_params, r.epochs, r.data_fingerprint) for r in results}) > 1:
        raise UserError(f"{', '.join(map(str, run_dirs))}: are no runs of one recipe")
    return {
        "num_params": first.num_params,
        "epochs": first.epochs,
        "train_seconds": median(r.train_seconds for r in results),
        "device": ", ".join(sorted({f"{r.device} {r.precision or ''}".rstrip() for r in results})),
        "data": describe_data(read_config(run_dirs[0]).data),
    }


def describe_data(data: DataConfig) -> str:
    """Return which images these are: two copies of one set are two sets."""
    has_folder = data.name in ("image_folder", "arrays")
    name = Path(data.root).name if has_folder and data.root is not None else data.name
    return name if data.train_subset is None else f"{name}, {data.train_subset:,} for training"
