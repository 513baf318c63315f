"""scikit-learn's bundled scans of handwritten digits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.data.dataset import Dataset, make_dataset

_TEST_SEED = 0  # fixed: the test set is the same whatever the run or the split


def load_digit_scans(config: DigitsConfig) -> Dataset:
    """Return the 1,797 scans at 3x32x32, config.test_size of them as the test part."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    scans, labels = load_digits(return_X_y=True)
    labels = labels.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)),
        test_size=config.test_size,
        stratify=labels,
        random_state=_TEST_SEED,
    )
    images = _enlarge(scans.reshape(-1, 8, 8))
    names = [str(digit) for digit in range(10)]
    return make_dataset((images[train], labels[train]), (images[test], labels[test]), names)


def _enlarge(scans: NDArray[np.float64]) -> NDArray[np.uint8]:
    """[N, 8, 8] from 0 to 16 -> [N, 3, 32, 32] from 0 to 255."""
    import torch

    grey = torch.from_numpy(scans).float().mul(255 / 16).unsqueeze(1)
    large = torch.nn.functional.interpolate(grey, size=(32, 32), mode="bilinear")
    rgb = large.round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    pixels: NDArray[np.uint8] = rgb.numpy()
    return pixels
