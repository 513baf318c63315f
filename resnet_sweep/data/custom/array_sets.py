"""Arrays of images in .npy, .npz and pickle files, with their labels and IDs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.array_files import find_layout, open_npy, read_npz, read_npz_headers
from resnet_sweep.data.custom.custom_set import (
    ArraySource,
    ChainSource,
    CustomSet,
    Group,
    make_custom_set,
)
from resnet_sweep.data.labels import find_key, read_ids, read_labels
from resnet_sweep.data.unpickle import load_pickle

LABEL_KEYS = ("labels", "label", "fine_labels", "targets", "target", "y", "Y")
IMAGE_KEYS = ("data", "images", "x", "X")
ID_KEYS = ("ids", "id", "ID", "IDs")
IMAGE_SUFFIXES = ("_data", "_images")
LABELS_FILE = "labels.npy"
NUM_SEVERITIES = 5
# Of CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv:1903.12261).
CORRUPTION_FILES = frozenset(
    [
        "brightness",
        "contrast",
        "defocus_blur",
        "elastic_transform",
        "fog",
        "frost",
        "gaussian_blur",
        "gaussian_noise",
        "glass_blur",
        "impulse_noise",
        "jpeg_compression",
        "motion_blur",
        "pixelate",
        "saturate",
        "shot_noise",
        "snow",
        "spatter",
        "speckle_noise",
        "zoom_blur",
    ]
)


def read_npy_set(path: Path, class_names: Sequence[str], size: int) -> CustomSet:
    """Read an .npy file of images, with the file of labels that lies beside it, if one does."""
    source = ArraySource(open_npy(path), size, str(path))
    labels_path = find_labels_file(path)
    places, told = None, "without labels"
    if labels_path is not None:
        raw = open_npy(labels_path)
        places, reading = read_labels(raw, str(labels_path), len(source), class_names)
        told = f"labels from {labels_path.name}{reading}"
    line = f"one array in {path.name}, {source.layout.name}, {told}"
    return make_custom_set(path, source, line, places)


def find_labels_file(path: Path) -> Path | None:
    """Return x_labels.npy beside x_data.npy, x_images.npy or x.npy, else labels.npy beside it."""
    stems = [path.stem.removesuffix(suffix) for suffix in IMAGE_SUFFIXES]
    names = [f"{stem}_labels.npy" for stem in [*stems, path.stem]]
    beside = (path.with_name(name) for name in [*names, LABELS_FILE])
    found = (other for other in beside if os.path.lexists(other) and other != path)
    return next((other for other in found if not other.is_dir()), None)


def read_npz_set(path: Path, class_names: Sequence[str], size: int) -> CustomSet:
    """Read an .npz file with one array of images and, under usual names, labels and IDs."""
    headers = read_npz_headers(path)
    labels_key, ids_key = (find_key(headers, keys) for keys in (LABEL_KEYS, ID_KEYS))
    others = {n: h for n, h in headers.items() if n not in (labels_key, ids_key)}
    found = [name for name, header in others.items() if find_layout(header.shape)]
    if len(found) > 1:  # labels as one-hot rows and the like have another type
        found = [name for name in found if others[name].dtype == np.uint8] or found
    if len(found) != 1:
        listed = ", ".join(f"{n} {h.dtype} {list(h.shape)}" for n, h in others.items()) or "none"
        raise UserError(f"{path}: must hold one array of images; holds {listed[:200]}")
    keys = found[0], labels_key, ids_key
    content = {key: read_npz(path, key) for key in keys if key is not None}
    return _read_columns(path, path.name, content, keys, class_names, size)


def read_pickle_set(path: Path, class_names: Sequence[str], size: int) -> CustomSet:
    """Read a pickled dict with b'data' and perhaps b'labels' and b'ids', as CIFAR's batches are.

    Keys may be text or bytes.
    """
    content = load_pickle(path)
    if not isinstance(content, dict):
        found = type(content).__name__.lstrip("_")
        raise UserError(f"{path}: must be a pickled dict with b'data', not {found}")
    images_key, labels_key, ids_key = (  # text is bytes to Python 2
        find_key(content, [key for name in names for key in (name.encode(), name)])
        for names in (IMAGE_KEYS, LABEL_KEYS, ID_KEYS)
    )
    if images_key is None:
        names = sorted(repr(key)[:40] for key in content if isinstance(key, (str, bytes)))
        listed = ", ".join(names)[:200] or "no key that is text"
        raise UserError(f"{path}: must be a dict with b'data' or b'images'; it has {listed}")
    array = content[images_key]
    if not isinstance(array, np.ndarray):
        found = type(array).__name__
        raise UserError(f"{path}: {images_key!r}: must be a NumPy array, not {found}")
    content[images_key] = np.asarray(array)
    keys = images_key, labels_key, ids_key
    return _read_columns(path, "pickled dict", content, keys, class_names, size)


def _read_columns(
    path: Path,
    kind: str,
    content: Mapping[Any, Any],
    keys: tuple[Any, Any, Any],
    class_names: Sequence[str],
    size: int,
) -> CustomSet:
    """Make a set of images, labels and IDs under three keys; the last two may be null."""
    images_key, labels_key, ids_key = keys
    source = ArraySource(content[images_key], size, f"{path}: {images_key!r}")
    places = ids = None
    told = "without labels"
    if labels_key is not None:
        where = f"{path}: {labels_key!r}"
        places, reading = read_labels(content[labels_key], where, len(source), class_names)
        told = f"labels from {_text(labels_key)!r}{reading}"
    if ids_key is not None:
        ids = read_ids(content[ids_key], f"{path}: {ids_key!r}", len(source))
        told = f"{told}, IDs from {_text(ids_key)!r}"
    line = f"{kind} with {_text(images_key)!r}, {source.layout.name}, {told}"
    return make_custom_set(path, source, line, places, ids)


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


def is_corruption(path: Path) -> bool:
    """Whether an array beside labels.npy is one of CIFAR-10-C's: by its name, or its length."""
    lengths = [open_npy(each).shape[:1] for each in (path, path.with_name(LABELS_FILE))]
    (images, labels) = (length[0] if length else 0 for length in lengths)
    return path.stem in CORRUPTION_FILES or images == NUM_SEVERITIES * labels


