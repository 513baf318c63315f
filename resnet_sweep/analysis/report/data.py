"""The table of the page: its columns, and the settings that all runs share."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from resnet_sweep.analysis.filters import TEST_COLUMNS
from resnet_sweep.analysis.runs import differing_settings, setting_names, text_of
from resnet_sweep.analysis.view import View

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


def embed_json(value: Any) -> str:
    """Return JSON that no HTML parser takes for markup."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
