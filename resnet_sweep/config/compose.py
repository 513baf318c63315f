"""From command-line overrides to a checked Config, and back from config.json.

The only place that knows which dataclass a group's option has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from resnet_sweep.config import (
    Config,
    data,
    init,
    model,
    optimizer,
    regularization,
    scheduler,
    train,
)
from resnet_sweep.config.errors import ConfigError, UserError, no_such_field, require
from resnet_sweep.config.help import register_help

Schema = TypeVar("Schema")

SCHEMAS: dict[str, dict[str, type]] = {
    "model": {
        "resnet": model.ResNetConfig,
        "custom": model.CustomModelConfig,
    },
    "optimizer": {
        "sgd": optimizer.SgdConfig,
        "adam": optimizer.AdamConfig,
        "adamw": optimizer.AdamWConfig,
        "rmsprop": optimizer.RmspropConfig,
        "muon": optimizer.MuonConfig,
    },
    "scheduler": {
        "cosine": scheduler.CosineConfig,
        "cosine_restarts": scheduler.CosineRestartsConfig,
        "one_cycle": scheduler.OneCycleConfig,
        "multistep": scheduler.MultistepConfig,
        "step": scheduler.StepConfig,
        "exponential": scheduler.ExponentialConfig,
        "plateau": scheduler.PlateauConfig,
        "linear": scheduler.LinearConfig,
        "constant": scheduler.ConstantConfig,
    },
    "regularization": {"regularization": regularization.RegularizationConfig},
    "init": {"init": init.InitConfig},
    "data": {
        "cifar": data.CifarConfig,
        "digits": data.DigitsConfig,
        "image_folder": data.ImageFolderConfig,
        "arrays": data.ArraysConfig,
    },
    "train": {"train": train.TrainConfig},
}

# Groups whose `name` decides the schema; several names may share one.
SHARED_SCHEMAS = {
    "model": {"custom": "custom", "": "resnet"},
    "data": {"cifar10": "cifar", "cifar100": "cifar"},
}


# Groups of which several options, or none, are chosen; one dataclass has a field for each.
LIST_GROUPS = ("augmentation", "tracker")


def conf_dir() -> Path:
    """Return the folder of the YAML files: the wheel's copy or the checkout's."""
    package = Path(__file__).parent.parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


@cache
def register_schemas() -> None:
    """Store every schema under schema/, apart from the options that users choose; once a process.

    It would be a third of what a composition takes.
    """
    register_help()
    store = ConfigStore.instance()
    root = OmegaConf.structured(Config)
    for group in SCHEMAS:
        root[group] = MISSING  # each option brings its own dataclass
    with open_dict(root):
        root.search_space = {}  # a sweep's alone, so no field of Config
    store.store(group="schema", name="config", node=root, package="_global_", replace=True)
    for group, variants in SCHEMAS.items():
        for name, schema in variants.items():
            store.store(group=f"schema/{group}", name=name, node=schema, replace=True)


def key_of(override: str) -> str:
    """Return the key or group that an override is about, without Hydra's `+`, `++` or `~`."""
    return override.lstrip("+~").partition("=")[0]


def to_config(composed: DictConfig) -> Config:
    """Return the checked Config of a composed configuration.

    Raises:
        UserError: an unknown key, a wrong type or a value that is not allowed.
    """
    return convert(composed.copy())


def convert(composed: DictConfig) -> Config:
    """Do what to_config does without its copy; leaves `composed` without its other keys."""
    OmegaConf.set_struct(composed, False)
    composed.pop("search_space", None)
    _reject_empty_groups(composed)
    config = _checked(composed, Config)
    for group in SCHEMAS:
        node = getattr(config, group)
        if type(node) is not schema_of(group, node.name):
            schema = next(key for key, each in SCHEMAS[group].items() if each is type(node))
            shared = [name for name, key in SHARED_SCHEMAS.get(group, {}).items() if key == schema]
            names = " or ".join(filter(None, shared)) or schema
            allowed = f"comes with the option: write {group}={node.name}"
            allowed += f"; in an option of your own, name: {names}"
            raise ConfigError(f"{group}.name", node.name, allowed)
    return config


def refuse_hidden_widths(config: Config, overrides: Iterable[str]) -> None:
    """Refuse widths that were given beside a base width, since they would not count.

    Args:
        overrides: of the command line; a base width that a sweep draws is known from them alone.

    Raises:
        ConfigError: it names both.
    """
    given = {key_of(o): o.partition("=")[2] for o in overrides}
    base = given.get("model.base_width", getattr(config.model, "base_width", None))
    if base is None or "null" in str(base):  # a sweep may draw null among others
        return
    for key, value in given.items():
        if re.fullmatch(r"model\.widths([.\[].*)?", key) and value != "null":
            counts = f"does not count beside model.base_width={base}"
            raise ConfigError(key, value, f"{counts}: leave it out, or set that to null")


