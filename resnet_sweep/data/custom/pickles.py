"""Pickled dicts of images, as CIFAR's batches and the course's test sets are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.custom.array_files import ID_KEYS, LABEL_KEYS, tell_columns
from resnet_sweep.data.custom.arrays import ArraySource, check_layout
from resnet_sweep.data.custom.columns import find_key, read_ids, read_labels
from resnet_sweep.data.custom.custom_set import CustomSet, make_custom_set
from resnet_sweep.data.unpickle import load_pickle

IMAGE_KEYS = ("data", "images", "x", "X")


def read_pickle(path: Path, class_names: Sequence[str], size: int) -> CustomSet:
    """Read a dict with b'data' and perhaps b'labels' and b'ids'; keys may be text or bytes."""
    content = load_pickle(path)
    if not isinstance(content, dict):
        found = type(content).__name__.lstrip("_")
        raise UserError(f"{path}: must be a pickled dict with b'data', not {found}")
    images_key = find_key(content, _either(IMAGE_KEYS))
    if images_key is None:
        names = sorted(repr(key)[:40] for key in content if isinstance(key, (str, bytes)))
        keys = ", ".join(names)[:200] or "no key that is text"
        raise UserError(f"{path}: must be a dict with b'data' or b'images'; it has {keys}")
    array, where = content[images_key], f"{path}: {images_key!r}"
    if not isinstance(array, np.ndarray):
        raise UserError(f"{where}: must be a NumPy array, not {type(array).__name__}")
    plain = np.asarray(array)
    layout = check_layout(plain.shape, plain.dtype, where)
    labels_key, ids_key = (find_key(content, _either(keys)) for keys in (LABEL_KEYS, ID_KEYS))
    labels = ids = None
    if labels_key is not None:
        where = f"{path}: {labels_key!r}"
        labels = read_labels(content[labels_key], where, len(plain), class_names)
    if ids_key is not None:
        ids = read_ids(content[ids_key], f"{path}: {ids_key!r}", len(plain))
    columns = tell_columns(_text(labels_key), _text(ids_key))
    line = f"pickled dict with {_text(images_key)!r}, {layout.name}, {columns}"
    return make_custom_set(path, ArraySource(plain, layout, size), line, labels, ids)


def _either(names: Sequence[str]) -> list[bytes | str]:
    """Return each name as bytes and as text, which Python 2 and 3 make of it."""
    return [key for name in names for key in (name.encode(), name)]


def _text(key: Any) -> str | None:
    return key.decode() if isinstance(key, bytes) else key
