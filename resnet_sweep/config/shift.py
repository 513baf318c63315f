"""Schema of `python -m resnet_sweep.shift`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from resnet_sweep.config.errors import require, require_int, require_one_of
from resnet_sweep.config.paths import distinct_paths
from resnet_sweep.config.predict import RUNS
from resnet_sweep.config.train import DEVICES

NUM_STRENGTHS = 5
SETS = "must be a labelled custom set, or a list of different ones: custom=[a,b]"
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
class ShiftConfig:
    """Which models are tried on which shifted images.

    Args:
        run: a run folder, or a list of them.
        custom: labelled custom sets, a path or a list.
        corruptions: those of CORRUPTIONS that are tried.
        seed: of the noise and of the test images drawn.
        test_subset: that many test images, drawn by `seed`; null: all.
        data_root: where the runs' data lie now; null: where each run read them.
        output: folder of the tables and the figure.
        device: as train.device.
    """

    run: Any = None
    custom: Any = field(default_factory=list)
    corruptions: list[str] = field(default_factory=lambda: list(CORRUPTIONS))
    seed: int = 0
    test_subset: Optional[int] = None
    data_root: Optional[str] = None
    output: str = "outputs/shift"
    device: str = "auto"

    def __post_init__(self) -> None:
        self.run = distinct_paths("run", self.run, RUNS)
        self.custom = distinct_paths("custom", self.custom, SETS) if self.custom else []
        require(bool(self.output), "output", self.output, "must be a folder to make")
        for name in self.corruptions:
            require_one_of("corruptions", name, CORRUPTIONS)
        is_distinct = len(set(self.corruptions)) == len(self.corruptions)
        require(is_distinct, "corruptions", self.corruptions, "names one of them twice")
        require_int("seed", self.seed, 0, 2**63 - 1)
        require_int("test_subset", self.test_subset, 1, or_null=True)
        require_one_of("device", self.device, DEVICES)
