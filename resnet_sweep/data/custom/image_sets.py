"""Image files, with or without class folders, as custom sets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.custom.custom_set import CustomSet, make_custom_set
from resnet_sweep.data.decoding import FileSource
from resnet_sweep.data.image_files import (
    Listing,
    describe_left_out,
    find_missed_images,
    list_images,
    scan,
)
from resnet_sweep.data.labels import check_distinct, find_class


def read_image_file(path: Path, size: int, background: str) -> CustomSet:
    """Read a single image."""
    source = FileSource([str(path)], size, background)
    return make_custom_set(path, source, "one image file", ids=(path.name,))


def list_image_folders(root: str) -> tuple[dict[str, Listing], list[str]]:
    """Return what lies in each folder of `root` that holds an image somewhere, by its name.

    And the files of the other folders, which are left out.
    """
    found = {e.name: list_images(e.path) for e in scan(root) if e.is_dir()}
    others = [path for each in found.values() if not each.images for path in each.left_out]
    return {name: listing for name, listing in found.items() if listing.images}, others


def read_loose_images(
    root: Path, listing: Listing, left_out: Sequence[str], size: int, background: str
) -> CustomSet:
    """Read the images `root/*`; the IDs are their names.

    Args:
        left_out: files of folders beside them.
    """
    paths = sorted(file.path for file in listing.images)
    others = [*listing.left_out, *left_out]
    source = FileSource(paths, size, background, _check_left_out(others))
    ids = _name_images(root, paths)
    return make_custom_set(root, source, "image folder, no classes", ids=ids)


def read_class_folders(
    root: Path,
    folders: Mapping[str, Listing],
    left_out: Sequence[str],
    class_names: Sequence[str],
    size: int,
    background: str,
) -> CustomSet:
    """Read the images `root/<class>/*`; the IDs are their paths within root.

    Args:
        left_out: files beside the class folders.
    """
    places = {name: place for place, name in enumerate(class_names)}
    paths: list[str] = []
    labels: list[int] = []
    others = [*left_out]
    for name, listing in folders.items():
        paths += sorted(file.path for file in listing.images)
        labels += [_find_label(root / name, places)] * len(listing.images)
        others += listing.left_out
    source = FileSource(paths, size, background, _check_left_out(others))
    line = f"image folder, {len(folders)} class folders"
    known, ids = np.array(labels, np.int64), _name_images(root, paths)
    return make_custom_set(root, source, line, known, ids)


def _check_left_out(paths: Sequence[str]) -> list[str]:
    """Return what is said of files that are left out.

    Raises:
        UserError: there are images among them, which would be missing among the predictions.
    """
    if missed := find_missed_images(paths):
        reason = "images all the same, of a format that Pillow cannot read or with a wrong ending"
        raise UserError(f"{describe_left_out(missed, reason)}; convert, rename or remove them")
    return [describe_left_out(paths)] if paths else []


def _find_label(folder: Path, places: dict[str, int]) -> int:
    try:
        return find_class(folder.name, places, str(folder))
    except UserError as error:
        inner = [name for name in list_image_folders(str(folder))[0] if name in places]
        hint = f"; is input={folder} meant?" if inner else ""
        raise UserError(f"{error}{hint}") from None


def _name_images(root: Path, paths: Sequence[str]) -> tuple[str, ...]:
    ids = [_printable(os.path.relpath(path, root)) for path in paths]
    check_distinct(ids, f"{root}: ID")
    return tuple(ids)


def _printable(path: str) -> str:
    """Return a path as text that can be written as UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
