"""scikit-learn's bundled scans of handwritten digits."""

from __future__ import annotations

import numpy as np

from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.data.dataset import Dataset, make_dataset

_TEST_SEED = 0  # fixed: the test set is the same whatever the run or the split


def load_digit_scans(config: DigitsConfig) -> Dataset:
    """Return the 1,797 scans at 3x32x32, config.test_size of them as the test part."""
    import torch
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
    # [N, 64] from 0 to 16 -> [N, 3, 32, 32] from 0 to 255
    grey = torch.from_numpy(scans).float().mul(255 / 16).view(-1, 1, 8, 8)
    large = torch.nn.functional.interpolate(grey, size=(32, 32), mode="bilinear")
    images = large.round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous().numpy()
    names = [str(digit) for digit in range(10)]
    return make_dataset((images[train], labels[train]), (images[test], labels[test]), names)
