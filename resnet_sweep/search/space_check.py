"""What a user can get wrong in a search space, found before any trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import RandomSampler

from resnet_sweep.config.errors import UserError, did_you_mean
from resnet_sweep.records.identity import OUTCOME, differences, role_of
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.space import Condition, Parameter, SearchSpace, extremes, possible_values
from resnet_sweep.search.space_parsing import members, to_text

RANDOM_TRIES = 20
# The fields of the data that only the training sees.
_UNJUDGED = ("data.train_subset",)
_WHY_ONE = "it decides by which images a trial is judged"


def check_space(space: SearchSpace, composer: Composer) -> None:
    """Compose every parameter's choices or both of its ends, the others as they may be.

    Raises:
        UserError: a parameter that is not in the configuration, a choice that does not exist, a
            value that is not allowed, or a branch that no trial can take.
    """
    _check_one_judge(space)
    _check_data_of_options(space, composer)
    for parameter in space.parameters:
        if parameter.condition is not None:
            _check_condition(parameter.condition, composer)
    for parameter in space.reachable():
        for value in extremes(parameter.distribution):
            _check_value(space, composer, parameter, value)


def _check_one_judge(space: SearchSpace) -> None:
    """Refuse a space whose trials would be judged by different images."""
    conditional = [value.key for value in space.fixed if value.condition is not None]
    for key in (*(parameter.key for parameter in space.parameters), *conditional):
        if key.partition(".")[0] == "data" and key not in _UNJUDGED:
            raise UserError(f"search space: {key} must have one value in a sweep: {_WHY_ONE}")


def _check_data_of_options(space: SearchSpace, composer: Composer) -> None:
    """Refuse options that bring data of their own, as an experiment may."""
    for parameter in space.parameters:
        options = extremes(parameter.distribution) if parameter.key in composer.groups else []
        data = [composer.value({parameter.key: option}, "data") for option in options]
        for option, theirs in zip(options, data, strict=True):
            for path, before, after in differences(data[0], theirs, "data"):
                if role_of(path) == OUTCOME and path not in _UNJUDGED:
                    change = f"{path} would be {to_text(before)} and {to_text(after)}"
                    fixed = f"{_WHY_ONE}; fix it, as by data={data[0]['name']}"
                    raise UserError(f"search space: {parameter.key}={option}: {change}: {fixed}")


def _check_condition(condition: Condition, composer: Composer) -> None:
    known = composer.groups.get(condition.key)
    for value in condition.values:
        if known is not None and not set(members(value)) <= set(known):
            where = f"search_space.when.{condition.key}={value}"
            raise UserError(f"{where}: no such option; {did_you_mean(value, known)}")


def _check_value(space: SearchSpace, composer: Composer, parameter: Parameter, value: Any) -> None:
    """Compose this value with the first values of the other parameters, else with random ones.

    A value may need others than the first: no momentum goes without nesterov=false.
    """
    error = _error(composer, _first_values(space, parameter, value))
    if error is None:
        return
    for proposal in _random_proposals(space, parameter, value):
        if _error(composer, proposal) is None:
            return
    raise UserError(f"search space: {error}") from error


def _error(composer: Composer, assignments: Mapping[str, Any]) -> UserError | None:
    try:
        composer.config(assignments, seed=0)
    except UserError as error:
        return error
    return None


def _first_values(space: SearchSpace, parameter: Parameter, value: Any) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for each in space.parameters:
        if space.is_active(each.condition, drawn) or each is parameter:
            is_it = each is parameter
            drawn[each.key] = value if is_it else _first_value(each, parameter.condition)
    return space.complete(drawn)


def _first_value(parameter: Parameter, condition: Condition | None) -> Any:
    """Return the first value, or the first that lets a condition hold."""
    values = possible_values(parameter.distribution)
    if condition is None or condition.key != parameter.key:
        return values[0]
    return next((value for value in values if condition.allows(value)), values[0])


def _random_proposals(space: SearchSpace, parameter: Parameter, value: Any) -> list[dict[str, Any]]:
    condition = parameter.condition
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    decisive = [p for p in space.parameters if condition is not None and p.key == condition.key]
    for _ in range(RANDOM_TRIES):
        params = {p.name: _first_value(p, condition) for p in decisive} | {parameter.name: value}
        study.enqueue_trial(params)
    return [space.suggest(study.ask()) for _ in range(RANDOM_TRIES)]
