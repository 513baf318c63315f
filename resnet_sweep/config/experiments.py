"""Experiments: files that choose options of several groups and set fields of these options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.default_element import ConfigDefault
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from resnet_sweep.config.compose import LIST_GROUPS, SCHEMAS, key_of
from resnet_sweep.config.errors import ConfigError

EXPERIMENT = "experiment"


def refuse_choices_beside_experiments(overrides: Sequence[str]) -> None:
    """Refuse an option of a group beside an experiment that sets fields of this group.

    Hydra would give the chosen option the experiment's fields: model=resnet20 the widths of
    another net. Fields that are given themselves win. Hydra must be initialized.

    Raises:
        ConfigError: it names the fields.
    """
    chosen = {key_of(o): o.partition("=")[2] for o in overrides if o[:1] != "~"}
    for name in _names(chosen.get(EXPERIMENT, "null")):
        fields = [field for field in _fields(f"{EXPERIMENT}/{name}") if field not in chosen]
        for group in (*SCHEMAS, *LIST_GROUPS):
            if group not in chosen:
                continue
            kept = [f for f in fields if f.partition(".")[0] == group]
            if group in LIST_GROUPS:  # an option that is chosen may have the experiment's fields
                kept = [f for f in kept if f.partition(".")[2] not in _names(chosen[group])]
            if kept:
                allowed = f"leave out one of the two: {EXPERIMENT}={name} sets {', '.join(kept)}"
                raise ConfigError(group, chosen[group], allowed)


def _fields(path: str) -> list[str]:
    """Return the fields of groups that a file, and those it begins with, set."""
    load = GlobalHydra.instance().config_loader().repository.load_config  # type: ignore[attr-defined]
    file: Any = load(path)
    if file is None:  # Hydra says so
        return []
    others = (each.path for each in file.defaults_list or [] if isinstance(each, ConfigDefault))
    bases = (f"{EXPERIMENT}/{other}" for other in others if other != "_self_")
    fields = [field for base in bases for field in _fields(base)]
    for group in (*SCHEMAS, *LIST_GROUPS):
        node: Any = file.config.get(group) if isinstance(file.config, DictConfig) else None
        names = map(str, node) if isinstance(node, DictConfig) else ()
        fields += [f"{group}.{name}" for name in names]
    return list(dict.fromkeys(fields))


def _names(text: str) -> list[str]:
    """Return the options that an override's text names; of null none."""
    parts = (part.strip(" '\"") for part in text.strip("[]").split(","))
    return [name for name in parts if name not in ("", "null")]
