"""Whether the data are still those of the sweep, and what a confirmation has to know of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import ConfigError


@dataclass(frozen=True)
class DataFacts:
    """A data set without its images.

    Args:
        train_labels: int64 [N].
    """

    train_labels: NDArray[np.int64]
    num_test: int
    num_classes: int
    image_size: int

    def num_train(self, config: DataConfig) -> int:
        """Return how many images a run with this configuration trains on."""
        from resnet_sweep.data.split import split_train_val

        return len(split_train_val(self.train_labels, config).train_indices)

    def val_indices(self, config: DataConfig) -> NDArray[np.int64]:
        from resnet_sweep.data.split import split_train_val

        return split_train_val(self.train_labels, config).val_indices

    def shared_val(self, config: DataConfig, split_seed: int) -> float:
        """Return the share of another split's validation images that this one has as well."""
        fresh = self.val_indices(replace(config, split_seed=split_seed))
        return len(np.intersect1d(fresh, self.val_indices(config))) / len(fresh)


def check_data(config: DataConfig, fingerprint: str) -> DataFacts:
    """Read the data and compare them with what the sweep saw.

    Raises:
        UserError: they are missing or have changed.
    """
    from resnet_sweep.data.registry import load_dataset  # brings torch

    data = load_dataset(config)
    if data.fingerprint != fingerprint:
        allowed = f"the data have changed since the sweep: {data.fingerprint}, then {fingerprint}"
        where = "data" if config.root is None else "data.root"
        raise ConfigError(where, config.root or config.name, allowed)
    return DataFacts(
        data.train_labels.numpy(),
        len(data.test_labels),
        len(data.class_names),
        int(data.train_images.shape[-1]),
    )
