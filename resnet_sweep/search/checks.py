"""What a user can have got wrong about a sweep, found before anything is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf

from resnet_sweep.config import Config
from resnet_sweep.config.compose import reject_unknown_keys
from resnet_sweep.config.errors import require
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.extension import old_settings
from resnet_sweep.search.proposal import DataShape, Proposal, none_fits, propose
from resnet_sweep.search.schema import SweeperConfig
from resnet_sweep.search.searching import build_sampler
from resnet_sweep.search.space import EPOCHS, SearchSpace
from resnet_sweep.search.space_check import check_space
from resnet_sweep.workers.launchers import visible_gpus
from resnet_sweep.workers.storage import connect
from resnet_sweep.workers.worker import load_function

TRIAL_DRAWS = 2000


def read_options(config: DictConfig) -> SweeperConfig:
    """Return the checked node hydra.sweeper.

    Raises:
        UserError: a value that is not allowed.
    """
    reject_unknown_keys(config.hydra.sweeper, "hydra.sweeper.")
    options = OmegaConf.to_object(config.hydra.sweeper)
    assert isinstance(options, SweeperConfig)
    given = options.direction
    directions = given if isinstance(given, list) else [given]
    allowed = f"follows from the objectives: {', '.join(options.directions)}"
    fits = given is None or list(map(str, directions)) == options.directions
    require(fits, "hydra.sweeper.direction", given, allowed)
    return options


def sweep_folder(config: DictConfig, options: SweeperConfig, name: str) -> Path:
    """Return where the sweep lies: hydra.sweep.dir where the command line gives it."""
    given = [o for o in config.hydra.overrides.hydra if o.startswith("hydra.sweep.dir=")]
    return Path(config.hydra.sweep.dir) if given else Path(options.folder) / name


def fixed_length(config: DictConfig) -> tuple[bool, bool]:
    """Return whether the command line fixes n_trials, and whether train.epochs.

    Raises:
        ConfigError: both, although hydra.sweeper.hours is to plan one of them.
    """
    overrides = config.hydra.overrides
    given = {o.partition("=")[0].lstrip("+") for o in (*overrides.hydra, *overrides.task)}
    has_trials, has_epochs = "hydra.sweeper.n_trials" in given, "train.epochs" in given
    allowed = "plans hydra.sweeper.n_trials or train.epochs: give one of them at most"
    hours = config.hydra.sweeper.hours
    require(not (has_trials and has_epochs), "hydra.sweeper.hours", hours, allowed)
    return has_trials, has_epochs


def check_sweep(
    options: SweeperConfig, space: SearchSpace, base: Config, composer: Composer
) -> None:
    """Try whatever can be tried without data and workers.

    Raises:
        UserError: what is wrong.
    """
    check_swept_epochs(options, space)
    if options.hours is None:
        check_rungs(options.rungs, base.train.epochs)
    needs_val = any(name.startswith("val_") for name in options.objectives)
    allowed = "the objective needs a validation part"
    require(base.data.val_size > 0 or not needs_val, "data.val_size", 0, allowed)
    load_function(options.custom_search_space)
    build_sampler(vars(options.sampler), space, 0, 0)
    if options.storage is not None and not options.dry_run:  # which stores nothing
        connect(options.storage)
    if options.extend_from is not None:
        old_settings(Path(options.extend_from))
    check_space(space, composer)


def check_device(name: str) -> None:
    """Raise ConfigError where the workers of this machine cannot have this device; no torch."""
    allowed = "no NVIDIA GPU is listed or visible on this machine; take cpu"
    require(name != "cuda" or bool(visible_gpus()), "train.device", name, allowed)
    allowed = "this machine has no Apple GPU; take cpu"
    require(name != "mps" or sys.platform == "darwin", "train.device", name, allowed)


def check_swept_epochs(options: SweeperConfig, space: SearchSpace) -> None:
    """Raise ConfigError where trials differ in length and something counts on their likeness."""
    if EPOCHS not in [parameter.key for parameter in space.parameters]:
        return
    pruner = options.pruner.name
    allowed = "compares trials of one length, and train.epochs is swept: hydra/sweeper/pruner=none"
    require(pruner == "none", "hydra/sweeper/pruner", pruner, allowed)
    allowed = "plans for trials of one length: fix train.epochs, which is swept"
    require(options.hours is None, "hydra.sweeper.hours", options.hours, allowed)


def check_rungs(rungs: list[int], epochs: int) -> None:
    """Raise ConfigError unless each rung is shorter than the whole training."""
    allowed = f"must be fewer than train.epochs={epochs}"
    require(max(rungs, default=0) < epochs, "hydra.sweeper.rungs", rungs, allowed)


def check_any_fits(space: SearchSpace, composer: Composer, shape: DataShape) -> None:
    """Draw at random until a net fits.

    Raises:
        UserError: none of many draws does.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    proposals: list[Proposal] = []
    for _ in range(TRIAL_DRAWS):
        proposals.append(propose(composer, space.suggest(study.ask()), None, shape))
        if proposals[-1].verdict.accepted:
            return
    raise none_fits(proposals)


def plain_values(node: DictConfig) -> dict[str, Any]:
    """Return a mapping without interpolations."""
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return plain  # type: ignore[return-value]
