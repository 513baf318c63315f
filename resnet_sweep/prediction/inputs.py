"""What is predicted: sets that somebody brings, the run's own test set, and corruptions of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_sweep.config.predict import (
    CORRUPTED,
    NUM_STRENGTHS,
    OWN_INPUTS,
    TEST,
    PredictConfig,
)
from resnet_sweep.data.corruption import corrupt
from resnet_sweep.data.custom import (
    ArraySource,
    CustomSet,
    Group,
    ImageSource,
    choose_background,
    read_custom,
)
from resnet_sweep.system.console import say
from resnet_sweep.training.trained_net import TrainedNet, compare_fingerprint, read_run_data


@dataclass(frozen=True, eq=False)
class Input:
    """One set of images.

    Args:
        images: its path is what the user called it.
        folder: name of the folder of its files, where there are several inputs.
        notes: what a reader of the numbers should know.
        fingerprint: of the data set that it is the test part of; null: a custom set.
    """

    images: CustomSet
    folder: str
    notes: tuple[str, ...] = ()
    fingerprint: str | None = None


@dataclass(frozen=True, eq=False)
class CorruptedImages:
    """Every corruption at every strength of the same images, made when they are read.

    Args:
        places: of the images in the test set.
    """

    clean: ImageSource
    places: NDArray[np.int64]
    names: Sequence[str]
    seed: int

    def __len__(self) -> int:
        return len(self.names) * NUM_STRENGTHS * len(self.clean)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        stretches, rows = np.divmod(np.asarray(indices, np.int64), len(self.clean))
        images = self.clean.read(rows.tolist())
        for stretch in np.unique(stretches):
            name, strength = self.names[stretch // NUM_STRENGTHS], stretch % NUM_STRENGTHS + 1
            own = stretches == stretch
            clean, places = torch.from_numpy(images[own]), self.places[rows[own]]
            images[own] = corrupt(clean, name, int(strength), self.seed, places).numpy()
        return images

    def changes(self) -> list[str]:
        return []


def read_inputs(nets: Sequence[TrainedNet], config: PredictConfig) -> list[Input]:
    """Return what the options name, in their order.

    Raises:
        UserError: a set or the run's data cannot be read.
    """
    names, side = nets[0].class_names, nets[0].image_size
    background = choose_background([net.config.data for net in nets], config.background)
    read_test = cache(lambda: _read_test(nets, config))  # once for test and corruptions
    inputs = []
    for given, folder in zip(config.input, folder_names(config.input), strict=True):
        if given not in OWN_INPUTS:
            images = read_custom(Path(given).expanduser(), names, side, background)
            if str(images.path) in OWN_INPUTS:  # of ./test
                images = replace(images, path=images.path.absolute())
            inputs.append(Input(images, folder))
            continue
        if os.path.lexists(given):
            say(f"note: input={given} is the run's own; what lies here is input=./{given}")
        test = read_test()
        images = test.images if given == TEST else _corrupted(test.images, config)
        inputs.append(replace(test, images=images, folder=folder))
    return inputs


def folder_names(given: Sequence[str]) -> list[str]:
    """Return a name for each input, all different, also where case does not count."""
    names: list[str] = []
    taken = {f"accuracy.{suffix}" for suffix in ("csv", "md", "json", "png", "svg")}
    for each in given:
        path = Path(each).expanduser().resolve()
        plain = each if each in OWN_INPUTS else path.stem if path.is_file() else path.name
        name, number = plain or "images", 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _read_test(nets: Sequence[TrainedNet], config: PredictConfig) -> Input:
    """Read the test set, or some of its images; their IDs are their places in it."""
    data = read_run_data(nets[0], config.data_root)
    images, labels = data.dataset.test_images.numpy(), data.dataset.test_labels.numpy()
    fingerprint = data.dataset.fingerprint
    notes = [*data.notes, *(n for net in nets[1:] for n in compare_fingerprint(net, fingerprint))]
    places = np.arange(len(labels))
    if config.test_subset is not None and config.test_subset < len(labels):
        generator = np.random.default_rng(config.seed)
        places = np.sort(generator.choice(len(labels), config.test_subset, replace=False))
    source = ArraySource(images[places], images.shape[-1], TEST)
    ids = tuple(map(str, places.tolist()))
    line = f"{len(places):,} of the {len(labels):,} test images of the run's data"
    custom = CustomSet(Path(TEST), ids, source, labels[places], line)
    return Input(custom, TEST, tuple(notes), fingerprint)


def _corrupted(test: CustomSet, config: PredictConfig) -> CustomSet:
    assert test.labels is not None
    places = np.array(list(map(int, test.ids)), np.int64)
    names, strengths = config.corruptions, range(1, NUM_STRENGTHS + 1)
    stretches = [(name, strength) for name in names for strength in strengths]
    ids = tuple(f"{name}/{strength}/{each}" for name, strength in stretches for each in test.ids)
    groups = tuple(
        Group(name, strength, index * len(test), (index + 1) * len(test))
        for index, (name, strength) in enumerate(stretches)
    )
    return CustomSet(
        path=Path(CORRUPTED),
        ids=ids,
        images=CorruptedImages(test.images, places, names, config.seed),
        labels=np.tile(test.labels, len(stretches)),
        layout=f"{test.layout}, {len(names)} corruptions at {NUM_STRENGTHS} strengths",
        groups=groups,
    )
