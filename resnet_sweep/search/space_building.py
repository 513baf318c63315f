"""Builds a search space from its YAML files and the command line, which wins over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from hydra.core.override_parser.types import Override
from optuna.distributions import CategoricalDistribution

from resnet_sweep.config.compose import SCHEMAS, schema_of
from resnet_sweep.config.errors import ConfigError, UserError, did_you_mean
from resnet_sweep.search.space import Condition, FixedValue, Parameter, SearchSpace, possible_values
from resnet_sweep.search.space_parsing import (
    members,
    parse_override,
    replaced_by,
    shown_value,
    target,
    to_distribution,
    to_text,
)

SECTIONS = ("fixed", "parameters", "when")
_GROUPS = {*SCHEMAS, "augmentation"}
NOT_OF_A_RUN = ("search_space", "hydra")
EXAMPLE = "model.base_width=range(8,17,4)"


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


def build_space(space: Mapping[str, Any], overrides: Iterable[str]) -> SearchSpace:
    """Return the space of a `search_space` node and of overrides, which win over it.

    Args:
        space: the keys `fixed`, `parameters` and `when`.
        overrides: `key=value` lines, sweeps or not; of one key the last counts.

    Raises:
        UserError: a line cannot be read, or nothing is left to draw.
    """
    given = _of_a_run(overrides)
    entries = _read_space(space)
    swept = [entry.key for entry in entries if entry.is_sweep]
    entries = [e for e in entries if e.is_sweep or not any(replaced_by(e.key, k) for k in swept)]
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
    return SearchSpace(_ordered(parameters), tuple(fixed))


def _of_a_run(overrides: Iterable[str]) -> list[Override]:
    """Return the overrides that are about a run, of one key the last."""
    # `+` and `++` are no part of a key; `~key` and `key=value` are two things.
    last = {o.get_key_element().lstrip("+"): o for o in map(parse_override, overrides)}
    for override in last.values():
        if override.key_or_group.split(".")[0] == "search_space" and override.is_sweep_override():
            allowed = "is no sweep: several spaces are a list, search_space=[architecture,init]"
            raise ConfigError(override.key_or_group, shown_value(override), allowed)
    return [o for o in last.values() if o.key_or_group.split(".")[0] not in NOT_OF_A_RUN]


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
