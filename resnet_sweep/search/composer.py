"""Configurations of proposals, without a full composition for each.

Free of torch.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, FloatNode, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_sweep.config import Config
from resnet_sweep.config.compose import convert, user_error
from resnet_sweep.config.errors import ConfigError, did_you_mean, no_such_field
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.search.conf_files import ConfFiles
from resnet_sweep.search.space_parsing import (
    NUM_STAGES,
    STAGE_LISTS,
    WARMUP_FRACTION,
    is_argument,
    is_one_minus,
    split_item,
    target,
    to_argument,
    to_text,
    to_value,
)

Choices = tuple[tuple[str, str], ...]


class Composer:
    """Composes once for each option of a group, then sets plain values on copies.

    Args:
        files: what is composed from; a path stands for a folder with the primary config.yaml.
        fixed_overrides: what every configuration has, as on the command line.

    Raises:
        UserError: the fixed overrides do not compose.
    """

    def __init__(self, files: ConfFiles | Path, fixed_overrides: Iterable[str]) -> None:
        self.files = files if isinstance(files, ConfFiles) else ConfFiles(files)
        self.fixed_overrides = list(fixed_overrides)
        self.groups = _find_groups(self.files.folder)
        self._compose = lru_cache(maxsize=None)(self._compose_uncached)
        self._resnet_values = lru_cache(maxsize=None)(self._resnet_values_uncached)
        self._combined = lru_cache(maxsize=None)(self._combined_uncached)
        self._changes_its_group_alone = lru_cache(maxsize=None)(self._compare_with_base)
        self._compose(())

    def config(self, assignments: Mapping[str, Any], seed: int | None) -> Config:
        """Return the checked configuration of a proposal.

        Args:
            assignments: values by override key, as SearchSpace.suggest gives them.
            seed: null: that of the fixed overrides; one that is drawn comes first.

        Raises:
            UserError: it cannot be built.
        """
        return convert(self._apply(assignments, seed)[0])

    def resnet(self, assignments: Mapping[str, Any]) -> ResNetConfig | None:
        """Return the net of a proposal alone, in a small part of the time of `config`.

        None: it is no ResNet, or only a whole configuration can tell.

        Raises:
            UserError: it cannot be built.
        """
        choices = self._choices(assignments)
        if all(map(self._changes_its_group_alone, choices)):
            choices = tuple(choice for choice in choices if choice[0] == "model")
        values = self._resnet_values(choices)
        if values is None:
            return None
        drawn = {k: to_value(v) for k, v in assignments.items() if k.startswith("model.")}
        values = dict(values)
        apply_to_resnet(values, drawn)
        net = ResNetConfig(**values)
        return net if isinstance(net.squeeze_excitation, bool) else None  # not checked by itself

    def value(self, assignments: Mapping[str, Any], field: str) -> Any:
        """Return what a field has after some assignments, which need not be a whole proposal."""
        return _unwrapped(OmegaConf.select(self._apply(assignments, None)[0], field))

    def overrides(self, assignments: Mapping[str, Any]) -> list[str]:
        """Return what a single run needs on its command line to be this proposal.

        Raises:
            UserError: it cannot be built.
        """
        config, touched = self._apply(assignments, None)
        choices = [f"{group}={option}" for group, option in self._choices(assignments)]
        values = {field: OmegaConf.select(config, field) for field in touched}
        return [
            *self.fixed_overrides,
            *choices,
            *(  # an argument may be new
                f"{'++' if is_argument(field) else ''}{field}={to_argument(_unwrapped(value))}"
                for field, value in values.items()
            ),
        ]

    def _apply(
        self, assignments: Mapping[str, Any], seed: int | None
    ) -> tuple[DictConfig, list[str]]:
        """Return the configuration of a proposal and the fields that it sets."""
        config = self._combine(self._choices(assignments))
        values = {key: to_value(v) for key, v in assignments.items() if key not in self.groups}
        if seed is not None and "seed" not in values:
            values["seed"] = seed
        try:
            return config, apply_values(config, values)
        except OmegaConfBaseException as error:
            raise user_error(error) from error

    def _choices(self, assignments: Mapping[str, Any]) -> Choices:
        chosen = (item for item in assignments.items() if item[0] in self.groups)
        return tuple(sorted((group, to_text(option)) for group, option in chosen))

    def _combine(self, choices: Choices) -> DictConfig:
        """Return a copy; loading one takes a sixth of what OmegaConf's own copy does."""
        combined: DictConfig = pickle.loads(self._combined(choices))
        return combined

    def _combined_uncached(self, choices: Choices) -> bytes:
        """Put the groups of separate compositions together, as far as they are separate."""
        if not all(map(self._changes_its_group_alone, choices)):
            return pickle.dumps(self._compose(choices))
        combined = self._compose(()).copy()
        for choice in choices:
            combined[choice[0]] = self._compose((choice,))._get_node(choice[0])
        return pickle.dumps(combined)

    def _resnet_values_uncached(self, choices: Choices) -> dict[str, Any] | None:
        node = self._combine(choices)._get_node("model")
        if OmegaConf.get_type(node) is not ResNetConfig:
            return None
        plain: Any = OmegaConf.to_container(node, resolve=True)
        is_known = plain.keys() <= {field.name for field in fields(ResNetConfig)}
        return plain if is_known else None

    def _compose_uncached(self, choices: Choices) -> DictConfig:
        for group, text in choices:
            option = to_value(text)
            for name in option if isinstance(option, list) else [option]:
                if name is not None and str(name) not in self.groups[group]:
                    raise ConfigError(group, text, did_you_mean(str(name), self.groups[group]))
        overrides = [*self.fixed_overrides, *(f"{group}={option}" for group, option in choices)]
        composed = self.files.compose(overrides)
        OmegaConf.set_struct(composed, False)
        composed.pop("search_space", None)
        composed.pop("hydra")
        OmegaConf.set_struct(composed, True)
        return composed

    def _compare_with_base(self, choice: tuple[str, str]) -> bool:
        """Return whether an option leaves the other groups alone: an experiment does not."""
        base, part = self._compose(()), self._compose((choice,))
        others = [key for key in part if key != choice[0]]
        is_there = choice[0] in part and choice[0] in base
        return is_there and all(_is_equal(part, base, key) for key in others)


