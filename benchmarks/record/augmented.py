"""A record's nets with test-time augmentation, from what predict has written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.record.reading import naming
from resnet_sweep.records.run_folder import read_json
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.statistics import mean_interval
from resnet_sweep.reporting.tables import Table, to_markdown

VIEWS = {"flip": 2, "flip_shift": 6}  # of each image, by predict's `tta`
COLUMNS = ["views", "n", "mean %", "sd", "95% interval", "tta"]


def augmented_lines(folder: Path) -> Iterator[str]:
    """Yield a table of the same nets by test-time augmentation; nothing where none was tried."""
    rows = [row for mode in VIEWS if (row := _row(folder, mode)) is not None]
    if rows:
        yield to_markdown(Table(COLUMNS, rows, 5))


def _row(folder: Path, mode: str) -> list[str] | None:
    path = folder / f"tta_{mode}" / "accuracy.json"
    if not path.exists():
        return None
    with naming(path):
        values = read_json(path)
        accuracies = list(_accuracies(values, f", tta={mode}"))
    mean = mean_interval(accuracies)
    cells = [points(mean.mean, ".2f"), points(mean.sd, ".2f")]
    return [str(VIEWS[mode]), str(mean.n), *cells, point_bounds(mean.low, mean.high, ".2f"), mode]


def _accuracies(values: dict[str, Any], ending: str) -> Iterator[float]:
    """Yield the accuracy on the test set of each net by itself, with its views."""
    nets = {f"{net['run']}{ending}" for net in values["nets"]}
    for row in values["accuracies"]:
        if row["input"] == "test" and row["net"] in nets:
            yield float(row["accuracy"])
