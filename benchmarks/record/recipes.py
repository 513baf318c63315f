"""A recipe in words, and what tells two of them apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.search.space_parsing import WIDTHS, split_item, target

MAX_CHANGES = 12


def describe_recipe(config: Config) -> str:
    """Return what a net and its training are, in a few words."""
    words = [config.model.name]
    if isinstance(config.model, ResNetConfig):
        words = [config.model.block, f"widths {_list(config.model.stage_widths())}"]
        words.append(f"blocks {_list(config.model.blocks)}")
    words += [config.optimizer.name, config.scheduler.name, f"batch {config.train.batch_size}"]
    return ", ".join([*words, _augmentations(config)])


def changes(config: Config, source: Config, keys: Iterable[str]) -> list[str]:
    """Return where a recipe differs from its source, among the keys that a sweep has drawn."""
    own, other = _values(config), _values(source)
    fields = dict.fromkeys(_field(key) for key in keys)
    found = []
    for field in fields:
        one, two = own.get(field, "none"), other.get(field, "none")
        if one != two:
            found.append(f"{field} {one} (not {two})")
    left = len(found) - MAX_CHANGES
    return [*found[:MAX_CHANGES], *([f"{left} more"] if left > 0 else [])]


def _field(key: str) -> str:
    """Return the field that a parameter of a sweep decides."""
    name = key.partition("@")[0]
    return "model.widths" if name in WIDTHS else split_item(target(name))[0]


def _values(config: Config) -> dict[str, str]:
    found: dict[str, str] = {}
    for group, values in to_dict(config).items():
        if isinstance(values, dict):
            found[group] = str(values.get("name", ""))
            found |= {f"{group}.{name}": _text(value) for name, value in values.items()}
    found["augmentation"] = _augmentations(config)
    if isinstance(config.model, ResNetConfig):
        found["model.widths"] = _list(config.model.stage_widths())
    return found


def _text(value: Any) -> str:
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case float():
            return f"{value:.3g}"
        case list():
            return _list(value)
    return str(value)


def _list(values: list[Any]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _augmentations(config: Config) -> str:
    names = [name for name, value in to_dict(config)["augmentation"].items() if value is not None]
    return " + ".join(names) or "no augmentation"
