"""What every custom set is once it is recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError


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

    def messages(self) -> list[str]:
        """Return what was changed in the images read so far."""
        return self.images.changes()


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
