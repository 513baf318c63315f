"""Runs that have ended: their accuracies, what they cost, and which failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from resnet_sweep.comparison.paired import Values
from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.run_folder import read_config, read_result
from resnet_sweep.records.sweep_folder import EndedRun
from resnet_sweep.reporting.numbers import points
from resnet_sweep.reporting.statistics import pooled_noise

KNOWN_DATA = {"cifar10": "CIFAR-10, original images", "cifar10-jpeg": "CIFAR-10, JPEG copy"}


@dataclass(frozen=True)
class Trained:
    """The runs of some recipes.

    Args:
        names: of the recipes.
        runs: seed by seed every recipe, as planned.
        folder: of the comparison.
    """

    names: list[str]
    runs: list[EndedRun]
    folder: Path

    @property
    def values(self) -> Values:
        """Accuracies, float64 [recipes, seeds]; NaN where a run did not complete."""
        found = [np.nan if run.accuracy is None else run.accuracy for run in self.runs]
        return np.array(found, np.float64).reshape(-1, len(self.names)).T

    @property
    def num_completed(self) -> int:
        return sum(run.accuracy is not None for run in self.runs)

    def costs(self) -> list[dict[str, Any]]:
        """Return of each recipe what `costs` says of its completed runs."""
        done = [run for run in self.runs if run.accuracy is not None]
        dirs = [[self.folder / r.run_dir for r in done if r.configuration == n] for n in self.names]
        return [costs(run_dirs) if run_dirs else {} for run_dirs in dirs]

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


def costs(run_dirs: Sequence[Path]) -> dict[str, Any]:
    """Return the fields of a Row that say what completed runs of one recipe are and take.

    Raises:
        UserError: they are no runs of one recipe on the same images.
    """
    results = [read_result(run_dir) for run_dir in run_dirs]
    first = results[0]
    if len({(r.num_params, r.epochs, r.data_fingerprint) for r in results}) > 1:
        raise UserError(f"{', '.join(map(str, run_dirs))}: are no runs of one recipe")
    return {
        "num_params": first.num_params,
        "epochs": first.epochs,
        "train_seconds": median(r.train_seconds for r in results),
        "device": ", ".join(sorted({r.device for r in results})),
        "data": describe_data(read_config(run_dirs[0]).data),
    }


def describe_data(data: DataConfig) -> str:
    """Return which images these are: two copies of one set are two sets."""
    stem = data.name if data.name != "image_folder" or data.root is None else Path(data.root).name
    name = KNOWN_DATA.get(stem, stem)
    return name if data.train_subset is None else f"{name}, {data.train_subset:,} for training"