def _is_equal(one: DictConfig, other: DictConfig, key: Any) -> bool:
    """Return whether two have the same, or both leave it to be chosen."""
    missing = [OmegaConf.is_missing(each, key) for each in (one, other)]
    return all(missing) or (not any(missing) and bool(one[key] == other[key]))


def _find_groups(folder: Path) -> dict[str, list[str]]:
    """Return the options of each group, and of the groups within it."""
    groups: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        parts = path.relative_to(folder).with_suffix("").parts
        for depth in range(1, len(parts)):
            groups.setdefault("/".join(parts[:depth]), []).append("/".join(parts[depth:]))
    return groups


def _unwrapped(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def apply_values(config: DictConfig, values: Mapping[str, Any]) -> list[str]:
    """Set values in place, derived ones included, and return the fields that were set.

    Raises:
        ConfigError: there is no such field.
        OmegaConfBaseException: a value of the wrong type.
    """
    touched: dict[str, None] = {}
    for key in sorted(values, key=_rank):
        for field in _set(config, key, values[key]):
            touched[field] = None
    return list(touched)


def apply_to_resnet(model: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Set values of a ResNet's fields in place, as apply_values does.

    Args:
        model: plain values by name of the field.
        values: of keys `model.*`.

    Raises:
        ConfigError: there is no such field, or entry.
    """
    for key in sorted(values, key=_rank):
        value = _amount(key, values[key])
        if key == NUM_STAGES:
            model |= _cut_stages(model, value)
            continue
        field, index = split_item(target(key))
        name = field.removeprefix("model.")
        if name not in model:
            raise ConfigError(key, value, no_such_field(name, set(model)))
        items = None if index is None else _stage_list(model, name)
        model[name] = value if index is None else _with_item(items, field, index, value, key)


def _rank(key: str) -> tuple[int, str]:
    """Plain fields first, then the lengths of lists, their entries, and what reads others."""
    if key == NUM_STAGES:
        return 1, key
    if key == WARMUP_FRACTION:
        return 3, key
    return (0 if split_item(key)[1] is None else 2), key


def _set(config: DictConfig, key: str, value: Any) -> list[str]:
    if key == NUM_STAGES:
        return _set_num_stages(config, value)
    if key == WARMUP_FRACTION:
        return [_set_field(config, target(key), value * config.train.epochs, key)]
    amount = _amount(key, value)
    field, index = split_item(target(key))
    if index is None:
        return [_set_field(config, field, amount, key)]
    if is_argument(field):
        raise ConfigError(key, value, f"is one entry: sweep whole lists, {field}=choice([4],[8])")
    return [_set_item(config, field, index, amount, key)]


def _amount(key: str, value: Any) -> Any:
    """Return what the field gets: of 1 - 0.1 twelve digits, so that 0.9 comes back as 0.1."""
    return round(1 - value, 12) if is_one_minus(key) else value


def _set_field(config: DictConfig, field: str, value: Any, key: str) -> str:
    if is_argument(field) and OmegaConf.get_type(config.model) is CustomModelConfig:
        OmegaConf.update(config, field, value, force_add=True)
        return field
    node, name = _owner(config, field, key, value)
    _put(node, name, value)
    return field


def _put(node: Any, name: str | int, value: Any) -> None:
    is_whole_float = type(value) is int and isinstance(node._get_node(name), FloatNode)
    node[name] = float(value) if is_whole_float else value


def _set_item(config: DictConfig, field: str, index: int, value: Any, key: str) -> str:
    node, name = _owner(config, field, key, value)
    items = _stage_list(config.model, name) if node is config.model else node[name]
    if items is node._get_node(name) and isinstance(items, ListConfig) and index < len(items):
        _put(items, index, value)  # a new list takes OmegaConf several times as long
    else:
        node[name] = _with_item(items, field, index, value, key)
    return field


def _with_item(items: Any, field: str, index: int, value: Any, key: str) -> list[Any]:
    if not isinstance(items, (list, ListConfig)):
        raise ConfigError(key, value, f"{field} is no list")
    if index >= len(items):
        raise ConfigError(key, value, f"{field} has {len(items)} entries")
    return [*items[:index], value, *items[index + 1 :]]


def _set_num_stages(config: DictConfig, count: int) -> list[str]:
    model = config.model
    if OmegaConf.get_type(model) is not ResNetConfig:
        raise ConfigError(NUM_STAGES, count, f"model={model.name} has no stages")
    changes = _cut_stages(model, count)
    for name, entries in changes.items():
        model[name] = entries
    return [f"model.{name}" for name in changes]


def _cut_stages(model: Mapping[Any, Any], count: Any) -> dict[str, list[Any]]:
    """Return the lists of a ResNet with `count` entries each."""
    if not isinstance(count, int) or count < 1:
        raise ConfigError(NUM_STAGES, count, "must be an integer, at least 1")
    lists = {name: model[name] for name in STAGE_LISTS}
    if model["base_width"] is not None:
        del lists["widths"]  # they have no say then
    return {
        name: [entries[min(i, len(entries) - 1)] for i in range(count)]
        for name, entries in lists.items()
        if isinstance(entries, (list, ListConfig))
    }


def _stage_list(model: Mapping[Any, Any], name: str) -> Any:
    """Return a list of the model with one entry for each stage, whatever it is short for."""
    entries, stages = model[name], len(model["blocks"])
    if name == "strides" and entries is None:
        return [1] + [2] * (stages - 1)
    if name in STAGE_LISTS and isinstance(entries, int):
        return [entries] * stages
    return entries


def _owner(config: DictConfig, field: str, key: str, value: Any) -> tuple[DictConfig, str]:
    """Return the node that holds a field, and the field's name in it."""
    path = field.split(".")
    node: Any = config
    for depth, name in enumerate(path):
        if not isinstance(node, DictConfig) or node._is_none():
            raise ConfigError(key, value, f"{'.'.join(path[:depth])} is not used here")
        if name not in node:
            where = ".".join(path[: depth + 1])
            raise ConfigError(key, value, no_such_field(where, _field_names(node)))
        if depth < len(path) - 1:
            node = node[name]
    return node, path[-1]


def _field_names(node: DictConfig) -> set[str]:
    schema = OmegaConf.get_type(node)
    if isinstance(schema, type) and is_dataclass(schema):
        return {field.name for field in fields(schema)}
    return set(map(str, node))
