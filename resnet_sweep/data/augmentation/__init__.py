"""Augmentation of whole batches on their device, each image with its own draw."""

from resnet_sweep.data.augmentation.geometry import AlternatingFlips, resize, train_image_size
from resnet_sweep.data.augmentation.pipeline import Augmentation

__all__ = ["AlternatingFlips", "Augmentation", "resize", "train_image_size"]
