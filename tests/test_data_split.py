from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedShuffleSplit

from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.data.split import refuse_lost_classes, split_train_val

LABELS = np.repeat(np.arange(4), [40, 30, 20, 10]).astype(np.int64)


def _config(val_size: float = 20, subset: int | None = None, seed: int = 0) -> DataConfig:
    return DataConfig(val_size=val_size, train_subset=subset, split_seed=seed)


def _shares(indices: NDArray[np.int64]) -> list[int]:
    return np.bincount(LABELS[indices], minlength=4).tolist()


@pytest.mark.parametrize("val_size", [20, 20.0, 0.2])
def test_val_agrees_with_scikit_learn_and_keeps_the_shares(val_size: float) -> None:
    split = split_train_val(LABELS, _config(val_size, seed=3))
    splitter = StratifiedShuffleSplit(1, test_size=20, random_state=3)
    train, val = next(splitter.split(LABELS, LABELS))
    np.testing.assert_array_equal(split.val_indices, np.sort(val))
    np.testing.assert_array_equal(split.train_indices, np.sort(train))
    assert _shares(split.val_indices) == [8, 6, 4, 2]
    assert split.val_indices.dtype == split.train_indices.dtype == np.int64


@pytest.mark.parametrize("subset", [1, 3, 4, 37, 75, 76, 77, 79, 80])
def test_a_subset_of_any_size_leaves_val_alone(subset: int) -> None:
    whole = split_train_val(LABELS, _config())
    split = split_train_val(LABELS, _config(subset=subset))
    np.testing.assert_array_equal(split.val_indices, whole.val_indices)
    assert len(split.train_indices) == subset
    assert set(split.train_indices) <= set(whole.train_indices)
    assert (np.diff(split.train_indices) > 0).all()


def test_a_subset_keeps_the_shares() -> None:
    split = split_train_val(LABELS, _config(subset=40))
    assert _shares(split.train_indices) == [16, 12, 8, 4]


def test_the_seed_alone_draws_the_split() -> None:
    first, again, other = (split_train_val(LABELS, _config(subset=40, seed=s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.val_indices, again.val_indices)
    np.testing.assert_array_equal(first.train_indices, again.train_indices)
    assert set(first.val_indices) != set(other.val_indices)
    assert set(first.train_indices) != set(other.train_indices)


def test_no_val_part_trains_on_everything() -> None:
    split = split_train_val(LABELS, _config(val_size=0))
    assert split.val_indices.shape == (0,)
    np.testing.assert_array_equal(split.train_indices, np.arange(100))
    subset = split_train_val(LABELS, _config(val_size=0, subset=10))
    assert _shares(subset.train_indices) == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("val_size", "subset", "message"),
    [
        (100, None, r"data.val_size=100: must be less than the 100 training images"),
        (5000, None, r"data.val_size=5000: must be less than the 100 training images"),
        (3, None, r"data.val_size=3: must be 0 or give from 4 to 96 "),
        (0.01, None, r"data.val_size=0.01: must be 0 or give from 4 to 96 .*\(here 1\)"),
        (98, None, r"data.val_size=98: must be 0 or give from 4 to 96 "),
        (20, 81, r"data.train_subset=81: must be at most 80, .* data.val_size=20"),
    ],
)
def test_impossible_splits_are_refused(val_size: float, subset: int | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        split_train_val(LABELS, _config(val_size, subset))
    assert "\n" not in str(raised.value)


def test_a_class_with_one_image_cannot_be_in_both_parts() -> None:
    labels = np.append(LABELS, 4)
    with pytest.raises(ConfigError, match=r"data.val_size=20: .* label 4 has a single"):
        split_train_val(labels, _config())
    split = split_train_val(labels, _config(val_size=0, subset=50))
    assert len(split.train_indices) == 50


def _refused(labels: NDArray[np.int64], config: DataConfig) -> str:
    split = split_train_val(labels, config)
    with pytest.raises(ConfigError) as raised:
        refuse_lost_classes(labels, split, config, [f"class{n}" for n in range(10)])
    kept = set(labels[split.train_indices].tolist())
    message = str(raised.value)
    assert [f"class{n}" in message for n in range(5)] == [
        n in labels and n not in kept for n in range(5)
    ]
    return raised.value.field


@pytest.mark.parametrize("subset", [1, 3, 4])  # by the shares of 4 the rarest class has none
def test_a_subset_that_loses_classes_is_refused_with_their_names(subset: int) -> None:
    assert _refused(LABELS, _config(subset=subset)) == "data.train_subset"


def test_a_rare_class_is_not_lost_without_a_word() -> None:
    rare = np.repeat([0, 1], [1000, 2]).astype(np.int64)
    assert _refused(rare, _config(val_size=0, subset=50)) == "data.train_subset"
    assert _refused(rare, _config(val_size=990)) == "data.val_size"


def test_a_class_that_no_image_has_is_not_lost_by_the_split() -> None:
    labels = np.repeat([0, 3], 20).astype(np.int64)
    config = _config(val_size=4, subset=4)
    refuse_lost_classes(labels, split_train_val(labels, config), config, ["a", "b", "c", "d"])
