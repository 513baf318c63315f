"""How the axes of an array of images are meant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 4  # also keeps [N, H, W, 3] and [N, 3, H, W] apart


@dataclass(frozen=True)
class ArrayLayout:
    """The layout of an array of images.

    Args:
        name: the axes, for a person.
        is_last: the channels are the last axis.
    """

    name: str
    channels: int
    height: int
    width: int
    is_last: bool = False

    def arrange(self, block: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return some images as RGB, [n, 3, height, width]; grey ones have one channel thrice."""
        if self.is_last:
            images = block.transpose(0, 3, 1, 2)
        else:
            images = block.reshape(len(block), self.channels, self.height, self.width)
        return np.repeat(images, 3, axis=1) if self.channels == 1 else images


def find_layout(shape: tuple[int, ...]) -> ArrayLayout | None:
    """Return the layout of an array of this shape; None: these are no images."""
    layout = _find(shape)
    return layout if layout and min(layout.height, layout.width) >= MIN_SIDE else None


def _find(shape: tuple[int, ...]) -> ArrayLayout | None:
    match shape:
        case (_, height, width, (1 | 3) as channels) if shape[1] not in (1, 3):
            return ArrayLayout("N,H,W,C", channels, height, width, is_last=True)
        case (_, (1 | 3) as channels, height, width):
            return ArrayLayout("N,C,H,W", channels, height, width)
        case (_, height, width):
            return ArrayLayout("N,H,W", 1, height, width)
        case (_, length):
            for channels in (3, 1):
                side = math.isqrt(length // channels)
                if length == channels * side * side:
                    return ArrayLayout(f"rows of {length}, channel first", channels, side, side)
    return None
