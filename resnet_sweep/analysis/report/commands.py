"""What a run's commands are made from: its settings, and what each option of a group gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from resnet_sweep.analysis.archive import flatten
from resnet_sweep.analysis.runs import differing_settings
from resnet_sweep.analysis.view import View
from resnet_sweep.config.compose import SCHEMAS, conf_dir, schema_of
from resnet_sweep.config.data import AugmentationConfig

AUGMENTATION = "augmentation"
GROUPS = (*SCHEMAS, AUGMENTATION)
TOP_FIELDS = ("seed", "evaluate_test")
OWN_FIELDS = ("schema_version", "resume")  # of the file, not of the run
Settings = dict[str, Any]


def command_data(view: View) -> dict[str, Any]:
    """Return where the runs lie, the settings they share, exactly, and the defaults of options.

    The page makes from them the overrides that compose to a run's configuration.
    """
    runs = view.runs
    used: dict[str, list[str]] = {}
    for group in GROUPS:
        if group in runs:
            names = [str(name) for name in runs[group].dropna().unique()]
            if group == AUGMENTATION:
                names = [part for name in names for part in name.split("+")]
            used[group] = list(dict.fromkeys(names))
    apart = {*OWN_FIELDS, *differing_settings(runs)}
    readable = runs.loc[runs["configuration"].notna(), "run"]
    exact = view.archive.records[readable.iloc[0]]["settings"] if len(readable) else {}
    return {
        "root": str(view.archive.root),
        "groups": list(GROUPS),
        "exact": {name: value for name, value in exact.items() if name not in apart},
        "defaults": _defaults(used),
    }


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
    values = _values(conf_dir() / group / f"{name}.yaml")
    values.pop("defaults", None)
    schema = AugmentationConfig if group == AUGMENTATION else schema_of(group, values["name"])
    merged = OmegaConf.to_container(OmegaConf.merge(OmegaConf.structured(schema), values))
    fields = flatten({group: merged})
    return {field: value for field, value in fields.items() if field != group}


def _values(path: Path) -> Settings:
    found = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(found, dict)
    return {str(name): value for name, value in found.items()}
