"""A record's nets with test-time augmentation, from what predict has written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.record.reading import naming
from benchmarks.record.versions import short_commits
from resnet_sweep.records.run_folder import read_json
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.statistics import mean_interval
from resnet_sweep.reporting.tables import Table, to_markdown

VIEWS = {"flip": 2, "flip_shift": 6}  # of each image, by predict's `tta`
COLUMNS = ["views", "n", "mean %", "sd", "95% interval", "tta", "commit"]


def augmented_lines(folder: Path) -> Iterator[str]:
    """Yield a table of the same nets by test-time augmentation; nothing where none was tried."""
    rows = [_row(folder, mode) for mode in VIEWS if _path(folder, mode).exists()]
    if rows:
        yield to_markdown(Table(COLUMNS, rows, 5))
        yield "By `predict ... each=true`, as in the Makefile.\n"


def _path(folder: Path, mode: str) -> Path:
    return folder / f"tta_{mode}" / "accuracy.json"


def _row(folder: Path, mode: str) -> list[str]:
    with naming(_path(folder, mode)):
        values = read_json(_path(folder, mode))
        mean = mean_interval(list(_accuracies(values, f", tta={mode}")))
        commit = short_commits(values["git_commit"])
    cells = [points(mean.mean, ".2f"), points(mean.sd, ".2f")]
    bounds = point_bounds(mean.low, mean.high, ".2f")
    return [str(VIEWS[mode]), str(mean.n), *cells, bounds, mode, commit]


def _accuracies(values: dict[str, Any], ending: str) -> Iterator[float]:
    """Yield the accuracy on the test set of each net by itself, with its views."""
    nets = {f"{net['run']}{ending}" for net in values["nets"]}
    for row in values["accuracies"]:
        if row["input"] == "test" and row["net"] in nets:
            yield float(row["accuracy"])
