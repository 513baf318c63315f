"""Schema of the command `python -m resnet_sweep.predict`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from resnet_sweep.config.data import BACKGROUNDS
from resnet_sweep.config.errors import require, require_int, require_one_of
from resnet_sweep.config.paths import distinct_paths
from resnet_sweep.config.train import DEVICES, PRECISIONS

TTA_MODES = ("none", "flip", "flip_shift")
LABEL_STYLES = ("names", "indices")
RUNS = "must be a run folder, or a list of different ones: run=[a,b]"


@dataclass
class PredictConfig:
    """What to predict, with which nets.

    Args:
        run: a run folder, or several: run=[a,b,c] averages their probabilities; after the checks
            always a list; required.
        input: a file or folder of images, with labels or without; required.
        output: folder to make; written whole or not at all.
        labels: `names` or `indices` in predictions.csv; an index is the place of a class in the
            order of the run, counted from 0, also where class names are numbers.
        tta: `none`, `flip` (image and mirror image) or `flip_shift` (both, unmoved and moved by
            a pixel to two corners): the mean of the probabilities over these views, reported
            beside the plain numbers and never instead of them.
        device: `auto`, `cpu`, `cuda` or `mps`, whatever the run was trained on.
        precision: null: the run's own on a GPU, else fp32.
        batch_size: images at once; null: as in the evaluations of training.
        num_threads: CPU threads; null: torch's choice.
        background: what transparent images are laid over, black or white; null: what the nets
            were trained with (data.background), or black.
        figures: draw the sheets of images and the confusion matrix.
        progress: show a progress bar on a terminal.
    """

    run: Any = None
    input: Optional[str] = None
    output: str = "outputs/predictions"
    labels: str = "names"
    tta: str = "none"
    device: str = "auto"
    precision: Optional[str] = None
    batch_size: Optional[int] = None
    num_threads: Optional[int] = None
    background: Optional[str] = None
    figures: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        self.run = distinct_paths("run", self.run, RUNS)
        require(bool(self.input), "input", self.input, "must be a file or folder of images")
        require(bool(self.output), "output", self.output, "must be a folder to make")
        require_one_of("labels", self.labels, LABEL_STYLES)
        require_one_of("tta", self.tta, TTA_MODES)
        require_one_of("device", self.device, DEVICES)
        require_one_of("precision", self.precision, PRECISIONS, or_null=True)
        require_int("batch_size", self.batch_size, 1, or_null=True)
        require_one_of("background", self.background, BACKGROUNDS, or_null=True)
        require_int("num_threads", self.num_threads, 1, 1024, or_null=True)
