"""Schema of the `train` group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from resnet_sweep.config.errors import require_int, require_number, require_one_of

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "mps")
COMPILE_MODES = ("auto", "none", "graph", "inductor")


@dataclass
class TrainConfig:
    """How the run is carried out.

    Args:
        epochs: passes over the training images.
        batch_size: images a step; a last, smaller batch of an epoch is left out.
        start_image_size: side of the training images in the first epoch, from which it grows
            (progressive resizing; Howard 2018); needs a global pool; null: full size throughout.
        full_size_from: part of the run after which they have their full size.
        precision: `auto`: bf16 on a GPU of compute capability 8.0 or more and on a CPU with
            AVX512-BF16 or AMX, fp16 on a GPU of 7.0 or more, otherwise fp32. A run that goes on
            keeps the one that it began with.
        device: `auto`: the first of cuda, mps, cpu that works.
        compile: `none`; `graph`: the step as a CUDA graph; `inductor`: torch.compile;
            `auto`: on a CUDA device graph, or inductor where the run is long enough to repay
            the compilation (by estimate, 1e16 multiply-adds); elsewhere, and with fp16, none.
        channels_last: keep images and kernels in NHWC order in memory, which is faster.
        deterministic: only deterministic kernels; slower on a GPU.
        checkpoint_interval_seconds: least time between two checkpoints.
        num_threads: CPU threads; null: torch's choice.
        progress: show a progress bar on a terminal.
        figures: draw the curves and the diagram of the net.
    """

    name: str = "default"
    epochs: int = 100
    batch_size: int = 128
    start_image_size: Optional[int] = None
    full_size_from: float = 0.75
    precision: str = "auto"
    device: str = "auto"
    compile: str = "auto"
    channels_last: bool = True
    deterministic: bool = False
    checkpoint_interval_seconds: float = 30.0
    num_threads: Optional[int] = None
    progress: bool = True
    figures: bool = True

    def __post_init__(self) -> None:
        require_int("train.epochs", self.epochs, 1)
        require_int("train.batch_size", self.batch_size, 1)
        require_int("train.start_image_size", self.start_image_size, 4, or_null=True)
        require_number("train.full_size_from", self.full_size_from, 0, 1)
        require_one_of("train.precision", self.precision, PRECISIONS)
        require_one_of("train.device", self.device, DEVICES)
        require_one_of("train.compile", self.compile, COMPILE_MODES)
        require_number("train.checkpoint_interval_seconds", self.checkpoint_interval_seconds, 0)
        require_int("train.num_threads", self.num_threads, 1, 1024, or_null=True)
