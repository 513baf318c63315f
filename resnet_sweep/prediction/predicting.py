"""Probabilities of one net or several, a batch of images at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.data.custom import ImageSource
from resnet_sweep.system.console import track
from resnet_sweep.training.evaluation import default_batch_size
from resnet_sweep.training.trained_net import TrainedNet, load_net

Probabilities = NDArray[np.float32]


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
    for axis, shift in enumerate(view.shift, 2):
        if shift:  # as torch's padding mode `reflect`
            last = images.shape[axis] - 1
            places = (torch.arange(last + 1, device=images.device) - shift).abs()
            places = torch.where(places > last, 2 * last - places, places)
            images = images.index_select(axis, places)
    return images.flip(3) if view.flip else images


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the nets say about each image.

    Args:
        plain: float32 [N, classes]: the mean over the nets of their probabilities.
        augmented: likewise, the mean over nets and views; null without further views.
        guesses: int64 [nets, N]: the class that each net by itself finds most probable.
        augmented_guesses: likewise, of each net's mean over the views; null without further views.
    """

    plain: Probabilities
    augmented: Probabilities | None
    guesses: NDArray[np.int64]
    augmented_guesses: NDArray[np.int64] | None


def load_nets(
    folders: Sequence[str], device: str = "auto", precision: str | None = None
) -> list[TrainedNet]:
    """Load nets that can be averaged.

    Raises:
        UserError: a folder lacks something, or the nets differ in classes or image size.
    """
    nets = [load_net(Path(folder).expanduser(), device, precision) for folder in folders]
    first = nets[0]
    for net in nets[1:]:
        if net.class_names != first.class_names:
            differing = _first_difference(net.class_names, first.class_names)
            problem = f"has other classes than {first.run_dir}: {differing}"
            raise UserError(f"run: {net.run_dir} {problem}; an ensemble needs the same")
        if net.image_size != first.image_size:
            sizes = f"images of {net.image_size} pixels, {first.run_dir} of {first.image_size}"
            raise UserError(f"run: {net.run_dir} takes {sizes}; an ensemble needs the same")
    return nets


def predict(
    nets: Sequence[TrainedNet],
    images: ImageSource,
    views: Sequence[View] = (PLAIN,),
    batch_size: int | None = None,
    show_progress: bool = False,
) -> Predictions:
    """Return the probabilities of all images; the first view must be the plain one.

    Beside the probabilities only two batches of images are in memory.

    Raises:
        UserError: an image cannot be read, or a batch does not fit into the device's memory.
    """
    assert views[0] == PLAIN
    execution = nets[0].execution
    size = batch_size or default_batch_size(execution, nets[0].image_size)
    count, classes = len(images), len(nets[0].class_names)
    plain = np.empty((count, classes), np.float32)
    guesses = np.empty((len(nets), count), np.int64)
    augmented = np.empty_like(plain) if len(views) > 1 else None
    augmented_guesses = np.empty_like(guesses) if len(views) > 1 else None
    starts = track(range(0, count, size), "Predicting", show_progress)
    try:
        batches = _batches(images, size, ahead=execution.device.type != "cpu")
        for start, batch in zip(starts, batches, strict=True):
            rows = slice(start, start + len(batch))
            on_device = torch.from_numpy(batch).to(execution.device)
            seen, averaged = _predict_batch(nets, on_device, views)
            plain[rows], guesses[:, rows] = _mean_and_guesses(seen)
            if augmented is not None and augmented_guesses is not None:
                augmented[rows], augmented_guesses[:, rows] = _mean_and_guesses(averaged)
    except torch.OutOfMemoryError as error:
        allowed = "is too much for the device's memory; take less"
        raise ConfigError("batch_size", size, allowed) from error
    bad = np.flatnonzero(~np.isfinite(plain).all(1))
    if len(bad):
        runs = ", ".join(str(net.run_dir) for net in nets)
        advice = "the run may have diverged, or needs precision=fp32"
        raise UserError(f"run: {runs}: probabilities of image {bad[0]} are not finite; {advice}")
    return Predictions(plain, augmented, guesses, augmented_guesses)


def _predict_batch(
    nets: Sequence[TrainedNet], images: torch.Tensor, views: Sequence[View]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probabilities [nets, N, classes]: of the plain images, and the mean over the views."""
    plain = torch.stack([net.logits(images).softmax(1) for net in nets])
    total = plain
    for view in views[1:]:
        seen = apply_view(images, view)
        total = total + torch.stack([net.logits(seen).softmax(1) for net in nets])
    return plain, total / len(views)


def _mean_and_guesses(probabilities: torch.Tensor) -> tuple[Probabilities, NDArray[np.int64]]:
    """Return the mean over the nets, and each net's most probable class."""
    return probabilities.mean(0).cpu().numpy(), probabilities.argmax(2).cpu().numpy()


def _batches(images: ImageSource, size: int, ahead: bool) -> Iterator[NDArray[np.uint8]]:
    """Yield all images in batches.

    Args:
        ahead: read the next batch meanwhile. On a CPU that takes from the net what it gives.
    """
    ranges = [range(i, min(i + size, len(images))) for i in range(0, len(images), size)]
    if not ahead:
        yield from map(images.read, ranges)
        return
    with ThreadPoolExecutor(1, "read") as pool:
        coming = pool.submit(images.read, ranges[0])
        for following in [*ranges[1:], None]:
            batch = coming.result()
            if following is not None:
                coming = pool.submit(images.read, following)
            yield batch


def _first_difference(ours: Sequence[str], others: Sequence[str]) -> str:
    if len(ours) != len(others):
        return f"{len(ours)} and {len(others)}"
    place = next(i for i, (a, b) in enumerate(zip(ours, others, strict=True)) if a != b)
    return f"class {place} is {ours[place]!r} and {others[place]!r}"
