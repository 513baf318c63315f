"""What a user can have got wrong about a sweep and its space, found before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, product
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler

from resnet_sweep.config import Config
from resnet_sweep.config.compose import key_of, reject_unknown_keys
from resnet_sweep.config.errors import UserError, did_you_mean, require
from resnet_sweep.config.experiments import EXPERIMENT
from resnet_sweep.records.identity import OUTCOME, differences, role_of
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.conf_files import ConfFiles
from resnet_sweep.search.proposals import (
    DataShape,
    Proposal,
    Rejection,
    none_fits,
    propose,
    random_draws,
)
from resnet_sweep.search.samplers import build_sampler
from resnet_sweep.search.schema import SweeperConfig
from resnet_sweep.search.space import (
    EPOCHS,
    Condition,
    Parameter,
    SearchSpace,
    extremes,
    possible_values,
)
from resnet_sweep.search.space_parsing import members, target, to_text
from resnet_sweep.sweep.extension import old_settings
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


def fixed_length(config: DictConfig) -> tuple[bool, bool]:
    """Return whether the command line fixes n_trials, and whether train.epochs.

    Raises:
        ConfigError: both, although hydra.sweeper.hours is to plan one of them.
    """
    overrides = config.hydra.overrides
    given = {key_of(o) for o in (*overrides.hydra, *overrides.task)}
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
    if EPOCHS in [parameter.key for parameter in space.parameters]:  # trials differ in length
        pruner, hours = options.pruner.name, options.hours
        swept = "trials of one length, and train.epochs is swept"
        allowed = f"compares {swept}: hydra/sweeper/pruner=none"
        require(pruner == "none", "hydra/sweeper/pruner", pruner, allowed)
        allowed = "plans for trials of one length: fix train.epochs, which is swept"
        require(hours is None, "hydra.sweeper.hours", hours, allowed)
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


def check_choices(space: SearchSpace, files: ConfFiles) -> None:
    """Refuse options beside an experiment whose fields a trial would keep; drawn ones it does not.

    Raises:
        ConfigError: it names the fields.
    """
    drawn = {
        p.key: [to_text(choice) for choice in p.distribution.choices]
        for p in space.parameters
        if "." not in p.key and isinstance(p.distribution, CategoricalDistribution)
    }
    experiments = [[f"{EXPERIMENT}={name}"] for name in drawn.pop(EXPERIMENT, [])] or [[]]
    options = [(key, choice) for key, choices in drawn.items() for choice in choices]
    for experiment, (key, choice) in product(experiments, [("", ""), *options]):
        words = [*_set_fields(space, key, choice), *space.fixed_overrides, *experiment]
        files.refuse_choices_beside_experiments([*words, f"{key}={choice}"] if key else words)


def _set_fields(space: SearchSpace, group: str, choice: str) -> list[str]:
    """Return as overrides without a value the fields that every trial with an option sets."""
    conditions = [(each.key, each.condition) for each in space.parameters]
    conditions += [(each.key, each.condition) for each in space.fixed]
    return [
        f"{target(key)}="
        for key, condition in conditions
        if "." in key
        and (condition is None or (condition.key == group and condition.allows(choice)))
    ]


def check_rungs(rungs: list[int], epochs: int) -> None:
    """Raise ConfigError unless each rung is shorter than the whole training."""
    allowed = f"must be fewer than train.epochs={epochs}"
    require(max(rungs, default=0) < epochs, "hydra.sweeper.rungs", rungs, allowed)


def check_any_fits(space: SearchSpace, composer: Composer, shape: DataShape) -> None:
    """Draw at random until a net fits.

    Raises:
        UserError: none of many draws does.
    """
    rejections: list[Rejection] = []
    for draw in islice(random_draws(space), TRIAL_DRAWS):
        proposal = propose(composer, draw, None, shape)
        if isinstance(proposal, Proposal):
            return
        rejections.append(proposal)
    raise none_fits(rejections)


def plain_values(node: DictConfig) -> dict[str, Any]:
    """Return a mapping without interpolations."""
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return plain  # type: ignore[return-value]


RANDOM_TRIES = 20
# The fields of the data that only the training sees.
_TRAINING_ONLY = ("data.train_subset",)
_WHY_ONE = "it decides by which images a trial is judged"


def check_space(space: SearchSpace, composer: Composer) -> None:
    """Compose every parameter's choices or both of its ends, the others as they may be.

    Raises:
        UserError: a parameter that is not in the configuration, a choice that does not exist, a
            value that is not allowed, or a branch that no trial can take.
    """
    conditional = [value.key for value in space.fixed if value.condition is not None]
    for key in (*(parameter.key for parameter in space.parameters), *conditional):
        if key.partition(".")[0] == "data" and key not in _TRAINING_ONLY:
            raise UserError(f"search space: {key} must have one value in a sweep: {_WHY_ONE}")
    _check_data_of_options(space, composer)
    for condition in (p.condition for p in space.parameters if p.condition is not None):
        known = composer.groups.get(condition.key)
        for value in condition.values:
            if known is not None and not set(members(value)) <= set(known):
                where = f"search_space.when.{condition.key}={value}"
                raise UserError(f"{where}: no such option; {did_you_mean(value, known)}")
    for parameter in space.reachable():
        for value in extremes(parameter.distribution):
            _check_value(space, composer, parameter, value)


def _check_data_of_options(space: SearchSpace, composer: Composer) -> None:
    """Refuse options that bring data of their own, as an experiment may."""
    for parameter in space.parameters:
        options = extremes(parameter.distribution) if parameter.key in composer.groups else []
        data = [composer.value({parameter.key: option}, "data") for option in options]
        for option, theirs in zip(options, data, strict=True):
            for path, before, after in differences(data[0], theirs, "data"):
                if role_of(path) == OUTCOME and path not in _TRAINING_ONLY:
                    change = f"{path} would be {to_text(before)} and {to_text(after)}"
                    fixed = f"{_WHY_ONE}; fix it, as by data={data[0]['name']}"
                    raise UserError(f"search space: {parameter.key}={option}: {change}: {fixed}")


def _check_value(space: SearchSpace, composer: Composer, parameter: Parameter, value: Any) -> None:
    """Compose this value with the first values of the other parameters, else with random ones.

    A value may need others than the first: no momentum goes without nesterov=false.
    """
    drawn: dict[str, Any] = {}
    for each in space.parameters:
        if each is parameter:
            drawn[each.key] = value
        elif space.is_active(each.condition, drawn):
            drawn[each.key] = _first_value(each, parameter.condition)
    first_error = None
    for proposal in chain([space.complete(drawn)], _random_proposals(space, parameter, value)):
        try:
            composer.config(proposal, seed=0)
            return
        except UserError as error:
            first_error = first_error or error
    raise UserError(f"search space: {first_error}") from first_error


def _first_value(parameter: Parameter, condition: Condition | None) -> Any:
    """Return the first value, or the first that lets a condition hold."""
    values = possible_values(parameter.distribution)
    if condition is None or condition.key != parameter.key:
        return values[0]
    return next((value for value in values if condition.allows(value)), values[0])


def _random_proposals(
    space: SearchSpace, parameter: Parameter, value: Any
) -> Iterator[dict[str, Any]]:
    condition = parameter.condition
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    decisive = [p for p in space.parameters if condition is not None and p.key == condition.key]
    for _ in range(RANDOM_TRIES):
        params = {p.name: _first_value(p, condition) for p in decisive} | {parameter.name: value}
        study.enqueue_trial(params)
    for _ in range(RANDOM_TRIES):
        yield space.suggest(study.ask())