def read_corruptions(
    folder: Path, files: Sequence[Path], class_names: Sequence[str], size: int
) -> CustomSet:
    """Read a folder as CIFAR-10-C's: an array for each corruption, and labels.npy for all.

    Where the labels repeat five times, each fifth of an array is one severity
    (Hendrycks and Dietterich 2019, arXiv:1903.12261).
    """
    sources = [ArraySource(open_npy(path), size, str(path)) for path in files]
    labels_path = folder / LABELS_FILE
    raw = open_npy(labels_path)
    count = len(sources[0])
    for path, source in zip(files, sources, strict=True):
        if len(source) != count:
            problem = f"holds {len(source)} images, {files[0].name} {count}; must be equal"
            raise UserError(f"{path}: {problem}")
    is_of_one = len(raw) * NUM_SEVERITIES == count  # the labels of each severity, given once
    labels, reading = read_labels(
        raw, str(labels_path), len(raw) if is_of_one else count, class_names
    )
    labels = np.tile(labels, NUM_SEVERITIES) if is_of_one else labels
    groups = _groups(files, labels, is_of_one)
    parts = len(groups) // len(files)
    divided = f", {parts} severities of {count // parts}" if parts > 1 else ""
    names = f"{len(files)} corruptions of {count} images{divided}"
    told = f"{sources[0].layout.name}, labels from {LABELS_FILE}{reading}"
    line = f"CIFAR-10-C style folder, {names}, {told}"
    ids = tuple(f"{path.stem}/{index}" for path in files for index in range(count))
    everything = np.tile(labels, len(files))
    return make_custom_set(folder, ChainSource(sources), line, everything, ids, tuple(groups))


def _groups(files: Sequence[Path], labels: NDArray[np.int64], is_of_one: bool) -> list[Group]:
    """Return the parts of arrays one behind the other: by severity where the labels repeat."""
    parts = NUM_SEVERITIES if is_of_one else 1
    if len(labels) % NUM_SEVERITIES == 0 and len(np.unique(labels)) > 1:
        fifths = labels.reshape(NUM_SEVERITIES, -1)
        parts = NUM_SEVERITIES if (fifths == fifths[0]).all() else parts
    length = len(labels) // parts
    groups: list[Group] = []
    for path in files:
        for part in range(parts):
            start, severity = len(groups) * length, part + 1 if parts > 1 else None
            groups.append(Group(path.stem, severity, start, start + length))
    return groups
