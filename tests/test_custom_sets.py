"""Custom sets are recognised by what they contain, and read as they are meant."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.custom import CustomSet, Group, read_custom
from resnet_sweep.data.decoding import SMALL_FILE

RNG = np.random.default_rng(0)
CLASSES = ("cat", "dog", "bird", "frog")
SIZE = 8
CHW = RNG.integers(0, 256, (10, 3, SIZE, SIZE), dtype=np.uint8)
HWC = CHW.transpose(0, 2, 3, 1)
LABELS = np.arange(10) % 4


def _read(path: Path, size: int = SIZE) -> CustomSet:
    return read_custom(path, CLASSES, size)


def _pixels(custom: CustomSet) -> np.ndarray:
    return custom.images.read(range(len(custom)))


def _assert_is_chw(custom: CustomSet) -> None:
    assert len(custom) == len(custom.images) == 10
    np.testing.assert_array_equal(_pixels(custom), CHW)
    np.testing.assert_array_equal(custom.images.read([7, 2, 2]), CHW[[7, 2, 2]])
    assert custom.images.changes() == []


LAYOUTS = {"N,C,H,W": CHW, "N,H,W,C": HWC, "rows of 192": CHW.reshape(10, -1)}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("kind", ["npy", "fortran", "npz", "pickle"])
def test_every_layout_of_arrays(tmp_path: Path, name: str, kind: str) -> None:
    array = LAYOUTS[name]
    path = tmp_path / "set"
    if kind in ("npy", "fortran"):
        path = tmp_path / "set.npy"
        np.save(path, np.asfortranarray(array) if kind == "fortran" else array)
    elif kind == "npz":
        path = tmp_path / "set.npz"
        np.savez_compressed(path, images=array)
    else:
        path.write_bytes(pickle.dumps({b"data": array}))
    custom = _read(path)
    _assert_is_chw(custom)
    assert name in custom.layout
    assert custom.labels is None and custom.ids == tuple(map(str, range(10)))


@pytest.mark.parametrize("shape", [(10, 1, 8, 8), (10, 8, 8, 1), (10, 8, 8), (10, 64)])
def test_grey_becomes_rgb_with_a_message(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "grey.npy", CHW[:, 0].reshape(shape))
    custom = _read(tmp_path / "grey.npy")
    np.testing.assert_array_equal(_pixels(custom), np.repeat(CHW[:, :1], 3, axis=1))
    assert custom.images.changes() == ["10 of 10 images are grey: taken as RGB"]


@pytest.mark.parametrize("side", [(8, 12), (16, 16), (5, 4)])
def test_other_sizes_are_resized_as_pillow_does(tmp_path: Path, side: tuple[int, int]) -> None:
    images = RNG.integers(0, 256, (3, *side, 3), dtype=np.uint8)
    np.save(tmp_path / "other.npy", images)
    custom = _read(tmp_path / "other.npy")
    bilinear = Image.Resampling.BILINEAR
    expected = [np.asarray(Image.fromarray(i).resize((SIZE, SIZE), bilinear)) for i in images]
    np.testing.assert_array_equal(_pixels(custom).transpose(0, 2, 3, 1), np.stack(expected))
    assert custom.images.changes() == [f"3 of 3 images resized from {side[1]}x{side[0]} to 8x8"]


@pytest.mark.parametrize("name", ["data", "images"])
@pytest.mark.parametrize("by_folder", [True, False])
def test_cifar_10_1_as_published(tmp_path: Path, name: str, by_folder: bool) -> None:
    np.save(tmp_path / f"cifar10.1_v6_{name}.npy", HWC)
    np.save(tmp_path / "cifar10.1_v6_labels.npy", LABELS.astype(np.int32))
    custom = _read(tmp_path if by_folder else tmp_path / f"cifar10.1_v6_{name}.npy")
    _assert_is_chw(custom)
    assert custom.labels is not None and custom.labels.tolist() == LABELS.tolist()
    assert custom.labels.dtype == np.int64
    assert "cifar10.1_v6_labels.npy" in custom.layout


def test_an_npz_with_labels_and_ids(tmp_path: Path) -> None:
    ids = np.array([f"image {i}" for i in range(10)])
    np.savez(tmp_path / "set.npz", x=HWC, y=LABELS[:, None].astype(np.uint8), ids=ids)
    custom = _read(tmp_path / "set.npz")
    _assert_is_chw(custom)
    assert custom.labels is not None and custom.labels.tolist() == LABELS.tolist()
    assert custom.ids == tuple(ids)


def test_labels_may_be_class_names(tmp_path: Path) -> None:
    names = np.array(CLASSES)[LABELS]
    np.savez(tmp_path / "set.npz", images=HWC, labels=names)
    custom = _read(tmp_path / "set.npz")
    assert custom.labels is not None and custom.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize("as_list", [True, False])
def test_the_courses_pickles(tmp_path: Path, protocol: int, as_bytes: bool, as_list: bool) -> None:
    content: dict[Any, Any] = {
        "data": CHW.reshape(10, -1),
        "labels": LABELS.tolist() if as_list else LABELS,
        "ids": list(range(5, 15)) if as_list else np.arange(5, 15),
    }
    if as_bytes:
        content = {key.encode(): value for key, value in content.items()}
    (tmp_path / "test.pkl").write_bytes(pickle.dumps(content, protocol))
    custom = _read(tmp_path / "test.pkl")
    _assert_is_chw(custom)
    assert custom.labels is not None and custom.labels.tolist() == LABELS.tolist()
    assert custom.ids == tuple(map(str, range(5, 15)))
    assert "rows of 192, channel first" in custom.layout


def _save_folder(root: Path, mode: str = "RGB") -> dict[str, np.ndarray]:
    """Write 3 images in each of two class folders; return their pixels as torchvision has them."""
    pixels = {}
    for name in ("dog", "cat"):
        (root / name).mkdir(parents=True)
        for index in range(3):
            image = Image.fromarray(RNG.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
            image.convert(mode).save(root / name / f"{index}.png")
            pixels[f"{name}/{index}.png"] = np.asarray(image.convert(mode).convert("RGB"))
    return pixels


def test_class_folders_are_matched_by_name(tmp_path: Path) -> None:
    pixels = _save_folder(tmp_path / "set")
    (tmp_path / "set" / "README.txt").write_text("not an image")
    (tmp_path / "set" / "__MACOSX").mkdir()
    shutil.copy(tmp_path / "set/cat/0.png", tmp_path / "set/__MACOSX/._0.png")
    custom = _read(tmp_path / "set")
    assert custom.ids == ("cat/0.png", "cat/1.png", "cat/2.png", *sorted(pixels)[3:])
    assert custom.labels is not None and custom.labels.tolist() == [0, 0, 0, 1, 1, 1]
    expected = np.stack([pixels[each] for each in custom.ids]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(_pixels(custom), expected)
    assert "2 class folders" in custom.layout
    (told,) = custom.images.changes()
    assert "1 .txt" in told and told.endswith("README.txt")


def test_a_folder_without_classes_has_no_labels(tmp_path: Path) -> None:
    pixels = _save_folder(tmp_path)
    (tmp_path / "dog" / ".thumbs").mkdir()
    shutil.copy(tmp_path / "dog/0.png", tmp_path / "dog/.thumbs/0.png")
    custom = _read(tmp_path / "dog")
    assert custom.ids == ("0.png", "1.png", "2.png") and custom.labels is None
    np.testing.assert_array_equal(_pixels(custom)[1].transpose(1, 2, 0), pixels["dog/1.png"])
    one = _read(tmp_path / "dog" / "1.png")
    assert one.ids == ("1.png",)
    np.testing.assert_array_equal(_pixels(one)[0], _pixels(custom)[1])


def test_files_large_enough_for_threads_are_read_in_order(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (6, 90, 90, 3), dtype=np.uint8)  # noise does not shrink
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    assert (tmp_path / "0.png").stat().st_size > SMALL_FILE
    found = _pixels(_read(tmp_path, 90))
    np.testing.assert_array_equal(found.transpose(0, 2, 3, 1), images)


def test_changed_image_files_are_told_once_they_are_read(tmp_path: Path) -> None:
    pixels = _save_folder(tmp_path, "L")
    custom = _read(tmp_path)
    assert custom.images.changes() == []
    np.testing.assert_array_equal(
        custom.images.read([0])[0].transpose(1, 2, 0), pixels["cat/0.png"]
    )
    first = tmp_path / "cat" / "0.png"
    assert custom.images.changes() == [f"1 of 6 images are grey: taken as RGB, the first: {first}"]
    large = _read(tmp_path, 12)
    _pixels(large)
    assert f"6 of 6 images resized to 12x12, the first: {first}" in large.images.changes()


def _save_corruptions(root: Path, labels: np.ndarray) -> None:
    np.save(root / "fog.npy", HWC)
    np.save(root / "snow.npy", HWC[::-1])
    np.save(root / "labels.npy", labels)


@pytest.mark.parametrize("labels", [np.tile([1, 0], 5), np.array([1, 0])])
def test_a_folder_like_cifar_10_c(tmp_path: Path, labels: np.ndarray) -> None:
    _save_corruptions(tmp_path, labels)
    custom = _read(tmp_path)
    assert len(custom) == 20
    np.testing.assert_array_equal(_pixels(custom), np.concatenate([CHW, CHW[::-1]]))
    np.testing.assert_array_equal(custom.images.read([19, 0, 10]), CHW[[0, 0, 9]])
    assert custom.labels is not None and custom.labels.tolist() == [1, 0] * 10
    assert custom.groups[0] == Group("fog", 1, 0, 2)
    assert custom.groups[-1] == Group("snow", 5, 18, 20)
    assert len(custom.groups) == 10
    assert [g.start for g in custom.groups[1:]] == [g.stop for g in custom.groups[:-1]]
    assert custom.ids[0] == "fog/0" and custom.ids[-1] == "snow/9"


@pytest.mark.parametrize(
    ("name", "labels", "parts"),
    [
        ("mine", np.arange(10) % 2, 0),  # these labels repeat five times
        ("mine", np.zeros(10, np.int64), 0),
        ("mine", np.arange(2), 5),
        ("fog", np.arange(10) % 2, 5),
        ("fog", np.zeros(10, np.int64), 1),
    ],
)
def test_one_array_beside_labels_is_a_corruption_by_its_name_or_length(
    tmp_path: Path, name: str, labels: np.ndarray, parts: int
) -> None:
    np.save(tmp_path / f"{name}.npy", CHW)
    np.save(tmp_path / "labels.npy", labels)
    custom = _read(tmp_path)
    assert len(custom.groups) == parts and len(custom) == 10
    assert custom.labels is not None
    np.testing.assert_array_equal(custom.labels, np.resize(labels, 10))


@pytest.mark.parametrize("shape", [(3, 32, 32), (64, 64)])
def test_one_image_is_not_taken_for_many(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "one.npy", np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match=f"may be one image or {shape[0]}: add an axis"):
        _read(tmp_path / "one.npy")
    np.save(tmp_path / "one.npy", np.zeros((1, *shape), np.uint8))
    assert len(_read(tmp_path / "one.npy")) == 1


def test_corruptions_without_severities(tmp_path: Path) -> None:
    _save_corruptions(tmp_path, LABELS)
    custom = _read(tmp_path)
    assert custom.groups == (Group("fog", None, 0, 10), Group("snow", None, 10, 20))


def test_an_array_left_on_disk_costs_no_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", HWC)
    images: Any = _read(tmp_path / "set.npy").images
    assert isinstance(images.array, np.memmap)


ELEVEN = tuple(sorted(map(str, range(11))))  # as folders are sorted: 0, 1, 10, 2, ...


def _save_labelled(root: Path, kind: str, labels: Any) -> Path:
    labels = np.asarray(labels)
    images = RNG.integers(0, 256, (len(labels), SIZE, SIZE, 3), dtype=np.uint8)
    path = root / {"npy": "x_data.npy", "pickle": "x.pkl", "list": "x.pkl"}.get(kind, "x.npz")
    if kind == "npy":
        np.save(path, images)
        np.save(root / "x_labels.npy", labels)
    elif kind in ("pickle", "list"):
        values = labels.tolist() if kind == "list" else labels
        path.write_bytes(pickle.dumps({b"data": images, b"labels": values}))
    else:
        np.savez(path, images=images, labels=labels[:, None] if kind == "column" else labels)
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "column", "pickle", "list"])
def test_integers_are_names_where_class_names_are_integers(tmp_path: Path, kind: str) -> None:
    numbers = [10, 2, 0, 9, 1]
    custom = read_custom(_save_labelled(tmp_path, kind, numbers), ELEVEN, SIZE)
    assert custom.labels is not None
    assert [ELEVEN[place] for place in custom.labels] == [str(number) for number in numbers]
    assert "class names" in custom.layout


def test_integers_of_corruptions_are_names_as_well(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (10, SIZE, SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "fog.npy", images)
    for labels in ([10, 2], np.array([[10], [2]]), [10, 2] * 5):
        np.save(tmp_path / "labels.npy", labels)
        custom = read_custom(tmp_path, ELEVEN, SIZE)
        assert custom.labels is not None
        assert [ELEVEN[place] for place in custom.labels] == ["10", "2"] * 5
        assert len(custom.groups) == 5


@pytest.mark.parametrize("names", [("1", "2", "3"), ("01", "02", "03"), ("-1", "1", "2")])
def test_an_integer_that_names_no_class_is_refused_with_both_readings(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    path = _save_labelled(tmp_path, "npz", [1, 2, 0])
    with pytest.raises(UserError, match=r"'labels'\[2\]: label 0 ") as raised:
        read_custom(path, names, SIZE)
    assert f"({', '.join(names)})" in str(raised.value)
    assert f"as a place it would be class {names[0]}" in str(raised.value)


def test_one_number_under_two_names_is_refused(tmp_path: Path) -> None:
    path = _save_labelled(tmp_path, "npz", [1, 2])
    with pytest.raises(UserError, match=r"'labels'\[0\]: label 1 is not the number of one class"):
        read_custom(path, ("01", "1", "2"), SIZE)


@pytest.mark.parametrize("names", [("0", "1", "2"), ("cat", "1", "2")])
def test_integers_are_places_otherwise(tmp_path: Path, names: tuple[str, ...]) -> None:
    custom = read_custom(_save_labelled(tmp_path, "npz", [2, 0, 1]), names, SIZE)
    assert custom.labels is not None and custom.labels.tolist() == [2, 0, 1]
    assert "class names" not in custom.layout


def test_a_broken_link_beside_an_array_is_not_taken_for_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "x_data.npy", HWC)
    (tmp_path / "x_labels.npy").symlink_to("nowhere")
    for path in (tmp_path, tmp_path / "x_data.npy"):
        with pytest.raises(UserError, match=r"x_labels\.npy"):
            _read(path)
