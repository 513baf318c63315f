"""The parameters of a sweep: which there are, what each draws from, and when.

Built by space_building.py. Free of torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.trial import BaseTrial

from resnet_sweep.config.errors import UserError
from resnet_sweep.search.space_parsing import members, to_text

EPOCHS = "train.epochs"  # an axis of its own: it decides how long trials are


@dataclass(frozen=True)
class Condition:
    """Holds where `key` has one of `values`, or a list with one of them in it."""

    key: str
    values: tuple[str, ...]

    def holds(self, assignments: Mapping[str, Any]) -> bool:
        if self.key not in assignments:
            return False
        return self.allows(assignments[self.key])

    def allows(self, value: Any) -> bool:
        return to_text(value) in self.values or not set(members(value)).isdisjoint(self.values)


@dataclass(frozen=True)
class Parameter:
    """What a trial draws.

    Args:
        name: in the study: the key, or `key@choice` where the range depends on a choice.
        key: on the command line.
    """

    name: str
    key: str
    distribution: BaseDistribution
    condition: Condition | None = None


@dataclass(frozen=True)
class FixedValue:
    """A value that every trial has, or every trial of a branch."""

    key: str
    text: str
    override: str
    condition: Condition | None = None


@dataclass(frozen=True)
class SearchSpace:
    """Parameters, conditional ones behind those that decide about them, and fixed values."""

    parameters: tuple[Parameter, ...]
    fixed: tuple[FixedValue, ...] = ()

    @property
    def fixed_overrides(self) -> list[str]:
        """The overrides that hold for every trial."""
        return [value.override for value in self.fixed if value.condition is None]

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Draw a proposal: values by override key, group choices included.

        Conditional parameters are drawn in their branch alone.
        """
        drawn: dict[str, Any] = {}
        for parameter in self.parameters:
            if self.is_active(parameter.condition, drawn):
                drawn[parameter.key] = _draw(trial, parameter)
        return self.complete(drawn)

    def assignments(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return by override key what a trial of these study parameters drew."""
        by_name = {parameter.name: parameter.key for parameter in self.parameters}
        unknown = [name for name in params if name not in by_name]
        if unknown:
            raise UserError(f"{unknown[0]}: is no parameter of this search space")
        return self.complete({by_name[name]: value for name, value in params.items()})

    def complete(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Return drawn values together with the fixed ones of their branches."""
        known = self._known(drawn)
        branch = (value for value in self.fixed if value.condition is not None)
        return drawn | {v.key: v.text for v in branch if v.condition and v.condition.holds(known)}

    def is_active(self, condition: Condition | None, drawn: Mapping[str, Any]) -> bool:
        return condition is None or condition.holds(self._known(drawn))

    def _known(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        return {v.key: v.text for v in self.fixed if v.condition is None} | dict(drawn)

    def reachable(self) -> list[Parameter]:
        """Return the parameters that some trial can draw."""
        return [p for p in self.parameters if p.condition is None or self.can_hold(p.condition)]

    def can_hold(self, condition: Condition) -> bool:
        """Return whether any trial can meet a condition."""
        texts = [value.text for value in self.fixed if value.key == condition.key]
        drawn = (p.distribution for p in self.parameters if p.key == condition.key)
        values = [*texts, *(value for each in drawn for value in possible_values(each))]
        return any(map(condition.allows, values))

    def describe(self) -> dict[str, str]:
        """Return by study name what each parameter draws from, and what is fixed in a branch."""
        texts: dict[str, str] = {}
        for p in self.reachable():
            texts[p.name] = describe_distribution(p.distribution)
            if p.condition is not None:
                texts[p.name] += f" where {p.condition.key}={'|'.join(p.condition.values)}"
        return texts | {v.key: v.text for v in self.fixed if v.condition is not None}

    def to_json(self) -> str:
        """Return the whole space as text; see from_json."""
        parameters = [
            {**_to_json(p), "distribution": json.loads(distribution_to_json(p.distribution))}
            for p in self.parameters
        ]
        return json.dumps({"parameters": parameters, "fixed": [_to_json(v) for v in self.fixed]})

    @classmethod
    def from_json(cls, text: str) -> SearchSpace:
        content = json.loads(text)
        for entry in (*content["parameters"], *content["fixed"]):
            given = entry["condition"]
            entry["condition"] = given and Condition(given["key"], tuple(given["values"]))
        for entry in content["parameters"]:
            entry["distribution"] = json_to_distribution(json.dumps(entry["distribution"]))
        parameters = tuple(Parameter(**entry) for entry in content["parameters"])
        return cls(parameters, tuple(FixedValue(**entry) for entry in content["fixed"]))


def _to_json(entry: Parameter | FixedValue) -> dict[str, Any]:
    return {**vars(entry), "condition": entry.condition and vars(entry.condition)}


def _draw(trial: BaseTrial, parameter: Parameter) -> Any:
    name, distribution = parameter.name, parameter.distribution
    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
    raise AssertionError(f"no draw from {distribution}")


def describe_distribution(distribution: BaseDistribution) -> str:
    """Return a distribution in the words of the command line."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return f"choice({', '.join(map(to_text, choices))})"
        case IntDistribution(low=low, high=high) | FloatDistribution(low=low, high=high):
            whole = isinstance(distribution, IntDistribution) and distribution.step == 1
            every = "" if whole or not distribution.step else f" by {distribution.step}"
            return f"{low}..{high}{every}{' log' if distribution.log else ''}"
    raise AssertionError(f"no words for {distribution}")


def extremes(distribution: BaseDistribution) -> list[Any]:
    """Return every choice, or both ends."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return list(choices)
        case IntDistribution(low=low, high=high) | FloatDistribution(low=low, high=high):
            return [low, high]
    raise AssertionError(f"no ends of {distribution}")


def every_value(distribution: BaseDistribution) -> list[Any] | None:
    """Return all that a distribution can draw; None: an interval."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return list(choices)
        case IntDistribution(low=low, high=high, step=step):
            return list(range(low, high + 1, step))
        case FloatDistribution(low=low, high=high, step=float(step)):
            return [low + i * step for i in range(round((high - low) / step) + 1)]
    return None


def possible_values(distribution: BaseDistribution) -> Sequence[Any]:
    """Return every choice or whole number, or both ends."""
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    return extremes(distribution)
