"""Schemas of `hydra/sweeper=optuna`, its pruners and objectives; names as in hydra-optuna-sweeper.

Free of torch and of Optuna: Hydra loads this module in every program of the environment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Optional

from hydra.core.config_store import ConfigStore
from hydra_plugins.hydra_optuna_sweeper.config import SamplerConfig, TPESamplerConfig
from omegaconf import MISSING

from resnet_sweep.config.errors import require, require_int, require_number, require_one_of

if TYPE_CHECKING:
    from resnet_sweep.records.run_folder import EpochMetrics, RunResult

Direction = Literal["minimize", "maximize"]

# name -> direction; each is a field of RunResult.
OBJECTIVES: dict[str, Direction] = {
    "val_accuracy": "maximize",
    "val_loss": "minimize",
    "num_params": "minimize",
    "multiply_adds": "minimize",
    "train_seconds": "minimize",
}
# Objectives that are known after each epoch, so that a pruner can compare.
PER_EPOCH = ("val_accuracy", "val_loss")


@dataclass
class PrunerConfig:
    """Which trials end before their last epoch; fractions are of train.epochs."""

    name: str = "none"


@dataclass
class MedianConfig(PrunerConfig):
    """Below the median of the earlier trials at the same epoch.

    Args:
        startup_trials: that complete before the first is pruned.
        warmup: no trial is pruned before this fraction.
    """

    name: str = "median"
    startup_trials: int = 10
    warmup: float = 0.5

    def __post_init__(self) -> None:
        require_int("hydra.sweeper.pruner.startup_trials", self.startup_trials, 0)
        require_number("hydra.sweeper.pruner.warmup", self.warmup, 0, 1)


@dataclass
class AshaConfig(PrunerConfig):
    """Asynchronous successive halving (arXiv:1810.05934).

    Args:
        first_rung: fraction at which trials are compared for the first time.
        factor: one in `factor` goes on; the next rung lies `factor` times later.
    """

    name: str = "asha"
    first_rung: float = 1 / 3
    factor: int = 3

    def __post_init__(self) -> None:
        require_number("hydra.sweeper.pruner.first_rung", self.first_rung, 0, 1, open_low=True)
        require_int("hydra.sweeper.pruner.factor", self.factor, 2)


@dataclass
class HyperbandConfig(AshaConfig):
    """Several ASHA brackets (arXiv:1603.06560), the earliest from `first_rung` on."""

    name: str = "hyperband"


@dataclass
class PatientConfig(AshaConfig):
    """ASHA, but only trials without improvement over `patience` epochs end.

    Args:
        patience: epochs without improvement.
    """

    name: str = "patient"
    patience: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_int("hydra.sweeper.pruner.patience", self.patience, 0)


PRUNERS: dict[str, type[PrunerConfig]] = {
    "none": PrunerConfig,
    "median": MedianConfig,
    "asha": AshaConfig,
    "hyperband": HyperbandConfig,
    "patient": PatientConfig,
}


@dataclass
class SweeperConfig:
    """A sweep.

    Args:
        objectives: val_accuracy, val_loss, num_params, multiply_adds or train_seconds, one or
            several; each has its direction.
        direction: the packaged sweeper's option; null: from the objectives.
        storage: null: a journal file in the sweep folder; postgresql+psycopg://..., or
            grpc://host:port for Optuna's proxy.
        study_name: null: the time; the same name goes on with its sweep.
        folder: the sweep lies in folder/study_name.
        n_trials: completed, pruned and failed ones; rejected ones do not count.
        n_jobs: workers; null: one for each GPU, without one for each four CPU cores. Several on one
            GPU share its memory.
        max_failure_rate: a larger share of n_trials that failed ends the sweep.
        max_rejections: proposals in a row that one worker turns away before it gives up.
        params: overrides, plain or sweeping; the command line wins over them.
        custom_search_space: dotted path of a function (draws, trial) that suggests more: draws is a
            plain dict of values by override key, which it changes in place; what it raises ends
            the sweep.
        timeout_seconds: the sweep stops then, and can be resumed.
        trial_timeout_seconds: a trial that trains longer has failed.
        hours: plan n_trials and train.epochs for this time, and start no trial that exceeds it.
        noise_repeats: of the first configuration with fresh seeds, counted in n_trials; null:
            five from fifty trials on.
        rungs: epochs of shorter trainings, each with the whole schedule, that come before the
            one of train.epochs; the pruner compares at their ends.
        start_from: experiments or run folders that are trained first; null: the project's
            origin, where it lies in the space.
        extend_from: sweep folder whose trials join this study.
        dry_run: draw proposals, print what they would cost, store nothing.
        status_seconds: between two status lines where there is no terminal.
    """

    _target_: str = "resnet_sweep.sweep.plugin.OptunaSweeper"
    sampler: SamplerConfig = MISSING
    pruner: PrunerConfig = MISSING
    objectives: list[str] = field(default_factory=lambda: ["val_accuracy"])
    direction: Any = None
    storage: Optional[str] = None
    study_name: Optional[str] = None
    folder: str = "outputs/sweeps"
    n_trials: int = 100
    n_jobs: Optional[int] = None
    max_failure_rate: float = 1.0
    max_rejections: int = 5000
    params: dict[str, Any] = field(default_factory=dict)
    custom_search_space: Optional[str] = None
    timeout_seconds: Optional[float] = None
    trial_timeout_seconds: Optional[float] = None
    hours: Optional[float] = None
    noise_repeats: Optional[int] = None
    rungs: list[int] = field(default_factory=list)
    start_from: Optional[list[str]] = None
    extend_from: Optional[str] = None
    dry_run: bool = False
    status_seconds: float = 10.0

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_objectives()
        if not isinstance(self.pruner, PrunerConfig):  # a raw node while Hydra composes
            return
        self._check_pruner()

    def _check_pruner(self) -> None:
        name = self.pruner.name
        require_one_of("hydra.sweeper.pruner.name", name, PRUNERS)
        allowed = f"comes with the option: write hydra/sweeper/pruner={name}"
        fits = type(self.pruner) is PRUNERS[name]
        require(fits, "hydra.sweeper.pruner.name", name, allowed)
        several = len(self.objectives) > 1 and self.pruner.name != "none"
        allowed = "Optuna cannot prune with several objectives: add hydra/sweeper/pruner=none"
        require(not several, "hydra/sweeper/pruner", self.pruner.name, allowed)
        late = not self.rungs and self.objectives[0] not in PER_EPOCH and name != "none"
        allowed = f"must be none: {self.objectives[0]} is known only when a trial ends"
        require(not late, "hydra/sweeper/pruner", name, allowed)
        unused = bool(self.rungs) and self.pruner.name in ("none", "patient")
        allowed = "need a pruner that compares trials at their ends"
        require(not unused, "hydra.sweeper.rungs", self.rungs, allowed)

    def _check_numbers(self) -> None:
        name = self.study_name
        plain = name is None or (name not in ("", ".", "..") and "/" not in name)
        require(plain, "hydra.sweeper.study_name", name, "must be the name of a folder, without /")
        require(self.folder != "", "hydra.sweeper.folder", "''", "must be the name of a folder")
        require_int("hydra.sweeper.n_trials", self.n_trials, 1)
        require_int("hydra.sweeper.max_rejections", self.max_rejections, 1)
        require_number("hydra.sweeper.max_failure_rate", self.max_failure_rate, 0, 1)
        require_number("hydra.sweeper.status_seconds", self.status_seconds, 0, open_low=True)
        require_int("hydra.sweeper.n_jobs", self.n_jobs, 1, or_null=True)
        require_int("hydra.sweeper.noise_repeats", self.noise_repeats, 0, or_null=True)
        for name in ("timeout_seconds", "trial_timeout_seconds", "hours"):
            value = getattr(self, name)
            require_number(f"hydra.sweeper.{name}", value, 0, open_low=True, or_null=True)
        rising = all(a < b for a, b in zip(self.rungs, self.rungs[1:], strict=False))
        allowed = "must rise, the first at least 1"
        first = min(self.rungs, default=1)
        require(rising and first >= 1, "hydra.sweeper.rungs", self.rungs, allowed)

    def _check_objectives(self) -> None:
        key = "hydra.sweeper.objectives"
        require(bool(self.objectives), key, self.objectives, "must name at least one")
        for name in self.objectives:
            require_one_of(key, name, OBJECTIVES)
        twice = len(set(self.objectives)) < len(self.objectives)
        require(not twice, key, self.objectives, "must name each once")

    @property
    def directions(self) -> list[Direction]:
        return [OBJECTIVES[name] for name in self.objectives]

    @property
    def repeats(self) -> int:
        if self.noise_repeats is None:
            return 5 if self.n_trials >= 50 else 0
        return self.noise_repeats


def register_sweeper_schemas() -> None:
    """Store the schemas under schema/, apart from the options that users choose."""
    store = ConfigStore.instance()
    schemas = [("sweeper", "optuna", SweeperConfig), ("sampler", "tpe", TPESamplerConfig)]
    for group, name, schema in schemas:
        # A worker under Ray gets the store of the sweep, then imports this module.
        store.store(group=f"schema/{group}", name=name, node=schema, replace=True)
    for name, pruner in PRUNERS.items():
        store.store(group="schema/pruner", name=name, node=pruner, replace=True)


def objective_values(result: RunResult, objectives: Sequence[str]) -> list[float] | None:
    """Return one value for each objective; null where one is missing or not finite."""
    values = [getattr(result, name) for name in objectives]
    if any(value is None or not math.isfinite(value) for value in values):
        return None
    return [float(value) for value in values]


def epoch_value(metrics: EpochMetrics, objectives: Sequence[str]) -> float | None:
    """Return what to report after an epoch; null where nothing can be reported.

    Optuna takes no intermediate values for several objectives.
    """
    if len(objectives) != 1 or objectives[0] not in PER_EPOCH:
        return None
    value = getattr(metrics, objectives[0])
    return None if value is None else float(value)
