"""What every data set is once it is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import ConfigError, require

if TYPE_CHECKING:
    import torch  # counting the classes of a data set must not pay for it


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set on the CPU.

    Args:
        train_images: uint8 [N, 3, S, S].
        train_labels: int64 [N], each from 0 to len(class_names) - 1.
        test_images: uint8 [M, 3, S, S].
        test_labels: int64 [M].
        class_names: in the order of the labels.
        fingerprint: hex digest of all pixels, labels and class names, in the machine's byte order.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    class_names: tuple[str, ...]
    fingerprint: str


def make_dataset(
    train: tuple[NDArray[np.uint8], NDArray[np.int64]],
    test: tuple[NDArray[np.uint8], NDArray[np.int64]],
    class_names: Sequence[str],
    fingerprint: str | None = None,
) -> Dataset:
    """Wrap (images [N, 3, S, S], labels [N]) of both parts; null: compute the fingerprint."""
    import torch

    names = tuple(class_names)
    if fingerprint is None:
        digest = hashlib.blake2b(repr(names).encode(), digest_size=16)
        for array in (*train, *test):
            digest.update(f"{array.dtype.name}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        fingerprint = digest.hexdigest()
    return Dataset(
        train_images=torch.from_numpy(train[0]),
        train_labels=torch.from_numpy(train[1]),
        test_images=torch.from_numpy(test[0]),
        test_labels=torch.from_numpy(test[1]),
        class_names=names,
        fingerprint=fingerprint,
    )


def find_root(config: DataConfig, allowed: str) -> Path:
    """Return the folder of a data set, which must be there.

    Raises:
        ConfigError: it is not.
    """
    if config.root is None:
        raise ConfigError("data.root", None, allowed)
    root = Path(os.path.expanduser(config.root))
    require(root.is_dir(), "data.root", config.root, f"no such folder; {allowed}")
    return root
