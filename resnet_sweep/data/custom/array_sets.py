""".npy and .npz files of images, with their labels and IDs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.array_layout import find_layout
from resnet_sweep.data.custom.arrays import ArraySource, ChainSource, check_layout
from resnet_sweep.data.custom.columns import find_key, read_ids, read_labels
from resnet_sweep.data.custom.custom_set import CustomSet, Group, make_custom_set
from resnet_sweep.data.numpy_files import NpzFile, open_npy

LABEL_KEYS = ("labels", "label", "fine_labels", "targets", "target", "y", "Y")
ID_KEYS = ("ids", "id", "ID", "IDs")
IMAGE_SUFFIXES = ("_data", "_images")
LABELS_FILE = "labels.npy"
NUM_SEVERITIES = 5


def read_npy(path: Path, class_names: Sequence[str], size: int) -> CustomSet:
    """Read an .npy file of images, with the file of labels that lies beside it, if one does."""
    array = open_npy(path)
    layout = check_layout(array.shape, array.dtype, str(path))
    labels_path = find_labels_file(path)
    labels = None
    told = "without labels"
    if labels_path is not None:
        labels = read_labels(open_npy(labels_path), str(labels_path), len(array), class_names)
        told = f"labels from {labels_path.name}"
    line = f"one array in {path.name}, {layout.name}, {told}"
    return make_custom_set(path, ArraySource(array, layout, size), line, labels)


def find_labels_file(path: Path) -> Path | None:
    """Return x_labels.npy beside x_data.npy, x_images.npy or x.npy, else labels.npy beside it."""
    stems = [path.stem.removesuffix(suffix) for suffix in IMAGE_SUFFIXES]
    names = [f"{stem}_labels.npy" for stem in [*stems, path.stem]]
    beside = (path.with_name(name) for name in [*names, LABELS_FILE])
    return next((other for other in beside if other.is_file() and other != path), None)


def read_npz(path: Path, class_names: Sequence[str], size: int) -> CustomSet:
    """Read an .npz file with one array of images and, under usual names, labels and IDs."""
    archive = NpzFile(path)
    labels_key, ids_key = (find_key(archive.members, keys) for keys in (LABEL_KEYS, ID_KEYS))
    images_key = _find_images(archive, {labels_key, ids_key})
    array = archive.read(images_key)
    layout = check_layout(array.shape, array.dtype, f"{path}: {images_key}")
    labels = ids = None
    if labels_key is not None:
        where = f"{path}: {labels_key}"
        labels = read_labels(archive.read(labels_key), where, len(array), class_names)
    if ids_key is not None:
        ids = read_ids(archive.read(ids_key), f"{path}: {ids_key}", len(array))
    line = f"{path.name} with {images_key!r}, {layout.name}, {tell_columns(labels_key, ids_key)}"
    return make_custom_set(path, ArraySource(array, layout, size), line, labels, ids)


def tell_columns(labels_key: str | None, ids_key: str | None) -> str:
    """Return what a layout's line says about labels and IDs."""
    labels = "without labels" if labels_key is None else f"labels from {labels_key!r}"
    return labels if ids_key is None else f"{labels}, IDs from {ids_key!r}"


def _find_images(archive: NpzFile, others: set[str | None]) -> str:
    headers = {name: archive.header(name) for name in archive.members if name not in others}
    found = [n for n, header in headers.items() if find_layout(header.shape)]
    if len(found) > 1:  # labels as one-hot rows and the like have another type
        found = [name for name in found if headers[name].dtype == np.uint8] or found
    if len(found) != 1:
        listed = ", ".join(f"{n} {h.dtype} {list(h.shape)}" for n, h in headers.items()) or "none"
        raise UserError(f"{archive.path}: must hold one array of images; holds {listed[:200]}")
    return found[0]


def read_corruptions(
    folder: Path, files: Sequence[Path], class_names: Sequence[str], size: int
) -> CustomSet:
    """Read a folder as CIFAR-10-C's: an array for each corruption, and labels.npy for all.

    Where the labels repeat five times, each fifth of an array is one severity
    (Hendrycks and Dietterich 2019, arXiv:1903.12261).
    """
    arrays = [open_npy(path) for path in files]
    layouts = [check_layout(a.shape, a.dtype, str(p)) for a, p in zip(arrays, files, strict=True)]
    labels_path = folder / LABELS_FILE
    raw = open_npy(labels_path)
    count = len(arrays[0])
    for path, array in zip(files, arrays, strict=True):
        if len(array) != count:
            problem = f"holds {len(array)} images, {files[0].name} {count}; must be equal"
            raise UserError(f"{path}: {problem}")
    labels = _read_repeated(raw, labels_path, count, class_names)
    parts = NUM_SEVERITIES if _repeats(labels) else 1
    groups = _divide([path.stem for path in files], count, parts)
    divided = f", {parts} severities of {count // parts}" if parts > 1 else ""
    names = f"{len(files)} corruptions of {count} images{divided}"
    line = f"CIFAR-10-C style folder, {names}, {layouts[0].name}, labels from {LABELS_FILE}"
    sources = [ArraySource(a, each, size) for a, each in zip(arrays, layouts, strict=True)]
    ids = tuple(f"{path.stem}/{index}" for path in files for index in range(count))
    everything = np.tile(labels, len(files))
    return make_custom_set(folder, ChainSource(sources), line, everything, ids, groups)


def _read_repeated(
    raw: NDArray[Any], path: Path, count: int, class_names: Sequence[str]
) -> NDArray[np.int64]:
    """Read labels of all severities, or of one of the five."""
    if raw.ndim == 1 and len(raw) * NUM_SEVERITIES == count:
        return np.tile(read_labels(raw, str(path), len(raw), class_names), NUM_SEVERITIES)
    return read_labels(raw, str(path), count, class_names)


def _repeats(labels: NDArray[np.int64]) -> bool:
    rows, rest = divmod(len(labels), NUM_SEVERITIES)
    return rest == 0 and bool((labels.reshape(NUM_SEVERITIES, rows) == labels[:rows]).all())


def _divide(names: Sequence[str], count: int, parts: int) -> tuple[Group, ...]:
    size = count // parts
    return tuple(
        Group(name, part + 1 if parts > 1 else None, start, start + size)
        for place, name in enumerate(names)
        for part in range(parts)
        for start in [place * count + part * size]
    )
