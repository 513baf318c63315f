"""Progressive resizing: sizes by epoch, and what a step then sees."""

from __future__ import annotations

import pytest
import torch
from conftest import make_tiny_config
from device_waits import WAITING, Recorder
from test_step import make_step
from torchvision.transforms import v2

from resnet_sweep.config.train import TrainConfig
from resnet_sweep.data.augmentation.geometry import resize, train_image_size


def sizes(full: int = 32, **fields: object) -> list[int]:
    config = TrainConfig(epochs=8, **fields)  # type: ignore[arg-type]
    return [train_image_size(config, epoch, full) for epoch in range(8)]


def test_sizes_grow_in_steps_of_four() -> None:
    assert sizes() == [32] * 8
    assert sizes(start_image_size=16, full_size_from=1.0) == [16, 16, 20, 20, 24, 24, 28, 28]
    assert sizes(start_image_size=16, full_size_from=0.5) == [16, 20, 24, 28, 32, 32, 32, 32]
    assert sizes(start_image_size=18, full_size_from=0.5) == [18, 20, 24, 28, 32, 32, 32, 32]
    assert sizes(start_image_size=16, full_size_from=0.0) == [32] * 8
    assert sizes(full=12, start_image_size=16) == [12] * 8


@pytest.mark.parametrize("size", [16, 20, 28])
def test_resizing_is_torchvisions(size: int) -> None:
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(resize(images, size), v2.functional.resize(images, [size, size]))
    assert resize(images, 32) is images


def test_a_step_sees_the_small_images() -> None:
    step = make_step(make_tiny_config())
    step.set_image_size(16)
    images, _ = step._batch(step.part.labels[step.indices])
    assert images.shape[-2:] == (16, 16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    step(torch.arange(64), 0.1, 0)
    with Recorder() as recorder:
        step._step()
    assert recorder.names & WAITING == set()
