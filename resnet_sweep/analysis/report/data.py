"""The data of the page: its table, and what the commands of a run are made from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from resnet_sweep.analysis.archive import flatten
from resnet_sweep.analysis.filters import TEST_COLUMNS
from resnet_sweep.analysis.runs import differing_settings, setting_names, text_of
from resnet_sweep.analysis.view import View
from resnet_sweep.config.augmentation import AugmentationConfig
from resnet_sweep.config.compose import SCHEMAS, conf_dir, schema_of

COLUMNS = (
    "run",
    "status",
    "val_accuracy",
    "num_params",
    "epochs",
    "train_seconds",
    "sweep",
    "trial",
    "configuration",
)
MORE_COLUMNS = (
    "val_loss",
    "test_accuracy",
    "test_loss",
    "objective",
    "multiply_adds",
    "images_per_second",
    "peak_memory_bytes",
    "device",
    "reason",
    "trial_state",
    "rung",
    "repeat_of",
    "split",
)
AUGMENTATION = "augmentation"
GROUPS = (*SCHEMAS, AUGMENTATION)
TOP_FIELDS = ("seed", "evaluate_test")
OWN_FIELDS = ("schema_version", "resume")  # of the file, not of the run


def table_data(view: View) -> dict[str, Any]:
    """Return columns in the order shown, and the settings that all runs share."""
    runs = view.runs
    differing = differing_settings(runs)
    ordered = [*view.differing, *(name for name in differing if name not in view.differing)]
    names = [n for n in COLUMNS if runs[n].notna().any()] + ordered
    names += [n for n in MORE_COLUMNS if runs[n].notna().any()]
    readable = runs[runs["configuration"].notna()].head(1)
    shared = {
        name: text_of(readable[name].iloc[0])
        for name in setting_names(runs)
        if name not in differing and len(readable)
    }
    return {
        "columns": [_column(runs, name) for name in names],
        "shared": {name: text for name, text in sorted(shared.items()) if text},
        "settings": ordered,
    }


def _column(runs: pd.DataFrame, name: str) -> dict[str, Any]:
    column = runs[name]
    is_number = is_numeric_dtype(column) and not is_bool_dtype(column)
    description = {"name": name, "sortable": name not in TEST_COLUMNS}
    if is_number:
        return {**description, "kind": "number", "values": _numbers(runs, name)}
    texts = column.map(text_of, na_action="ignore") if is_bool_dtype(column) else column
    codes, levels = pd.factorize(texts)
    return {**description, "kind": "text", "codes": codes.tolist(), "levels": levels.tolist()}


def _numbers(runs: pd.DataFrame, name: str) -> list[Any]:
    """Return numbers; null: there is none; the text NaN: it was not a number."""
    lost = (runs["status"] == "diverged") & (name in ("val_accuracy", "val_loss"))
    columns = (runs[name].astype("object"), runs[name].isna(), lost)
    cells = zip(*(column.tolist() for column in columns), strict=True)
    numbers: list[Any] = []
    for value, is_absent, was_lost in cells:
        if is_absent:
            numbers.append("NaN" if was_lost else None)
        else:
            is_finite = isinstance(value, int) or math.isfinite(value)
            numbers.append(value if is_finite else str(value))
    return numbers


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
    root = view.archive.root
    is_run = [each.path.absolute() for each in view.archive.found] == [root.absolute()]
    return {
        "root": str(root.parent if is_run else root),
        "groups": list(GROUPS),
        "exact": {name: value for name, value in exact.items() if name not in apart},
        "defaults": _defaults(used),
    }


def _defaults(used: dict[str, list[str]]) -> dict[str, Any]:
    """Return what the command line without overrides gives, and each option that was used.

    Read from the files: composing takes Hydra half a second. An option that the project does not
    have, from a file of the user's own, is left out; the page then starts from the default one.
    """
    primary = _values(conf_dir() / "config.yaml")
    base = {name: primary[name] for name in TOP_FIELDS}
    for entry in primary["defaults"]:
        for group, option in entry.items() if isinstance(entry, dict) else ():
            if group in GROUPS:
                base[group] = "+".join(option) if isinstance(option, list) else option
    known = {group: {path.stem for path in (conf_dir() / group).glob("*.yaml")} for group in used}
    options = {
        group: {name: _option(group, name) for name in sorted({*names, base[group]} & known[group])}
        for group, names in used.items()
    }
    return {"base": base, "options": options}


def _option(group: str, name: str) -> dict[str, Any]:
    """Return the fields of an option: those of its schema, and over them those of its file."""
    values = _values(conf_dir() / group / f"{name}.yaml")
    values.pop("defaults", None)
    schema = AugmentationConfig if group == AUGMENTATION else schema_of(group, values["name"])
    merged = OmegaConf.to_container(OmegaConf.merge(OmegaConf.structured(schema), values))
    fields = flatten({group: merged})
    return {field: value for field, value in fields.items() if field != group}


def _values(path: Path) -> dict[str, Any]:
    found = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(found, dict)
    return {str(name): value for name, value in found.items()}


def embed_json(value: Any) -> str:
    """Return JSON that no HTML parser takes for markup."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
