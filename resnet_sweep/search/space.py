"""The parameters of a sweep: which there are, what each draws from, and when.

Built from YAML and the command line, which wins. Free of torch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from hydra.core.override_parser.types import Override
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.trial import BaseTrial

from resnet_sweep.config.compose import SCHEMAS, schema_of
from resnet_sweep.config.errors import ConfigError, UserError, did_you_mean
from resnet_sweep.search.space_parsing import (
    members,
    parse_override,
    replaced_by,
    shown_value,
    target,
    to_distribution,
    to_text,
)

EXAMPLE = "model.base_width=range(8,17,4)"
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

    @classmethod
    def build(cls, space: Mapping[str, Any], overrides: Iterable[str]) -> SearchSpace:
        """Return the space of a `search_space` node and of overrides, which win over it.

        Args:
            space: the keys `fixed`, `parameters` and `when`.
            overrides: `key=value` lines, sweeps or not; of one key the last counts.

        Raises:
            UserError: a line cannot be read, or nothing is left to draw.
        """
        # `+` and `++` are no part of a key; `~key` and `key=value` are two things.
        last = {o.get_key_element().lstrip("+"): o for o in map(parse_override, overrides)}
        for override in last.values():
            if (
                override.key_or_group.split(".")[0] == "search_space"
                and override.is_sweep_override()
            ):
                allowed = "is no sweep: several spaces are a list, search_space=[architecture,init]"
                raise ConfigError(override.key_or_group, shown_value(override), allowed)
        given = [o for o in last.values() if o.key_or_group.split(".")[0] not in NOT_OF_A_RUN]
        entries = _read_space(space)
        swept = [entry.key for entry in entries if entry.is_sweep]
        entries = [
            e for e in entries if e.is_sweep or not any(replaced_by(e.key, k) for k in swept)
        ]
        entries, given = _replace_named(_named(entries), given)
        given_keys = [override.key_or_group for override in given]
        kept = [e for e in entries if not any(replaced_by(e.key, key) for key in given_keys)]
        choices = _group_choices(kept, given)
        conditions = _conditions(entries, given)
        kept = [entry for entry in kept if _has_place(entry, given)]
        parameters = [
            Parameter(e.name, e.key, to_distribution(e.override), e.condition)
            for e in kept
            if e.is_sweep
        ]
        fixed = [_fixed(entry.override, None) for entry in kept if not entry.is_sweep]
        for override in given:
            _add_given(override, choices, conditions, parameters, fixed)
        if not parameters:
            raise UserError(f"search_space: is empty; choose one, or sweep a field: {EXAMPLE}")
        _check_conditions(parameters, fixed)
        return cls(_ordered(parameters), tuple(fixed))

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


SECTIONS = ("fixed", "parameters", "when")
_GROUPS = {*SCHEMAS, "augmentation"}
NOT_OF_A_RUN = ("search_space", "hydra")


@dataclass(frozen=True)
class _Entry:
    """One line of a space."""

    override: Override
    condition: Condition | None = None
    is_sweep: bool = True
    name: str = ""  # in the study

    @property
    def key(self) -> str:
        return self.override.key_or_group


def _read_space(space: Mapping[str, Any]) -> list[_Entry]:
    for section in space:
        if section not in SECTIONS:
            raise UserError(f"search_space.{section}: {did_you_mean(str(section), SECTIONS)}")
    fixed, parameters, when = (_mapping(space.get(n), f"search_space.{n}") for n in SECTIONS)
    entries = [_Entry(_line(key, value), is_sweep=False) for key, value in fixed.items()]
    entries += [_Entry(_line(key, value)) for key, value in parameters.items()]
    for condition, branch in when.items():
        key, _, value = condition.partition("=")
        where = f"search_space.when.{condition}"
        if not value:
            raise UserError(f"{where}: must be a choice such as optimizer=sgd")
        holds = Condition(key.strip(), (value.strip(),))
        entries += [_Entry(_line(k, line), holds) for k, line in _mapping(branch, where).items()]
    # A parameter never has other values than its own; a group has options beyond those drawn.
    drawn = {e.key: e.override for e in entries if e.is_sweep and e.key not in _GROUPS}
    for holds in (e.condition for e in entries if e.condition and e.condition.key in drawn):
        values = possible_values(to_distribution(drawn[holds.key]))
        if not any(map(holds.allows, values)):
            text, known = holds.values[0], map(to_text, values)
            reason = f"{holds.key} never is {text}; {did_you_mean(text, known)}"
            raise UserError(f"search_space.when.{holds.key}={text}: {reason}")
    return entries


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, (dict, type(None))):
        raise UserError(f"{where}: must be a mapping of parameters to what they draw from")
    return {str(key): entry for key, entry in (value or {}).items()}


def _line(key: str, value: Any) -> Override:
    override = parse_override(f"{key}={to_text(value)}")
    if override.package is not None:
        raise UserError(
            f"{key}: is a name that the search space gives; write {override.key_or_group}"
        )
    return override


def _named(entries: list[_Entry]) -> list[_Entry]:
    """Name each by its key, and by its branch as well where several have the key."""
    count = Counter(entry.key for entry in entries if entry.is_sweep)
    named = []
    for entry in entries:
        name = entry.key
        if entry.is_sweep and count[name] > 1:
            if entry.condition is None:
                where = "is listed under `parameters` and under `when`"
                raise UserError(f"search_space: {name} {where}")
            name = f"{name}@{entry.condition.values[0]}"
        named.append(replace(entry, name=name))
    for name, number in Counter(entry.name for entry in named if entry.is_sweep).items():
        if number > 1:
            raise UserError(f"search_space: {name} is listed twice for the same trials")
    return named


def _replace_named(
    entries: list[_Entry], given: list[Override]
) -> tuple[list[_Entry], list[Override]]:
    """Let `optimizer.lr@sgd=...` replace that parameter alone."""
    named = {f"{o.key_or_group}@{o.package}": o for o in given if o.package is not None}
    known = [entry.name for entry in entries]
    for name in named:
        if name not in known:
            raise UserError(f"{name}: no such parameter; {did_you_mean(name, known)}")
    replaced = [replace(entry, override=named.get(entry.name, entry.override)) for entry in entries]
    return replaced, [override for override in given if override.package is None]


def _group_choices(entries: list[_Entry], given: list[Override]) -> dict[str, list[str]]:
    """Return for each group that is swept or fixed the choices that it can take."""
    choices = {}
    for override in (*(entry.override for entry in entries), *given):
        key = override.key_or_group
        if key not in _GROUPS or override.is_delete():
            continue
        if not override.is_sweep_override():
            choices[key] = [shown_value(override)]
            continue
        distribution = to_distribution(override)
        if not isinstance(distribution, CategoricalDistribution):
            raise ConfigError(key, shown_value(override), "must be a choice")
        choices[key] = [to_text(choice) for choice in distribution.choices]
    return choices


def _has_place(entry: _Entry, given: list[Override]) -> bool:
    """Return whether the options that the command line fixes have the field.

    model=custom has no widths; a field that no option has is left to space_check.
    """
    group, _, rest = target(entry.key).partition(".")
    fixed = [o for o in given if o.key_or_group == group and not o.is_sweep_override()]
    if not fixed or not rest or _has_field(group, shown_value(fixed[-1]), rest):
        return True
    return group != "augmentation" and not any(_has_field(group, v, rest) for v in SCHEMAS[group])


def _branches(key: str, choices: dict[str, list[str]]) -> list[str] | None:
    """Return the choices of the key's group that have this field; None: it is in no such group."""
    group, _, rest = target(key).partition(".")
    if not rest or group not in choices:
        return None
    return [choice for choice in choices[group] if _has_field(group, choice, rest)]


