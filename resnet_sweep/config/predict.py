"""Schema of the command `python -m resnet_sweep.predict`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from resnet_sweep.config.data import BACKGROUNDS
from resnet_sweep.config.errors import (
    ConfigError,
    distinct_paths,
    list_of,
    require,
    require_int,
    require_one_of,
)
from resnet_sweep.config.train import DEVICES, PRECISIONS

TTA_MODES = ("none", "flip", "flip_shift")
LABEL_STYLES = ("names", "indices")
RUNS = "must be a run folder, or a list of different ones: run=[a,b]"
TEST, CORRUPTED = "test", "corruptions"
OWN_INPUTS = (TEST, CORRUPTED)  # as values of input; a folder of such a name is ./test
INPUTS = "must be test, corruptions, a file or folder of images, or a list of different ones"
NUM_STRENGTHS = 5
# Names as the files of CIFAR-10-C have them.
CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "gaussian_blur",
    "defocus_blur",
    "brightness",
    "contrast",
    "jpeg_compression",
)


@dataclass
class PredictConfig:
    """What to predict, with which nets.

    Args:
        run: a run folder, or several: run=[a,b,c] averages their probabilities; after the checks
            always a list; required.
        input: test (the test set of the first run's data), corruptions (that test set under each
            of `corruptions`, at five strengths), a file or folder of images, with labels or
            without (./test for a folder called so), or a list of these:
            input=[test,corruptions,my_folder]; after the checks always a list; required.
        each: of several runs, each one has rows of its own in the table of accuracies, beside
            their average.
        corruptions: what input=corruptions tries: some of gaussian_noise, shot_noise,
            impulse_noise, gaussian_blur, defocus_blur, brightness, contrast and
            jpeg_compression, with the parameters of CIFAR-10-C.
        seed: of the noise, and of the images that test_subset draws.
        test_subset: that many test images for `test` and `corruptions`; null: all.
        data_root: where the runs' data lie now; null: where the first run read them.
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
        figures: draw the sheets of images, the confusion matrix and the figure of accuracies.
        progress: show a progress bar on a terminal.
    """

    run: Any = None
    input: Any = None
    each: bool = False
    corruptions: list[str] = field(default_factory=lambda: list(CORRUPTIONS))
    seed: int = 0
    test_subset: Optional[int] = None
    data_root: Optional[str] = None
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
        self.input = _inputs(self.input)
        for name in self.corruptions:
            require_one_of("corruptions", name, CORRUPTIONS)
        is_distinct = len(set(self.corruptions)) == len(self.corruptions)
        require(is_distinct, "corruptions", self.corruptions, "names one of them twice")
        is_some = len(self.corruptions) > 0 or CORRUPTED not in self.input
        require(is_some, "corruptions", self.corruptions, "must name one for input=corruptions")
        require_int("seed", self.seed, 0, 2**32 - 1)
        require_int("test_subset", self.test_subset, 1, or_null=True)
        is_own = not set(self.input).isdisjoint(OWN_INPUTS)
        for name in ("test_subset", "data_root"):
            value = getattr(self, name)
            allowed = "is of no use without test or corruptions among the inputs"
            require(value is None or is_own, name, value, allowed)
        is_default = self.corruptions == list(CORRUPTIONS)
        allowed = "is of no use without corruptions among the inputs"
        require(is_default or CORRUPTED in self.input, "corruptions", self.corruptions, allowed)
        allowed = "is of no use without a file or folder of images among the inputs"
        has_files = not set(self.input) <= set(OWN_INPUTS)
        require(self.background is None or has_files, "background", self.background, allowed)
        allowed = "is of no use with one run"
        require(not self.each or len(self.run) > 1, "each", self.each, allowed)
        require(bool(self.output), "output", self.output, "must be a folder to make")
        require_one_of("labels", self.labels, LABEL_STYLES)
        require_one_of("tta", self.tta, TTA_MODES)
        require_one_of("device", self.device, DEVICES)
        require_one_of("precision", self.precision, PRECISIONS, or_null=True)
        require_int("batch_size", self.batch_size, 1, or_null=True)
        require_one_of("background", self.background, BACKGROUNDS, or_null=True)
        require_int("num_threads", self.num_threads, 1, 1024, or_null=True)


def _inputs(value: Any) -> list[str]:
    try:
        values = list_of("input", value)
    except ConfigError:
        raise ConfigError("input", value, INPUTS) from None
    own = [each for each in values if each in OWN_INPUTS]
    require(len(values) > 0 and len(own) == len(set(own)), "input", value, INPUTS)
    paths = [each for each in values if each not in OWN_INPUTS]
    if paths:
        distinct_paths("input", paths, INPUTS)
    return values
