from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakesFolder
from numpy.typing import NDArray

from resnet_sweep.config.data import ArraysConfig
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.data.registry import count_classes, load_dataset

RNG = np.random.default_rng(0)
CHW = RNG.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 3, 0, 1])


def _save_npz(root: Path, part: str, images: Any = CHW, labels: Any = LABELS) -> None:
    np.savez(root / f"{part}.npz", images=images, labels=labels)


def _save_npy(root: Path, part: str, images: Any = CHW, labels: Any = LABELS) -> None:
    np.save(root / f"{part}_images.npy", images)
    np.save(root / f"{part}_labels.npy", labels)


def _config(root: Path, **fields: Any) -> ArraysConfig:
    return ArraysConfig(root=str(root), **fields)


@pytest.mark.parametrize("save", [_save_npz, _save_npy])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "grey"])
def test_every_layout_is_read(tmp_path: Path, save: Callable[..., None], layout: str) -> None:
    grey = np.repeat(CHW[:, :1], 3, axis=1)
    stored = {"NCHW": CHW, "NHWC": CHW.transpose(0, 2, 3, 1), "grey": CHW[:, 0]}[layout]
    save(tmp_path, "train", stored, LABELS.astype(np.uint8))
    save(tmp_path, "test", stored[:2], LABELS[:2].astype(np.int32))
    data = load_dataset(_config(tmp_path))
    expected = grey if layout == "grey" else CHW
    np.testing.assert_array_equal(data.train_images, expected)
    np.testing.assert_array_equal(data.test_images, expected[:2])
    assert data.train_images.is_contiguous()
    assert data.train_labels.tolist() == LABELS.tolist()
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64
    assert data.class_names == ("0", "1", "2", "3")
    assert count_classes(_config(tmp_path)) == 4


def test_the_fingerprint_follows_the_content_alone(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("npz", "npy", "pixel", "label", "classes")]
    changed = CHW.copy()
    changed[5, 2, 7, 7] ^= 1
    for folder in folders:
        folder.mkdir()
        save = _save_npy if folder.name == "npy" else _save_npz
        save(folder, "train", changed if folder.name == "pixel" else CHW)
        save(folder, "test", labels=LABELS[::-1] if folder.name == "label" else LABELS)
    prints = [load_dataset(_config(folder)).fingerprint for folder in folders[:4]]
    prints.append(load_dataset(_config(folders[4], num_classes=5)).fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_more_classes_than_labels_are_allowed(tmp_path: Path) -> None:
    _save_npz(tmp_path, "train")
    _save_npz(tmp_path, "test", labels=np.full(6, 9))
    assert count_classes(_config(tmp_path, num_classes=10)) == 10
    assert len(load_dataset(_config(tmp_path, num_classes=10)).class_names) == 10
    with pytest.raises(UserError, match=r"test.npz: labels must be from 0 to 3; found 9"):
        load_dataset(_config(tmp_path))


def _float(images: NDArray[Any]) -> NDArray[Any]:
    return images / 255


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (_float(CHW), r"found float64 \[6, 3, 8, 8\]"),
        (CHW.astype(np.int64), "found int64"),
        (CHW[:, :2], r"found uint8 \[6, 2, 8, 8\]"),
        (CHW[:, :, :, :5], r"found uint8 \[6, 3, 8, 5\]"),
        (CHW[:, 0, :5], r"found uint8 \[6, 5, 8\]"),
        (CHW[:, :, :3, :3], r"found uint8 \[6, 3, 3, 3\]"),
        (CHW[0, 0], r"found uint8 \[8, 8\]"),
        (CHW[:0], r"found uint8 \[0, 3, 8, 8\]"),
        (CHW[None], r"found uint8 \[1, 6, 3, 8, 8\]"),
    ],
)
def test_wrong_images_are_refused(tmp_path: Path, images: Any, found: str) -> None:
    _save_npz(tmp_path, "train", images)
    _save_npz(tmp_path, "test")
    pattern = rf"train.npz: images must be uint8 \[N, H, W, 3\], .*{found}"
    with pytest.raises(UserError, match=pattern) as raised:
        load_dataset(_config(tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:5], "must have 6 labels, one for each image; has 5"),
        (LABELS - 1, "labels must be from 0 to .*; found -1"),
        (LABELS.astype(float), r"labels must be integers \[N\] .*found float64 \[6\]"),
        (np.eye(4, dtype=int)[LABELS], r"labels must be integers \[N\].* found int64 \[6, 4\]"),
        (LABELS == 0, "found bool"),
        (np.array(list("abcdef")), "found <U1"),
        (LABELS[:0], r"found int64 \[0\]"),
        (np.array([0, 2**63 + 5], np.uint64), f"found {2**63 + 5}"),
        (np.zeros(6, int), "must hold at least 2 classes"),
        (np.array([0, {}], dtype=object), "of Python objects"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, labels: Any, message: str) -> None:
    _save_npy(tmp_path, "train", labels=labels)
    _save_npy(tmp_path, "test")
    with pytest.raises(UserError, match=rf"train_labels.npy: .*{message}") as raised:
        load_dataset(_config(tmp_path))
    assert "\n" not in str(raised.value)


