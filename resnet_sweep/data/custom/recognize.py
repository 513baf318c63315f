"""Which kind of set lies at a path, by what it contains; and image files as a set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import numpy as np

from resnet_sweep.config.data import DEFAULT_BACKGROUND, DataConfig, ImageFolderConfig
from resnet_sweep.config.errors import UserError, require
from resnet_sweep.data.array_files import NPY_MAGIC
from resnet_sweep.data.custom.array_sets import (
    IMAGE_SUFFIXES,
    LABELS_FILE,
    is_corruption,
    read_corruptions,
    read_npy_set,
    read_npz_set,
    read_pickle_set,
)
from resnet_sweep.data.custom.custom_set import CustomSet, make_custom_set
from resnet_sweep.data.decoding import FileSource
from resnet_sweep.data.image_files import (
    Listing,
    describe_left_out,
    find_missed_images,
    has_image_ending,
    holds_image,
    list_images,
    list_loose,
    scan,
)
from resnet_sweep.data.labels import check_distinct, find_class

PICKLE_SUFFIXES = (".pkl", ".pickle", ".p")
PICKLE_STARTS = (b"\x80", b"(dp", b"}q")  # from protocol 2 on; a dict in protocols 0 and 1
# What must be unpacked first, by its signature and where that stands.
ARCHIVES = {
    (b"\x1f\x8b", 0): "a gzip archive",
    (b"BZh", 0): "a bzip2 archive",
    (b"\xfd7zXZ", 0): "an xz archive",
    (b"7z\xbc\xaf", 0): "a 7z archive",
    (b"ustar", 257): "a tar archive",
}
KINDS = "an image folder, .npy, .npz or pickled arrays, or a CIFAR-10-C style folder"


def read_custom(
    path: Path,
    class_names: Sequence[str],
    image_size: int,
    background: str = DEFAULT_BACKGROUND,
) -> CustomSet:
    """Recognise the set at `path`; images are read when they are asked for.

    Args:
        class_names: of the net; labels become places in it, class folders are matched by name.
        image_size: side to which images of another size are brought.
        background: black or white, what transparent images are laid over.

    Raises:
        UserError: one line that names the file and the position of what is wrong.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if S_ISDIR(mode):
        return _read_folder(path, class_names, image_size, background)
    if not S_ISREG(mode):
        raise UserError(f"{path}: must be a file or a folder")
    return _read_file(path, class_names, image_size, background)


def choose_background(trained_on: Sequence[DataConfig], background: str | None = None) -> str:
    """Return what transparent images are laid over.

    Args:
        trained_on: the data of the nets that see the images.
        background: what the user wants; null: what those images were laid over.

    Raises:
        ConfigError: the nets were trained with both.
    """
    if background is not None:
        return background
    found = sorted({c.background for c in trained_on if isinstance(c, ImageFolderConfig)})
    allowed = f"must be one of {', '.join(found)}: the nets were trained with both"
    require(len(found) < 2, "background", None, allowed)
    return found[0] if found else DEFAULT_BACKGROUND


def _read_file(path: Path, class_names: Sequence[str], size: int, background: str) -> CustomSet:
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not start:
        raise UserError(f"{path}: is empty; must be {KINDS}")
    for (signature, place), name in ARCHIVES.items():
        if start[place : place + len(signature)] == signature:
            raise UserError(f"{path}: is {name}: unpack it and name the folder")
    if start.startswith(NPY_MAGIC):
        return read_npy_set(path, class_names, size)
    if start.startswith(b"PK\x03\x04") or start.startswith(b"PK\x05\x06"):
        return read_npz_set(path, class_names, size)
    if has_image_ending(path.name) or holds_image(str(path)):
        source = FileSource([str(path)], size, background)
        return make_custom_set(path, source, "one image file", ids=(path.name,))
    suffix = path.suffix.lower()
    if start.startswith(PICKLE_STARTS) or suffix in PICKLE_SUFFIXES:
        return read_pickle_set(path, class_names, size)
    damaged = f"damaged {suffix}, or " if suffix in (".npy", ".npz") else ""
    raise UserError(f"{path}: {damaged}not recognised; must be {KINDS}")


