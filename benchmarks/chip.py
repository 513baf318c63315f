"""What a device can do at most: a large matrix product and a copy, timed on it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from roofline import Chip

from resnet_sweep.training.device import choose_dtype

MATRIX_SIZE = {"full": 8192, "small": 512}
COPY_BYTES = {"full": 2**31, "small": 2**26}


def measure_chip(device: torch.device, small: bool) -> Chip:
    """Time both in the precision that `train.precision=auto` takes there."""
    form = "small" if small or device.type == "cpu" else "full"
    dtype = choose_dtype("auto", device)
    size = MATRIX_SIZE[form]
    matrix = torch.randn(size, size, device=device).to(dtype)
    buffer = torch.empty(COPY_BYTES[form], dtype=torch.uint8, device=device)
    target = torch.empty_like(buffer)
    product = _median_seconds(lambda: matrix @ matrix, device)
    copy = _median_seconds(lambda: target.copy_(buffer), device)
    return Chip(flops=2 * size**3 / product, bandwidth=2 * buffer.numel() / copy)


def _median_seconds(run: Callable[[], object], device: torch.device, repeats: int = 10) -> float:
    for _ in range(3):
        run()
    seconds = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
