"""What a run's commands are made from: its settings, and what each option of a group gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from resnet_sweep.analysis.archive import flatten
from resnet_sweep.analysis.view import View
from resnet_sweep.config.compose import SCHEMAS, conf_dir, schema_of
from resnet_sweep.config.data import AugmentationConfig

AUGMENTATION = "augmentation"
GROUPS = (*SCHEMAS, AUGMENTATION)
TOP_FIELDS = ("seed", "evaluate_test")
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

    Read from the files: composing takes Hydra half a second. An option that the project does not
    have is left out; then every field is written.
    """
    primary = _values(conf_dir() / "config.yaml")
    base = {name: primary[name] for name in TOP_FIELDS}
    for entry in primary["defaults"]:
        for group, option in entry.items() if isinstance(entry, dict) else ():
            if group in GROUPS:
                base[group] = "+".join(option) if isinstance(option, list) else option
    known = {group: {path.stem for path in (conf_dir() / group).glob("*.yaml")} for group in used}
    options = {
        group: {name: _option(group, name) for name in names if name in known[group]}
        for group, names in used.items()
    }
    return {"base": base, "options": options}


def _option(group: str, name: str) -> Settings:
    """Return the fields of an option: those of its schema, and over them those of its file."""
    values = _values(_file(group, name))
    values.pop("defaults", None)
    schema = AugmentationConfig if group == AUGMENTATION else schema_of(group, values["name"])
    merged = OmegaConf.to_container(OmegaConf.merge(OmegaConf.structured(schema), values))
    fields = flatten({group: merged})
    return {field: value for field, value in fields.items() if field != group}


def _file(group: str, name: str) -> Path:
    return conf_dir() / group / f"{name}.yaml"


def _values(path: Path) -> Settings:
    found = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(found, dict)
    return {str(name): value for name, value in found.items()}
