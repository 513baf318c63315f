"""What every custom set is once it is recognised, and images in arrays as its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.array_files import ALLOWED_IMAGES, find_layout
from resnet_sweep.data.decoding import resize


class ImageSource(Protocol):
    """Images that are read a few at a time."""

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return images as uint8 [len(indices), 3, S, S].

        Raises:
            UserError: names the file and the position of an image that cannot be read.
        """
        ...

    def changes(self) -> list[str]:
        """Return what had to be done to the images read so far, for the user to know."""
        ...


@dataclass(frozen=True)
class Group:
    """A stretch of a set that is reported by itself: one corruption at one severity.

    Args:
        severity: from 1; null where the array is not divided.
        start, stop: of its images.
    """

    name: str
    severity: int | None
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class CustomSet:
    """Images and what is known about them.

    Args:
        ids: one for each image, all different.
        images: uint8 [n, 3, S, S] at a time, S as read_custom was asked for.
        labels: int64 [N], places in the class names that read_custom was given; null: unknown.
        layout: one line that says what was recognised.
        groups: of a CIFAR-10-C style folder, without gaps; otherwise empty.
    """

    path: Path
    ids: tuple[str, ...]
    images: ImageSource
    labels: NDArray[np.int64] | None
    layout: str
    groups: tuple[Group, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def make_custom_set(
    path: Path,
    images: ImageSource,
    layout: str,
    labels: NDArray[np.int64] | None = None,
    ids: tuple[str, ...] | None = None,
    groups: tuple[Group, ...] = (),
) -> CustomSet:
    """Return a set; without ids its images are numbered from 0.

    Raises:
        UserError: there is no image.
    """
    if len(images) == 0:
        raise UserError(f"{path}: is empty: must hold at least one image")
    numbered = tuple(map(str, range(len(images)))) if ids is None else ids
    assert len(numbered) == len(images) and (labels is None or len(labels) == len(images))
    return CustomSet(path, numbered, images, labels, layout, groups)


class ArraySource:
    """Images of one array, which may lie on disk.

    Args:
        size: side S of the images that are read.
        where: file and field, for messages.

    Raises:
        UserError: these are no images.
    """

    def __init__(self, array: NDArray[np.uint8], size: int, where: str) -> None:
        layout = find_layout(array.shape) if array.dtype == np.uint8 else None
        if layout is None:
            found = f"{array.dtype} {list(array.shape)}"
            raise UserError(f"{where}: {ALLOWED_IMAGES}; found {found}")
        axes = array.shape
        if axes[0] == axes[1] if array.ndim == 2 else axes == (3, *[axes[-1]] * 2):
            problem = f"{list(axes)} may be one image or {axes[0]}: add an axis for the images"
            raise UserError(f"{where}: {problem}")
        self.array, self.layout, self.size = array, layout, size

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        if isinstance(indices, range) and indices.step == 1:
            block = self.array[indices.start : indices.stop]  # without a copy
        else:
            block = self.array[np.asarray(indices, np.int64)]
        images = self.layout.arrange(block)
        if images.shape[2:] != (self.size, self.size):
            images = _resize_all(images, self.size)
        return np.array(images, order="C")  # a copy: what lies on disk cannot be written to

    def changes(self) -> list[str]:
        layout, size, count = self.layout, self.size, len(self)
        found = []
        if layout.channels == 1:
            found.append(f"{count} of {count} images are grey: taken as RGB")
        if (layout.height, layout.width) != (size, size):
            was = f"{layout.width}x{layout.height}"
            found.append(f"{count} of {count} images resized from {was} to {size}x{size}")
        return found


class ChainSource:
    """Several sources, one behind the other."""

    def __init__(self, sources: Sequence[ArraySource]) -> None:
        self.sources = list(sources)
        self.starts = np.cumsum([0, *map(len, sources)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        wanted = np.asarray(indices, np.int64)
        owners = np.searchsorted(self.starts, wanted, "right") - 1
        size = self.sources[0].size
        images = np.empty((len(wanted), 3, size, size), np.uint8)
        for owner in np.unique(owners):
            mine = owners == owner
            images[mine] = self.sources[owner].read(wanted[mine] - self.starts[owner])
        return images

    def changes(self) -> list[str]:
        return list(dict.fromkeys(line for each in self.sources for line in each.changes()))


def _resize_all(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return images [n, 3, H, W] as [n, 3, size, size], resized as image files are."""
    from PIL import Image

    resized = np.empty((len(images), 3, size, size), np.uint8)
    for index, image in enumerate(images.transpose(0, 2, 3, 1)):
        pixels = resize(Image.fromarray(np.ascontiguousarray(image)), size)
        resized[index] = pixels.transpose(2, 0, 1)
    return resized
