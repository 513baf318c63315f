"""Setting the values of a proposal on a composed configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, FloatNode, ListConfig, OmegaConf

from resnet_sweep.config.errors import ConfigError, no_such_field
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.search.derived import (
    NUM_STAGES,
    STAGE_LISTS,
    WARMUP_FRACTION,
    is_argument,
    is_one_minus,
    split_item,
    target,
)


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
            raise ConfigError(key, value, no_such_field(name, _field_names(node)))
        if depth < len(path) - 1:
            node = node[name]
    return node, path[-1]


def _field_names(node: DictConfig) -> set[str]:
    schema = OmegaConf.get_type(node)
    if isinstance(schema, type) and is_dataclass(schema):
        return {field.name for field in fields(schema)}
    return set(map(str, node))
