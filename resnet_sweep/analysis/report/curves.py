"""The curves of all runs, packed: half floats, differences, byte planes, deflated by parts."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resnet_sweep.analysis.view import Curves

SERIES = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
MAX_POINTS = 1_000_000
MIN_POINTS_OF_RUN = 20
RUNS_OF_PART = 64


@dataclass(frozen=True)
class CurveData:
    """Curves as parts of RUNS_OF_PART runs, each base64 of deflated bytes.

    A part holds, for each run, its epochs (uint16) and each of SERIES (float16, as their bits):
    within one column each number but the first is the difference from the one before, modulo
    2^16. All low bytes come first, then all high ones.

    Args:
        parts: in the order of the runs.
        counts: points of each run, in order.
        limit: most points of a run; longer ones are thinned, first and last kept.
    """

    parts: list[str]
    counts: list[int]
    limit: int


def pack_curves(curves: Curves, runs: list[str]) -> CurveData:
    """Return the curves of these runs, thinned where there are more than a million points."""
    limit = max(MIN_POINTS_OF_RUN, MAX_POINTS // max(1, len(runs)))
    parts: list[str] = []
    counts: list[int] = []
    for start in range(0, len(runs), RUNS_OF_PART):
        columns: list[npt.NDArray[np.uint16]] = []
        for run in runs[start : start + RUNS_OF_PART]:
            found = _columns(curves, run, limit)
            counts.append(len(found[0]))
            columns += found
        parts.append(_packed(columns))
    return CurveData(parts, counts, limit)


def _columns(curves: Curves, run: str, limit: int) -> list[npt.NDArray[np.uint16]]:
    epochs = curves.curve(run, "epoch")
    chosen = _chosen(len(epochs), limit)
    with np.errstate(over="ignore"):
        values = [curves.curve(run, name)[chosen].astype("<f2").view("<u2") for name in SERIES]
    return [np.minimum(epochs[chosen], 65535).astype("<u2"), *values]


def _packed(columns: list[npt.NDArray[np.uint16]]) -> str:
    zero = np.zeros(1, "<u2")
    changes = [np.diff(column, prepend=zero) for column in columns]  # modulo 2^16, as uint16 does
    content = np.concatenate(changes).astype("<u2").view(np.uint8)
    planes = content[0::2].tobytes() + content[1::2].tobytes()
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(packer.compress(planes) + packer.flush()).decode()


def _chosen(count: int, limit: int) -> npt.NDArray[np.int64]:
    if count <= limit:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, limit).round().astype(np.int64))
