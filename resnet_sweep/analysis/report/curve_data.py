"""The curves of all runs in a form that a browser opens at once and decodes one by one."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from resnet_sweep.analysis.view import Curves

SERIES = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
MAX_POINTS = 500_000
MIN_POINTS_OF_RUN = 20


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
