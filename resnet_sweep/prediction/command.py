"""From the options to a folder of predictions.

load the nets; find what is wrong with any of the inputs
for each input: read a batch, see it in each view, average the nets' probabilities
    score where there are labels; write into a temporary folder
write the accuracies on all inputs; then the folder gets its name
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from resnet_sweep.config.predict import PredictConfig
from resnet_sweep.data.labels import describe_number_order
from resnet_sweep.prediction.accuracies import (
    STEM,
    WIDTH,
    Row,
    accuracy_report,
    accuracy_rows,
    draw_accuracies,
)
from resnet_sweep.prediction.inputs import Input, read_inputs
from resnet_sweep.prediction.output import describe_outcome, write_outcome
from resnet_sweep.prediction.predicting import VIEWS, load_nets, predict
from resnet_sweep.prediction.scoring import Outcome
from resnet_sweep.prediction.sheets import draw_sheets
from resnet_sweep.reporting.report import print_report, write_files
from resnet_sweep.reporting.style import figure_style
from resnet_sweep.system.console import say
from resnet_sweep.system.staging import staged_folder
from resnet_sweep.training.trained_net import TrainedNet

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
    names, is_one = nets[0].class_names, len(inputs) == 1
    for each in inputs:
        prefix = "" if is_one else f"{each.images.path}: "
        say(f"recognised: {prefix}{each.images.layout}; {len(each.images)} images")
    rest = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    say(f"classes of this net: {', '.join(names[:MAX_NAMES])}{rest}")
    if config.labels == "indices":
        order = describe_number_order(names)
        told = "labels=indices writes the place of a class in this order, counted from 0"
        say(f"{told}; {order}" if order else told)
    rows: list[Row] = []
    with staged_folder(folder) as stage:
        for each in inputs:
            place = stage if is_one else stage / each.folder
            place.mkdir(exist_ok=True)
            outcome = _predict(nets, each, config)
            write_outcome(place, outcome, config.labels)
            if config.figures:
                draw_sheets(place, outcome)
            notes = (f"note: {message}" for message in outcome.messages())
            for line in (*notes, *describe_outcome(outcome)):
                say(line if is_one else f"{each.images.path}: {line}")
            rows += accuracy_rows(outcome, config.each)
        report = accuracy_report(rows, nets, inputs, config)
        if rows:
            with figure_style():
                has_figure = config.figures and len(rows) > 1
                write_files(stage, report, draw_accuracies(rows) if has_figure else None)
    if len(rows) > 1:
        print_report(report, [folder / f"{STEM}.{suffix}" for suffix in ("md", "csv")], WIDTH)
    say(f"predictions: {folder}")


def _predict(nets: Sequence[TrainedNet], given: Input, config: PredictConfig) -> Outcome:
    views, images = VIEWS[config.tta], given.images
    start = time.perf_counter()
    found = predict(nets, images.images, views, config.batch_size, config.progress)
    seconds = time.perf_counter() - start
    return Outcome(nets, images, found, (config.tta, len(views)), seconds, given.notes)
