"""Experiments: files that choose options of several groups and set fields of these options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.default_element import GroupDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from resnet_sweep.config.compose import LIST_GROUPS, SCHEMAS, key_of
from resnet_sweep.config.errors import ConfigError

EXPERIMENT = "experiment"
GROUPS = (*SCHEMAS, *LIST_GROUPS)


def refuse_choices_beside_experiments(overrides: Sequence[str], primary: str = "config") -> None:
    """Refuse an option of a group beside an experiment that sets fields of another option.

    Hydra would give the chosen option the experiment's fields: model=resnet20 the widths of
    another net. Fields that are given themselves win. Hydra must be initialized.

    Args:
        overrides: plain ones, those of hydra.searchpath among them.

    Raises:
        ConfigError: it names the fields.
    """
    chosen = {key_of(o): o.partition("=")[2] for o in overrides if o[:1] != "~"}
    if chosen.keys().isdisjoint(GROUPS):
        return
    own, fields = _read_experiments(list(overrides), primary)
    for group in GROUPS:
        if group not in chosen:
            continue
        options = _names(chosen[group])
        kept = [f for f in fields if f.partition(".")[0] == group and f not in chosen]
        if group in LIST_GROUPS:  # an option that is chosen may have the experiment's fields
            kept = [f for f in kept if f.partition(".")[2] not in options]
        is_own = options == own.get(group) and fields.get(f"{group}.name") in (None, *options)
        if kept and not is_own:
            sets = f"the experiment sets {', '.join(kept)}"
            allowed = f"{sets}: leave out one of the two, or give these fields as well"
            raise ConfigError(group, chosen[group], allowed)


def _read_experiments(
    overrides: list[str], primary: str
) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Return the options that all experiment files choose, and the fields that they set."""
    loader: Any = GlobalHydra.instance().config_loader()
    # As of several runs: what is left open is no mistake here.
    found = loader.compute_defaults_list(primary, overrides, RunMode.MULTIRUN)
    _, repository = loader._parse_overrides_and_create_caching_repo(primary, overrides)
    choices: dict[str, list[str]] = {}
    fields: dict[str, Any] = {}
    for default in found.defaults:
        path = default.config_path or ""
        file = repository.load_config(path) if path.startswith(f"{EXPERIMENT}/") else None
        if file is None:
            continue
        for each in file.defaults_list or []:
            if isinstance(each, GroupDefault) and each.override:
                choices[str(each.group).lstrip("/")] = _names(each.value)
        whole: Any = file.config
        if default.package:
            whole = OmegaConf.create()
            OmegaConf.update(whole, default.package, file.config)
        for group in GROUPS:
            node: Any = whole.get(group) if isinstance(whole, DictConfig) else None
            if isinstance(node, DictConfig):
                fields |= {f"{group}.{name}": node._get_node(name) for name in map(str, node)}
    return choices, fields


def _names(value: Any) -> list[str]:
    """Return the options that a list or an override's text names; of null none."""
    if value is None or isinstance(value, (list, tuple)):
        return [str(each) for each in value or []]
    parts = (part.strip(" '\"") for part in str(value).strip("[]").split(","))
    return [name for name in parts if name not in ("", "null")]
