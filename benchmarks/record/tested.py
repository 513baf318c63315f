"""The runs of a record that read the test set, and how they compare."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.record.comparisons import TEST, find_comparison
from benchmarks.record.reading import naming, read_values
from benchmarks.record.recipes import describe_recipe
from resnet_sweep.comparison.trained import compare_recipes, costs
from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.comparison import Row
from resnet_sweep.records.confirmation import FINDINGS
from resnet_sweep.records.run_folder import read_config, read_result
from resnet_sweep.reporting.statistics import Comparison, mean_interval, paired_t_test, welch_test

SWEEP, CONFIRM = "sweep", "confirm"


@dataclass(frozen=True)
class Tested:
    """One recipe on the test set.

    Args:
        name: of the experiment, or of the sweep's trial.
        of_sweep: it was trained by the confirmation of the sweep.
        is_start: it is the recipe that the others are compared with, the comparison's first.
        accuracies: by seed.
        images: fingerprint of the data set, and how many of it train; null: all.
    """

    name: str
    of_sweep: bool
    is_start: bool
    config: Config
    accuracies: dict[int, float]
    images: tuple[str, int | None]
    row: Row

    @property
    def is_best(self) -> bool:
        return self.of_sweep and self.name.startswith("trial ")


def tested_recipes(folder: Path) -> list[Tested]:
    """Return every recipe of a record whose runs read the test set.

    Raises:
        UserError: runs of one name are no runs of one tested recipe, or a file is damaged.
    """
    confirmed = folder / SWEEP / CONFIRM
    found: list[Tested] = []
    compared = find_comparison(folder, TEST)
    if compared is not None:
        done = [run for run in compared.runs if run.accuracy is not None]
        pairs = [(run.configuration, folder / TEST / run.run_dir) for run in done]
        found += _recipes(pairs, compared.plan.recipes[0])
    path = confirmed / FINDINGS
    if path.exists():
        with naming(path):
            runs = [run for run in read_values(path)["runs"] if run["stage"] == "test"]
            done = [run for run in runs if run["accuracy"] is not None]
            pairs = [(run["configuration"], confirmed / run["run_dir"]) for run in done]
            found += _recipes(pairs, None)
    return found


def _recipes(runs: list[tuple[str, Path]], start: str | None) -> Iterator[Tested]:
    """Yield recipes with their runs; without a start they are those of a confirmation."""
    of_sweep = start is None
    groups: dict[str, list[Path]] = {}
    for name, run_dir in runs:
        if not isinstance(name, str):
            raise TypeError(f"configuration is {name}, must be text")
        groups.setdefault(name, []).append(run_dir)
    for name, run_dirs in groups.items():
        configs = list(map(read_config, run_dirs))
        by_seed: dict[int, float] = {}
        fingerprint = ""
        for config, run_dir in zip(configs, run_dirs, strict=True):
            result = read_result(run_dir)
            if result.test_accuracy is None:
                raise UserError(f"{run_dir}: did not read the test set")
            by_seed[config.seed] = result.test_accuracy
            fingerprint = result.data_fingerprint  # of all: `costs` looks
        mean = mean_interval(list(by_seed.values()))
        row = Row(
            _label(name, of_sweep, configs[0]),
            mean.n,
            "",
            mean=mean.mean,
            sd=mean.sd,
            low=mean.low,
            high=mean.high,
            **costs(run_dirs),
        )
        images = (fingerprint, configs[0].data.train_subset)
        yield Tested(name, of_sweep, name == start, configs[0], by_seed, images, row)


def _label(name: str, of_sweep: bool, config: Config) -> str:
    if not of_sweep:
        return name
    if name.startswith("trial "):
        return f"best of the sweep ({name}): {describe_recipe(config)}"
    return f"{name}, beside the sweep"


def find_start(recipes: list[Tested]) -> Tested | None:
    """Return the recipe that the others are compared with; None: no run of it was completed."""
    return next((each for each in recipes if each.is_start), None)


def gains(recipes: list[Tested]) -> dict[str, Row]:
    """Return what each recipe of the comparison gains over its first, as compare finds it.

    Left out: recipes that saw other images; all, where no run of the first was completed.
    """
    start = find_start(recipes)
    if start is None:
        return {}
    others = [each for each in recipes if not each.of_sweep and each is not start]
    alike = [start, *(each for each in others if each.images == start.images)]
    seeds = sorted(set().union(*(each.accuracies for each in alike)))
    values = [[each.accuracies.get(seed, np.nan) for seed in seeds] for each in alike]
    names = [each.name for each in alike]
    rows = compare_recipes(names, np.array(values), [0] * len(names))
    return {row.name: row for row in rows[1:] if not math.isnan(row.gain)}


def gain(recipe: Tested, start: Tested) -> Comparison | None:
    """Return a recipe minus the start: by pairs where the seeds are the same.

    Null: they saw other images, or one of them has a single run.
    """
    one, two = recipe.accuracies, start.accuracies
    if recipe.images != start.images or min(len(one), len(two)) < 2:
        return None
    if one.keys() == two.keys():
        seeds = sorted(one)
        return paired_t_test(np.array([one[s] for s in seeds]), np.array([two[s] for s in seeds]))
    return welch_test(np.array(list(one.values())), np.array(list(two.values())))
