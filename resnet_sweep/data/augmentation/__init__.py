"""Augmentation of whole batches on their device, each image with its own draw."""

from resnet_sweep.data.augmentation.pipeline import Augmentation, build_augmentation

__all__ = ["Augmentation", "build_augmentation"]