def test_other_sizes_in_test_are_refused(tmp_path: Path) -> None:
    _save_npz(tmp_path, "train")
    _save_npz(tmp_path, "test", CHW[:, :, :6, :6])
    with pytest.raises(UserError, match=r"test.npz: has images of 6x6 pixels, must be 8"):
        load_dataset(_config(tmp_path))


def test_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    _save_npz(tmp_path, "train", np.array([MakesFolder(tmp_path / "ran")], dtype=object))
    _save_npz(tmp_path, "test")
    with pytest.raises(UserError, match=r"train.npz: images: .*of Python objects"):
        load_dataset(_config(tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("save", [_save_npz, _save_npy])
@pytest.mark.parametrize("length", [0, 4, 60, 130, 900])
def test_truncated_files_are_named(tmp_path: Path, save: Callable[..., None], length: int) -> None:
    save(tmp_path, "train")
    save(tmp_path, "test")
    name = "train.npz" if save is _save_npz else "train_images.npy"
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:length])
    with pytest.raises(UserError, match=f"{name}: damaged") as raised:
        load_dataset(_config(tmp_path))
    assert "\n" not in str(raised.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.root=null: must be a folder"):
        load_dataset(ArraysConfig())
    with pytest.raises(ConfigError, match=r"data.root=.*nowhere: no such folder"):
        count_classes(_config(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"train_labels.npy: no such file, nor train.npz"):
        count_classes(_config(tmp_path))
    np.savez(tmp_path / "train.npz", x=CHW, labels=LABELS)
    with pytest.raises(UserError, match=r"train.npz: must be an .npz with `images`"):
        load_dataset(_config(tmp_path))
    np.save(tmp_path / "train_labels.npy", LABELS)
    with pytest.raises(UserError, match=r"train.npz: train_labels.npy lies beside it: leave one"):
        load_dataset(_config(tmp_path))
    (tmp_path / "train_labels.npy").rename(tmp_path / "train.npz")
    with pytest.raises(UserError, match=r"train.npz: damaged .npz \(File is not a zip file\)"):
        count_classes(_config(tmp_path))
    np.savez(tmp_path / "train.npz", images=CHW)
    with pytest.raises(UserError, match=r"train.npz: must be an .npz with `labels`"):
        count_classes(_config(tmp_path))


@pytest.mark.parametrize("save", [_save_npz, _save_npy])
def test_labels_in_a_column_are_taken(tmp_path: Path, save: Callable[..., None]) -> None:
    for part in ("train", "test"):
        save(tmp_path, part, labels=LABELS[:, None])
    data = load_dataset(_config(tmp_path))
    assert data.train_labels.tolist() == data.test_labels.tolist() == LABELS.tolist()
    assert count_classes(_config(tmp_path)) == 4


@pytest.mark.parametrize(
    ("labels", "absent"),
    [
        ([1, 2, 3, 1, 2, 3], "label 0;"),
        ([0, 1, 3, 1, 0, 3], "label 2;"),
        ([0, 7, 255, 0, 7, 255], "label 1, 2, 3, 4, 5, 6, 8, 9 and 245 more;"),
        ([5] * 6, "label 0, 1, 2, 3, 4;"),
    ],
)
def test_classes_without_a_training_image_are_refused_unless_they_are_asked_for(
    tmp_path: Path, labels: list[int], absent: str, caplog: pytest.LogCaptureFixture
) -> None:
    for part in ("train", "test"):
        _save_npz(tmp_path, part, labels=np.array(labels))
    num_classes = max(labels) + 1
    for read in (count_classes, load_dataset):
        with pytest.raises(UserError, match="no training image has") as raised:
            read(_config(tmp_path))
        assert absent in str(raised.value) and f"data.num_classes={num_classes}" in str(
            raised.value
        )
    data = load_dataset(_config(tmp_path, num_classes=num_classes))
    assert len(data.class_names) == num_classes and data.train_labels.tolist() == labels
    assert "no training image" in caplog.text


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    _save_npy(tmp_path, "train")
    _save_npz(tmp_path, "test")
    (tmp_path / "train.npz").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"train.npz: is a broken symbolic link"):
        load_dataset(_config(tmp_path))
