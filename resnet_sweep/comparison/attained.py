"""What the runs of one recipe attained, read from their folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.run_folder import read_config, read_result
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.statistics import Interval, mean_interval
from resnet_sweep.reporting.tables import Table

KNOWN_DATA = {"cifar10": "CIFAR-10, original images", "cifar10-jpeg": "CIFAR-10, JPEG copy"}


@dataclass(frozen=True)
class Attained:
    """One row of a table of results.

    Args:
        seconds: of training, median over the runs.
        data: which images, and how many a run was trained on at most.
    """

    name: str
    num_params: int
    epochs: int
    accuracy: Interval
    seconds: float
    device: str
    data: str


def attained(name: str, run_dirs: list[Path]) -> Attained:
    """Return the test accuracy of completed runs of one recipe.

    Raises:
        UserError: they are no runs of one recipe on the same images, or were not tested.
    """
    results = [read_result(run_dir) for run_dir in run_dirs]
    config = read_config(run_dirs[0])
    first = results[0]
    alike = {(r.num_params, r.epochs, r.data_fingerprint) for r in results}
    accuracies = [r.test_accuracy for r in results if r.test_accuracy is not None]
    if len(alike) > 1 or len(accuracies) < len(results):
        raise UserError(
            f"{run_dirs[0].parent}: its runs of {name} are no runs of one tested recipe"
        )
    return Attained(
        name=name,
        num_params=first.num_params,
        epochs=first.epochs,
        accuracy=mean_interval(accuracies),
        seconds=median(r.train_seconds for r in results),
        device=", ".join(sorted({r.device for r in results})),
        data=describe_data(config.data),
    )


def describe_data(data: DataConfig) -> str:
    """Return which images these are: two copies of one set are two sets."""
    stem = data.name if data.name != "image_folder" or data.root is None else Path(data.root).name
    name = KNOWN_DATA.get(stem, stem)
    return name if data.train_subset is None else f"{name}, {data.train_subset:,} for training"


def attained_table(rows: list[Attained]) -> Table:
    columns = ["parameters", "epochs", "n", "test %", "sd", "95% interval", "seconds a run"]
    columns += ["device", "data", "recipe"]
    return Table(columns, list(map(_row, rows)), 7)


def _row(row: Attained) -> list[str]:
    accuracy = row.accuracy
    bounds = point_bounds(accuracy.low, accuracy.high, ".2f")
    cells = [f"{row.num_params:,}", str(row.epochs), str(accuracy.n)]
    cells += [points(accuracy.mean, ".2f"), points(accuracy.sd, ".2f"), bounds]
    return [*cells, f"{row.seconds:.0f}", row.device, row.data, row.name]
