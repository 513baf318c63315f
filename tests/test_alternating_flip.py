"""Alternating flip against its definition."""

from __future__ import annotations

from itertools import pairwise

import torch
from conftest import make_tiny_config
from device_waits import WAITING, Recorder
from test_step import make_step

from resnet_sweep.config.augmentation import AugmentationConfig, CropFlipConfig
from resnet_sweep.data.augmentation import AlternatingFlips, Augmentation
from resnet_sweep.training.step import TrainStep

CPU = torch.device("cpu")


def test_each_image_is_shown_both_ways_in_each_pair_of_epochs() -> None:
    flips, everything = AlternatingFlips(7, 1000, CPU), torch.arange(1000)
    shown = []
    for epoch in range(5):
        flips.set_epoch(epoch)
        shown.append(flips(everything))
    for before, after in pairwise(shown):
        assert torch.equal(before, ~after)
    assert torch.equal(shown[0], shown[2])
    assert 440 < shown[0].sum() < 560  # four standard deviations around the half
    assert not torch.equal(shown[0], AlternatingFlips(8, 1000, CPU)(everything))


def test_it_follows_the_image_and_not_its_place_in_the_batch() -> None:
    flips = AlternatingFlips(7, 100, CPU)
    indices = torch.randperm(100)
    assert torch.equal(flips(indices), flips(torch.arange(100))[indices])


def test_transform_mirrors_the_images_it_is_told() -> None:
    config = AugmentationConfig(crop_flip=CropFlipConfig(padding=0, alternate_flip=True))
    augmentation = Augmentation(config, 10)
    assert augmentation.alternates
    images = torch.randint(0, 256, (8, 3, 6, 6), dtype=torch.uint8)
    flipped = torch.arange(8) % 3 == 0
    expected = torch.where(flipped[:, None, None, None], images.flip(3), images)
    assert torch.equal(augmentation.transform(images, flipped=flipped), expected)


def make_flip_step() -> TrainStep:
    config = make_tiny_config()
    config.augmentation = AugmentationConfig(
        crop_flip=CropFlipConfig(padding=0, alternate_flip=True)
    )
    return make_step(config)


def test_a_step_shows_its_images_the_other_way_in_the_next_epoch() -> None:
    step = make_flip_step()  # 80 images in batches of 64: one step is an epoch
    batches = []
    for i in range(2):
        step(torch.arange(64), 0.0, i)
        batches.append(step._batch(step.part.labels[:64])[0])
    assert torch.equal(batches[0], batches[1].flip(3))


def test_nothing_waits_for_the_device() -> None:
    step = make_flip_step()
    step(torch.arange(64), 0.1, 0)
    with Recorder() as recorder:
        step._step()
    assert recorder.names & WAITING == set()
