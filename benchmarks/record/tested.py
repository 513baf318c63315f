"""The runs of a record that read the test set, and how they compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record.reading import naming, read_values
from benchmarks.record.recipes import describe_recipe
from resnet_sweep.comparison.attained import Attained, attained
from resnet_sweep.comparison.command import STUDY
from resnet_sweep.config import Config
from resnet_sweep.records.confirmation import FINDINGS
from resnet_sweep.records.run_folder import read_config, read_result
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.reporting.statistics import Comparison, paired_t_test, welch_test

SOURCE = "source"
MEASURED, SWEEP, CONFIRM = "measured", "sweep", "confirm"


@dataclass(frozen=True)
class Tested:
    """One recipe on the test set.

    Args:
        name: of the experiment, or of the sweep's trial.
        of_sweep: it was trained by the confirmation of the sweep.
        accuracies: by seed.
    """

    name: str
    of_sweep: bool
    config: Config
    accuracies: dict[int, float]
    attained: Attained

    @property
    def is_best(self) -> bool:
        return self.of_sweep and self.name.startswith("trial ")


def tested_recipes(folder: Path) -> list[Tested]:
    """Return every recipe of a record whose runs read the test set.

    Raises:
        UserError: runs of one name are no runs of one tested recipe, or a file is damaged.
    """
    confirmed = folder / SWEEP / CONFIRM
    sources = [
        (folder / MEASURED / "measured.json", folder / MEASURED / STUDY / RUNS, False),
        (confirmed / FINDINGS, confirmed, True),
    ]
    found: list[Tested] = []
    for path, runs, of_sweep in sources:
        if path.exists():
            with naming(path):
                found += _recipes(read_values(path), runs, of_sweep)
    return found


def _recipes(values: dict[str, Any], runs: Path, of_sweep: bool) -> Iterator[Tested]:
    groups: dict[str, list[Path]] = {}
    for run in values["runs"]:
        if run["accuracy"] is not None and run.get("stage", "test") == "test":
            name = run["configuration"]
            if not isinstance(name, str):
                raise TypeError(f"configuration is {name}, must be text")
            groups.setdefault(name, []).append(runs / run["run_dir"])
    for name, run_dirs in groups.items():
        configs = list(map(read_config, run_dirs))
        label = _label(name, of_sweep, configs[0])
        row = attained(label, run_dirs)
        results = map(read_result, run_dirs)
        pairs = zip(configs, results, strict=True)
        by_seed = {config.seed: float(result.test_accuracy or 0.0) for config, result in pairs}
        yield Tested(name, of_sweep, configs[0], by_seed, row)


def _label(name: str, of_sweep: bool, config: Config) -> str:
    if not of_sweep:
        return name
    if name.startswith("trial "):
        return f"best of the sweep ({name}): {describe_recipe(config)}"
    return f"{name}, beside the sweep"


def find(recipes: list[Tested], name: str, of_sweep: bool = False) -> Tested | None:
    found = (each for each in recipes if each.name == name and each.of_sweep == of_sweep)
    return next(found, None)


def gain(recipe: Tested, source: Tested) -> Comparison | None:
    """Return a recipe minus its source: by pairs where the seeds are the same.

    Null: they saw other images, or one of them has a single run.
    """
    one, two = recipe.accuracies, source.accuracies
    if recipe.attained.data != source.attained.data or min(len(one), len(two)) < 2:
        return None
    if one.keys() == two.keys():
        seeds = sorted(one)
        return paired_t_test(np.array([one[s] for s in seeds]), np.array([two[s] for s in seeds]))
    return welch_test(np.array(list(one.values())), np.array(list(two.values())))
