"""Recipes on the test set, from the command line to their report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from resnet_sweep.comparison.attained import Attained, attained, attained_table
from resnet_sweep.comparison.command import STUDY, TEST, Sitting
from resnet_sweep.comparison.planning import plan_measurement, with_seeds
from resnet_sweep.comparison.results import completed_share, failures
from resnet_sweep.comparison.writing import Report, write_report
from resnet_sweep.config.effects import MeasureConfig
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.system.console import say

STEM = "measured"
DEFAULT_FOLDER = "outputs/measured"


def measure(options: MeasureConfig, given: list[str], sitting: Sitting) -> None:
    """Train what is not trained yet, each run to be tested once, and report."""
    folder = Path(options.folder or DEFAULT_FOLDER)
    configs = plan_measurement(options.experiments, given)
    say(f"measurement: {folder}; {', '.join(options.experiments)}")
    ended = sitting.train(folder, with_seeds(options.experiments, configs, options.num_seeds), TEST)
    runs: dict[str, list[Path]] = {name: [] for name in options.experiments}
    for run in ended:
        if run.accuracy is not None:
            runs[run.configuration].append(folder / STUDY / RUNS / run.run_dir)
    found = [attained(name, dirs) for name, dirs in runs.items() if dirs]
    report = Report(
        STEM,
        "Recipes on the test set",
        sitting.command,
        [("Test accuracy of the last epoch", attained_table(found))],
        [completed_share(ended), *failures(ended), "the test set chose nothing here"],
        list(map(_values, found)),
        {"recipes": list(map(_values, found)), "runs": [asdict(run) for run in ended]},
    )
    write_report(folder, report)


def _values(found: Attained) -> dict[str, object]:
    return asdict(found)
