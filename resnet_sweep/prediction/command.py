"""From the options to a folder of predictions.

load the nets; find what is wrong with any of the inputs
for each input: read a batch, see it in each view, average the nets' probabilities
    score where there are labels; write into a temporary folder
write the accuracies on all inputs; then the folder gets its name
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from resnet_sweep.config.predict import PredictConfig
from resnet_sweep.data.labels import describe_number_order
from resnet_sweep.prediction.accuracy_table import (
    STEM,
    WIDTH,
    Row,
    accuracy_report,
    accuracy_rows,
)
from resnet_sweep.prediction.inputs import Input, read_inputs
from resnet_sweep.prediction.output import describe_outcome, write_outcome
from resnet_sweep.prediction.predicting import load_nets
from resnet_sweep.prediction.scoring import Outcome, predict_set
from resnet_sweep.reporting.report import Report, print_report, write_files
from resnet_sweep.system.console import say
from resnet_sweep.system.staging import staged_folder

MAX_NAMES = 10


def predict_inputs(config: PredictConfig, folder: Path) -> None:
    """Predict every input into a new folder; each of several has a folder of its own there.

    Raises:
        UserError: in one line, which file and position; nothing is left.
    """
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    nets = load_nets(config.run, config.device, config.precision)
    inputs = read_inputs(nets, config)
    for each in inputs:
        say(f"recognised: {_prefix(each, inputs)}{each.images.layout}; {len(each.images)} images")
    say(f"classes of this net: {_first_names(nets[0].class_names)}")
    if config.labels == "indices":
        order = describe_number_order(nets[0].class_names)
        told = "labels=indices writes the place of a class in this order, counted from 0"
        say(f"{told}; {order}" if order else told)
    rows: list[Row] = []
    with staged_folder(folder) as stage:
        for each in inputs:
            place = stage if len(inputs) == 1 else stage / each.folder
            place.mkdir(exist_ok=True)
            outcome = predict_set(nets, each.images, config, each.notes)
            _write(place, outcome, config)
            for line in _describe(outcome):
                say(f"{_prefix(each, inputs)}{line}")
            rows += accuracy_rows(outcome, config.each)
        report = accuracy_report(rows, nets, inputs, config)
        if rows:
            _write_accuracies(stage, report, rows, config.figures and len(rows) > 1)
    if len(rows) > 1:
        print_report(report, [folder / f"{STEM}.{suffix}" for suffix in ("md", "csv")], WIDTH)
    say(f"predictions: {folder}")


def _write(folder: Path, outcome: Outcome, config: PredictConfig) -> None:
    write_outcome(folder, outcome, config.labels)
    if config.figures:
        from resnet_sweep.prediction.sheets import draw_sheets  # brings matplotlib

        draw_sheets(folder, outcome)


def _write_accuracies(folder: Path, report: Report, rows: Sequence[Row], with_figure: bool) -> None:
    if not with_figure:
        write_files(folder, report)
        return
    from resnet_sweep.prediction.accuracy_figure import draw_accuracies
    from resnet_sweep.reporting.style import figure_style

    with figure_style():
        write_files(folder, report, draw_accuracies(rows))


def _describe(outcome: Outcome) -> list[str]:
    return [*(f"note: {message}" for message in outcome.messages()), *describe_outcome(outcome)]


def _prefix(each: Input, inputs: Sequence[Input]) -> str:
    return f"{each.images.path}: " if len(inputs) > 1 else ""


def _first_names(names: Sequence[str]) -> str:
    """Return class names for a line: whatever an image shows, it gets one of them."""
    rest = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + rest