def _read_folder(root: Path, class_names: Sequence[str], size: int, background: str) -> CustomSet:
    loose = list_loose(str(root))
    folders, left_out = _list_image_folders(str(root))
    files = [Path(path) for path in loose.left_out]
    arrays = [path for path in files if path.suffix in (".npy", ".npz")]
    if loose.images and folders:
        found = f"images beside folders of images ({next(iter(folders))})"
        raise UserError(f"{root}: holds {found}; must have either, or none in folders")
    if (loose.images or folders) and arrays:
        found = f"images and arrays ({arrays[0].name})"
        raise UserError(f"{root}: holds {found}; name one file with input={arrays[0]}")
    if loose.images or folders:
        loose = Listing(loose.images, [*loose.left_out, *left_out])
        return _read_images(root, loose, folders, class_names, size, background)
    if arrays:
        return _read_arrays(root, arrays, class_names, size)
    pickles = [path for path in files if path.suffix.lower() in PICKLE_SUFFIXES]
    if len(pickles) == 1:
        return read_pickle_set(pickles[0], class_names, size)
    names = ", ".join(sorted(os.listdir(root))[:8])
    holds = f"it holds {names[:120]}; name one file" if names else "it is empty"
    raise UserError(f"{root}: must hold {KINDS}; {holds}")


def _list_image_folders(root: str) -> tuple[dict[str, Listing], list[str]]:
    """Return what lies in each folder of `root` that holds an image somewhere, by its name.

    And the files of the other folders, which are left out.
    """
    found = {e.name: list_images(e.path) for e in scan(root) if e.is_dir()}
    others = [path for each in found.values() if not each.images for path in each.left_out]
    return {name: listing for name, listing in found.items() if listing.images}, others


def _read_images(
    root: Path,
    loose: Listing,
    folders: Mapping[str, Listing],
    class_names: Sequence[str],
    size: int,
    background: str,
) -> CustomSet:
    """Read the images `root/*` or `root/<class>/*`; the IDs are their paths within root.

    Args:
        loose: beside the folders; its other files, and all of theirs, are left out.

    Raises:
        UserError: there are images among these, which would be missing among the predictions.
    """
    places = {name: place for place, name in enumerate(class_names)}
    paths = sorted(file.path for file in loose.images)
    labels: list[int] = []
    left_out = [*loose.left_out]
    for name, listing in folders.items():
        paths += sorted(file.path for file in listing.images)
        labels += [_find_label(root / name, places)] * len(listing.images)
        left_out += listing.left_out
    if missed := find_missed_images(left_out):
        reason = "images all the same, of a format that Pillow cannot read or with a wrong ending"
        raise UserError(f"{describe_left_out(missed, reason)}; convert, rename or remove them")
    notes = [describe_left_out(left_out)] if left_out else []
    within = (os.fsencode(os.path.relpath(path, root)) for path in paths)
    ids = tuple(path.decode("utf-8", "backslashreplace") for path in within)
    check_distinct(ids, f"{root}: ID")
    source = FileSource(paths, size, background, notes)
    line = f"image folder, {len(folders)} class folders" if folders else "image folder, no classes"
    known = np.array(labels, np.int64) if folders else None
    return make_custom_set(root, source, line, known, ids)


def _find_label(folder: Path, places: dict[str, int]) -> int:
    try:
        return find_class(folder.name, places, str(folder))
    except UserError as error:
        inner = [name for name in _list_image_folders(str(folder))[0] if name in places]
        hint = f"; is input={folder} meant?" if inner else ""
        raise UserError(f"{error}{hint}") from None


def _read_arrays(
    root: Path, arrays: Sequence[Path], class_names: Sequence[str], size: int
) -> CustomSet:
    npz = [path for path in arrays if path.suffix == ".npz"]
    paired = [path for path in arrays if _has_own_labels(path)]
    choices = npz or paired
    if len(choices) > 1 or (npz and len(arrays) > 1):
        listed = ", ".join(path.name for path in arrays[:8])
        raise UserError(f"{root}: holds several sets ({listed}); name one: input={choices[0]}")
    if choices:
        return (read_npz_set if npz else read_npy_set)(choices[0], class_names, size)
    images = [path for path in arrays if path.name != LABELS_FILE]
    if not images:
        raise UserError(f"{root}: holds {LABELS_FILE} and no images")
    has_labels = (root / LABELS_FILE).is_file()
    if len(images) == 1 and not (has_labels and is_corruption(images[0])):
        return read_npy_set(images[0], class_names, size)
    if has_labels:
        return read_corruptions(root, images, class_names, size)
    listed = ", ".join(path.name for path in images[:8])
    raise UserError(f"{root}: holds several arrays ({listed}) and no {LABELS_FILE}; name one")


def _has_own_labels(path: Path) -> bool:
    """Whether this is x_data.npy or x_images.npy beside x_labels.npy."""
    stems = [path.stem.removesuffix(s) for s in IMAGE_SUFFIXES if path.stem.endswith(s)]
    return any(path.with_name(f"{stem}_labels.npy").is_file() for stem in stems)
