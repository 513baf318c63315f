"""The augmentation of a batch, in three parts: before, after and beyond normalisation."""

from __future__ import annotations

import torch
from torch import Tensor

from resnet_sweep.config.augmentation import AugmentationConfig
from resnet_sweep.data.augmentation.color import color_jitter
from resnet_sweep.data.augmentation.geometry import cutout, random_crop_flip, random_erasing
from resnet_sweep.data.augmentation.mixing import mix, random_ricap
from resnet_sweep.data.augmentation.spaces import (
    autoaugment,
    autoaugment_policies,
    randaugment,
    trivialaugment,
)


class Augmentation:
    """Random changes of training batches, drawn and applied on the device of the images.

    No call waits for the device and all shapes are static, so a CUDA graph can hold them. The
    first call copies constants to the device: run a step before the capture.

    Args:
        num_classes: the labels are below it.
    """

    def __init__(self, config: AugmentationConfig, num_classes: int) -> None:
        self._config = config
        self._num_classes = num_classes
        if (
            config.autoaugment is not None
        ):  # brings torchvision, which the first step need not wait for
            autoaugment_policies(config.autoaugment.policy)

    @property
    def _mixers(self) -> list[object]:
        config = self._config
        return [each for each in (config.mixup, config.cutmix, config.ricap) if each is not None]

    @property
    def mixes(self) -> bool:
        """Whether `mix` gives soft targets."""
        return bool(self._mixers)

    @property
    def alternates(self) -> bool:
        """Whether `transform` is to be told which images to mirror."""
        return self._config.crop_flip is not None and self._config.crop_flip.alternate_flip

    def transform(self, images: Tensor, flipped: Tensor | None = None) -> Tensor:
        """Change the pixels of uint8 [N, 3, S, S].

        Args:
            flipped: bool [N], which images to mirror; null: drawn.
        """
        config = self._config
        if config.crop_flip is not None:
            images = random_crop_flip(images, config.crop_flip, flipped)
        if config.autoaugment is not None:
            images = autoaugment(images, config.autoaugment)
        if config.randaugment is not None:
            images = randaugment(images, config.randaugment)
        if config.trivialaugment is not None:
            images = trivialaugment(images)
        if config.color_jitter is not None:
            images = color_jitter(images, config.color_jitter)
        return images

    def erase(self, images: Tensor) -> Tensor:
        """Set parts of normalised float [N, 3, S, S] to 0, the mean colour."""
        if self._config.cutout is not None:
            images = cutout(images, self._config.cutout)
        if self._config.random_erasing is not None:
            images = random_erasing(images, self._config.random_erasing)
        return images

    def mix(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images and their labels.

        Args:
            images: float [N, 3, S, S].
            labels: int64 [N].

        Returns:
            images, and float32 [N, classes] targets where `mixes`, else the labels.
        """
        if not self.mixes:
            return images, labels
        mixup, cutmix, ricap = self._config.mixup, self._config.cutmix, self._config.ricap
        classes, options = self._num_classes, len(self._mixers)
        if ricap is None:
            return mix(images, labels, mixup, cutmix, classes)
        patched, shares = random_ricap(images, labels, ricap, classes)
        if options == 1:
            return patched, shares
        mixed, targets = mix(images, labels, mixup, cutmix, classes)
        patches = torch.rand(len(images), device=images.device) < 1 / options
        floats = torch.where(patches[:, None, None, None], patched, mixed)
        return floats, torch.where(patches[:, None], shares, targets)
