"""Schema of `python -m resnet_sweep.shift`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from resnet_sweep.config.train import DEVICES
from resnet_sweep.errors import ConfigError, require, require_int, require_one_of

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
        self.run = paths_of("run", self.run)
        self.custom = paths_of("custom", self.custom)
        require(len(self.run) > 0, "run", None, "must be a run folder or a list of them")
        require(is_text(self.output), "output", self.output, "must be a folder")
        for name in self.corruptions:
            require_one_of("corruptions", name, CORRUPTIONS)
        for name in ("run", "custom", "corruptions"):
            values = getattr(self, name)
            require(len(set(values)) == len(values), name, values, "names one of them twice")
        require_int("seed", self.seed, 0, 2**63 - 1)
        if self.test_subset is not None:
            require_int("test_subset", self.test_subset, 1)
        require_one_of("device", self.device, DEVICES)


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def paths_of(field_name: str, value: Any) -> list[str]:
    """Return the list of paths that a field with one path or a list of them means."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    for item in values:
        if not isinstance(item, (str, int, float)) or isinstance(item, bool) or item == "":
            raise ConfigError(field_name, value, "must be a path or a list of paths")
    return [str(item) for item in values]
