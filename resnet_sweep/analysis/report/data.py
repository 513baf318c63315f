"""What the page shows, as columns and curves for its script."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from resnet_sweep.analysis.filters import TEST_COLUMNS
from resnet_sweep.analysis.runs import differing_settings, setting_names, text_of
from resnet_sweep.analysis.view import Curves, View

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
SERIES = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
MAX_POINTS = 500_000
MIN_POINTS_OF_RUN = 20


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
    texts = column.map(lambda value: text_of(value), na_action="ignore")
    codes, levels = pd.factorize(texts)
    return {**description, "kind": "text", "codes": codes.tolist(), "levels": levels.tolist()}


def _numbers(runs: pd.DataFrame, name: str) -> list[Any]:
    """Return numbers; null: there is none; the text NaN: it was not a number."""
    lost = (runs["status"] == "diverged") & (name in ("val_accuracy", "val_loss"))
    values = runs[name].astype("object").tolist()
    return [_number(value, was_lost) for value, was_lost in zip(values, lost.tolist(), strict=True)]


def _number(value: Any, was_lost: bool) -> Any:
    if pd.isna(value):
        return "NaN" if was_lost else None
    return value if isinstance(value, int) or math.isfinite(value) else str(value)


def embed_json(value: Any) -> str:
    """Return JSON that no HTML parser takes for markup."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@dataclass(frozen=True)
class CurveData:
    """Curves as base64 of little-endian 16-bit numbers.

    Args:
        text: for each run its epochs (uint16), then each of SERIES (float16).
        counts: points of each run, in order.
        limit: most points of a run; longer ones are thinned, first and last kept.
    """

    text: str
    counts: list[int]
    limit: int


def encode_curves(curves: Curves, runs: list[str]) -> CurveData:
    """Return the curves of these runs, thinned where there are more than 500,000 points."""
    limit = max(MIN_POINTS_OF_RUN, MAX_POINTS // max(1, len(runs)))
    parts, counts = [], []
    for run in runs:
        epochs = curves.curve(run, "epoch")
        chosen = _chosen(len(epochs), limit)
        counts.append(len(chosen))
        parts.append(np.minimum(epochs[chosen], 65535).astype("<u2").tobytes())
        with np.errstate(over="ignore"):
            parts += [curves.curve(run, name)[chosen].astype("<f2").tobytes() for name in SERIES]
    return CurveData(base64.b64encode(b"".join(parts)).decode(), counts, limit)


def _chosen(count: int, limit: int) -> np.ndarray:
    if count <= limit:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, limit).round().astype(np.int64))
