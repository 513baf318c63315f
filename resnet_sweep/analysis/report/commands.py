"""What a run's commands are made from: its settings, and what each option of a group gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import starmap, zip_longest
from typing import Any

from resnet_sweep import compose_config
from resnet_sweep.analysis.archive import flatten
from resnet_sweep.analysis.view import View
from resnet_sweep.config.compose import SCHEMAS, to_dict
from resnet_sweep.config.errors import UserError

AUGMENTATION = "augmentation"
GROUPS = (*SCHEMAS, AUGMENTATION)
OWN_FIELDS = ("schema_version", "resume")  # of the file, not of the run
Settings = dict[str, Any]


def command_data(view: View, shared: Settings) -> dict[str, Any]:
    """Return where the runs lie, the settings they share, exactly, and the defaults of options.

    The page makes from them the overrides that compose to a run's configuration.
    """
    runs = view.runs
    used = {
        group: list(dict.fromkeys(_members(group, runs[group].dropna().unique())))
        for group in GROUPS
        if group in runs
    }
    return {
        "root": str(view.archive.root),
        "groups": list(GROUPS),
        "exact": {k: v for k, v in shared.items() if k not in OWN_FIELDS},
        "defaults": _defaults(used),
    }


def _members(group: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from name.split("+") if group == AUGMENTATION else [str(name)]


def _defaults(used: dict[str, list[str]]) -> dict[str, Any]:
    """Return what the command line without overrides gives, and each option that was used.

    An option that the project does not have is left out: then every field is written.
    """
    base = flatten(to_dict(compose_config()))
    found: dict[str, dict[str, Settings]] = {group: {} for group in used}
    for chosen in _rounds(used):
        for some in (chosen, *({group: name} for group, name in chosen.items())):
            try:
                settings = flatten(to_dict(compose_config(*starmap(_override, some.items()))))
            except UserError:
                continue  # one of them is not the project's, or they do not go together
            for group, name in some.items():
                found[group][name] = _of_group(settings, group)
            if some is chosen:
                break
    top = {name: value for name, value in base.items() if name not in OWN_FIELDS}
    return {"base": top, "options": found}


def _rounds(used: dict[str, list[str]]) -> Iterator[dict[str, str]]:
    """Yield one option of each group at a time until there is none left: composing is slow."""
    for names in zip_longest(*used.values()):
        yield {group: name for group, name in zip(used, names, strict=True) if name is not None}


def _override(group: str, name: str) -> str:
    return f"{group}=[{name}]" if group == AUGMENTATION else f"{group}={name}"


def _of_group(settings: Settings, group: str) -> Settings:
    return {name: value for name, value in settings.items() if name.startswith(f"{group}.")}
