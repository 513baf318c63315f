"""Test-time augmentation: the same image seen in several ways."""

from __future__ import annotations

from typing import NamedTuple

import torch


class View(NamedTuple):
    """One way to see an image.

    Args:
        flip: mirrored left to right.
        shift: the image's rows and columns move by so many pixels, down and right; what comes in
            at the edge is the image's reflection.
    """

    flip: bool = False
    shift: tuple[int, int] = (0, 0)


PLAIN = View()
# flip_shift: the six views of airbench (Jordan 2024, arXiv:2404.00498), here of equal weight.
VIEWS = {
    "none": (PLAIN,),
    "flip": (PLAIN, View(flip=True)),
    "flip_shift": tuple(View(f, (s, s)) for s in (0, 1, -1) for f in (False, True)),
}


def apply_view(images: torch.Tensor, view: View) -> torch.Tensor:
    """Return images [N, C, H, W] as the view sees them, in the same type."""
    rows, columns = (_places(n, by) for n, by in zip(images.shape[2:], view.shift, strict=True))
    if view.shift != (0, 0):
        images = images[:, :, rows.to(images.device)][..., columns.to(images.device)]
    return images.flip(3) if view.flip else images


def _places(length: int, shift: int) -> torch.Tensor:
    """Return where each row of a shifted image comes from: torch's padding mode `reflect`."""
    places = (torch.arange(length) - shift).abs()
    return torch.where(places >= length, 2 * (length - 1) - places, places)