def to_schema(composed: DictConfig, schema: type[Schema]) -> Schema:
    """Return the checked dataclass of a command that has one schema and no groups.

    Raises:
        UserError: an unknown key, a wrong type or a value that is not allowed.
    """
    return _checked(composed.copy(), schema)


def _checked(values: DictConfig, schema: type[Schema]) -> Schema:
    OmegaConf.set_struct(values, False)
    values.pop("hydra", None)
    reject_unknown_keys(values)
    try:
        checked = OmegaConf.to_object(values)
    except OmegaConfBaseException as error:
        raise user_error(error) from error
    assert isinstance(checked, schema)
    return checked


def from_dict(values: dict[str, Any]) -> Config:
    """Return the Config that `asdict` turned into `values`.

    Raises:
        UserError: a key or a value that this version does not know.
    """
    try:
        values = renewed(values)
        base = OmegaConf.structured(Config)
        for group in SCHEMAS:
            base[group] = OmegaConf.structured(schema_of(group, values[group]["name"]))
        if missing := OmegaConf.missing_keys(values):  # '???', for which merge takes a default
            raise UserError(f"{min(missing)}: has no value")
        return to_config(OmegaConf.merge(base, values))  # type: ignore[arg-type]
    except OmegaConfBaseException as error:  # some of these are KeyErrors as well
        raise user_error(error) from error
    except KeyError as error:
        raise UserError(f"the configuration lacks {error}") from error
    except TypeError as error:
        raise UserError(f"the configuration is damaged: {error}") from error


def renewed(values: dict[str, Any]) -> dict[str, Any]:
    """Return plain values, which an earlier version may have written, in today's fields."""
    net = values.get("model")
    if isinstance(net, dict) and net.get("name") == "custom" and "blocks" in net:
        values = {**values, "model": {**net, "name": "resnet"}}  # ResNetConfig's name by default
    older = values.get("train")
    if not isinstance(older, dict) or "tensorboard" not in older:
        return values
    kept = {name: value for name, value in older.items() if name != "tensorboard"}
    tracker: dict[str, Any] = {"tensorboard": {}} if older["tensorboard"] else {}
    return {"tracker": tracker, **values, "train": kept}


def to_dict(config: Config) -> dict[str, Any]:
    """Return plain values, as config.json holds them."""
    return asdict(config)


def schema_of(group: str, name: str) -> type:
    """Return the dataclass of one option of a group."""
    variants = SCHEMAS[group]
    if len(variants) == 1:
        return next(iter(variants.values()))
    shared = SHARED_SCHEMAS.get(group, {})
    key = shared.get(name, shared.get("", name))
    names = [*(n for n in shared if n), *(v for v in variants if v not in shared.values())]
    require(key in variants, f"{group}.name", name, f"must be one of {', '.join(names)}")
    return variants[key]


def _reject_empty_groups(composed: DictConfig) -> None:
    for group in (*SCHEMAS, *LIST_GROUPS):
        is_there = group in composed and isinstance(composed._get_node(group), DictConfig)
        value = composed[group] if is_there else None  # or it is left to be chosen: ???
        if value is None:
            given = None if OmegaConf.is_missing(composed, group) else composed.get(group)
            allowed = f"must be an option of this group; {conf_names(group)}"
            raise ConfigError(group, given, allowed)


def conf_names(group: str, folder: Path | None = None) -> str:
    """Return the options of a group as a list for a message.

    Args:
        folder: of the YAML files; null: the project's own.
    """
    names = {path.stem for path in ((folder or conf_dir()) / group).glob("*.yaml")}
    store: Any = ConfigStore.instance().repo
    for part in group.split("/"):
        store = store.get(part, {})  # plugins keep their options here
    names |= {name.removesuffix(".yaml") for name in store if name.endswith(".yaml")}
    return "there are " + (", ".join(sorted(names)) or "none")


def reject_unknown_keys(node: DictConfig, path: str = "") -> None:
    """Refuse what `+key=value` smuggled past the schema; Hydra's own hint suggests it."""
    schema = OmegaConf.get_type(node)
    if not (isinstance(schema, type) and is_dataclass(schema)):
        return
    known = {field.name for field in fields(schema)}
    for key in map(str, node):
        if key not in known:
            raise ConfigError(f"{path}{key}", node[key], no_such_field(f"{path}{key}", known))
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            reject_unknown_keys(child, f"{path}{key}.")


def user_error(error: Exception) -> UserError:
    """Return the first line of a Hydra or OmegaConf error, with the field's full path."""
    message = str(error).strip().splitlines()[0]
    key = getattr(error, "full_key", None)
    return UserError(f"{key}: {message}" if key and key not in message else message)