def _has_field(group: str, choice: str, rest: str) -> bool:
    known = _field_names(group, choice)
    return known is None or rest.partition(".")[0].partition("[")[0] in known


def _field_names(group: str, choice: str) -> set[str] | None:
    """Return the fields of an option; None: of a YAML whose schema only composing can tell."""
    if group == "augmentation":
        return set(members(choice))
    try:
        return {field.name for field in fields(schema_of(group, choice))}
    except UserError:
        return None


def _fixed(override: Override, condition: Condition | None) -> FixedValue:
    line = str(override.input_line)
    return FixedValue(override.key_or_group, shown_value(override), line, condition)


def _conditions(entries: list[_Entry], given: list[Override]) -> dict[str, Condition]:
    """Return for each key that a value alone decides about, not a group's choice, when it is used.

    Where the command line rules that value out, the key has no condition: it is then refused.
    """
    found: dict[str, Condition] = {}
    for entry in entries:
        condition = entry.condition
        if condition is not None and condition.key not in _GROUPS:
            values = found[entry.key].values if entry.key in found else ()
            found[entry.key] = Condition(condition.key, (*values, *condition.values))
    decided = {o.key_or_group: shown_value(o) for o in given if not o.is_sweep_override()}
    return {k: c for k, c in found.items() if c.key not in decided or c.allows(decided[c.key])}


def _add_given(
    override: Override,
    choices: dict[str, list[str]],
    conditions: dict[str, Condition],
    parameters: list[Parameter],
    fixed: list[FixedValue],
) -> None:
    """Add one override of the command line, in the branches that have its field."""
    key = override.key_or_group
    branches = None if override.is_delete() else _branches(key, choices)
    condition = conditions.get(key)
    if branches is not None:
        group, _, rest = target(key).partition(".")
        if not branches:
            options = choices[group]
            known = {name for option in options for name in _field_names(group, option) or ()}
            hint = did_you_mean(rest.partition(".")[0], known)
            reason = f"no choice of {group} ({', '.join(options)}) has it; {hint}"
            raise ConfigError(key, shown_value(override), reason)
        if len(branches) < len(choices[group]):
            condition = Condition(group, tuple(branches))
    if override.is_sweep_override():
        parameters.append(Parameter(key, key, to_distribution(override), condition))
    else:
        fixed.append(_fixed(override, condition))


def _ordered(parameters: list[Parameter]) -> tuple[Parameter, ...]:
    """Put each parameter behind the one that its condition asks for."""
    ordered: list[Parameter] = []
    waiting = list(parameters)
    while waiting:
        open_keys = {parameter.key for parameter in waiting}
        ready = [p for p in waiting if p.condition is None or p.condition.key not in open_keys]
        if not ready:
            raise UserError(f"search_space: {waiting[0].name} depends on itself")
        ordered += ready
        waiting = [parameter for parameter in waiting if parameter not in ready]
    return tuple(ordered)


def _check_conditions(parameters: list[Parameter], fixed: list[FixedValue]) -> None:
    known = [value.key for value in fixed if value.condition is None]
    known += [parameter.key for parameter in parameters]
    for parameter in parameters:
        condition = parameter.condition
        if condition is not None and condition.key not in known:
            where = f"search_space.when.{condition.key}={'|'.join(condition.values)}"
            hint = did_you_mean(condition.key, set(known))
            raise UserError(f"{where}: {condition.key} is neither drawn nor fixed; {hint}")
