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
        rows = [_chosen(curves.rows(run), limit) for run in runs[start : start + RUNS_OF_PART]]
        parts.append(_packed(_changes(curves, rows)))
        counts += map(len, rows)
    return CurveData(parts, counts, limit)


def _chosen(rows: slice, limit: int) -> npt.NDArray[np.int64]:
    """Return which rows of the curves a run has in the page."""
    count = rows.stop - rows.start
    places = np.arange(rows.start, rows.stop)
    if count <= limit:
        return places
    return places[np.unique(np.linspace(0, count - 1, limit).round().astype(np.int64))]


def _changes(curves: Curves, rows: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.uint16]:
    """Return the content of a part, run after run and in each column after column."""
    joined = np.concatenate(rows)
    epochs = np.minimum(curves.columns["epoch"][joined], 65535).astype("<u2")
    with np.errstate(over="ignore"):
        values = [curves.columns[name][joined].astype("<f2").view("<u2") for name in SERIES]
    columns = np.stack([epochs, *values])
    changes = np.diff(columns, prepend=np.zeros((len(columns), 1), "<u2"))  # modulo 2^16
    ends = np.cumsum([len(each) for each in rows])
    starts = np.concatenate([[0], ends[:-1]])
    firsts = starts[starts < ends]
    changes[:, firsts] = columns[:, firsts]
    of_runs = [changes[:, start:end].ravel() for start, end in zip(starts, ends, strict=True)]
    return np.concatenate(of_runs)


def _packed(changes: npt.NDArray[np.uint16]) -> str:
    content = changes.astype("<u2").view(np.uint8)
    planes = content[0::2].tobytes() + content[1::2].tobytes()
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(packer.compress(planes) + packer.flush()).decode()
