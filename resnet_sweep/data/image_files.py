"""Which files of a folder are images: one set of rules for training and for prediction.

Names that systems and programs leave behind are no data at any depth. Whatever Pillow can read
is an image; other files are left out, and callers say so.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from stat import S_ISREG
from typing import NamedTuple

from resnet_sweep.config.errors import UserError

# What file servers, archivers and operating systems put beside a user's files; names that begin
# with a dot are no data either.
NO_DATA = frozenset(
    {
        "@eadir",
        "@tmp",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "__macosx",
        "__pycache__",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
    }
)
# Formats that Pillow recognises and leaves to other programs.
_RECOGNISED_ONLY = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
# Images that Pillow cannot read as it is delivered, by their endings.
_OTHER_IMAGES = (
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jxr", ".exr", ".hdr", ".djvu", ".xcf"),
    *(".svg", ".svgz", ".eps", ".ps", ".ai", ".wmf", ".emf"),
    *(".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2"),
    *(".orf", ".raf", ".rw2", ".pef", ".srw", ".x3f"),
)


class ImageFile(NamedTuple):
    folder: str
    name: str
    size: int
    mtime_ns: int

    @property
    def path(self) -> str:
        return os.path.join(self.folder, self.name)


class Listing(NamedTuple):
    """What lies in a folder and all folders below it.

    Args:
        images: in the order of torchvision's ImageFolder.
        left_out: paths of the other files.
    """

    images: list[ImageFile]
    left_out: list[str]


def scan(folder: str) -> list[os.DirEntry[str]]:
    """Return what lies in a folder and may be data, in the order of the names.

    Raises:
        UserError: the folder cannot be read, or a symbolic link in it leads nowhere.
    """
    try:
        with os.scandir(folder) as entries:
            found = [
                entry
                for entry in entries
                if not entry.name.startswith(".") and entry.name.lower() not in NO_DATA
            ]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
    for entry in found:
        if entry.is_symlink():
            try:
                entry.stat()
            except OSError as error:
                problem = f"is a broken symbolic link ({error.strerror})"
                raise UserError(f"{entry.path}: {problem}; mend or remove it") from None
    return sorted(found, key=lambda entry: entry.name)


def list_class_folders(folder: str) -> list[str]:
    """Return the names of the folders in a folder, sorted as text, as torchvision has them."""
    return [entry.name for entry in scan(folder) if entry.is_dir()]


def list_images(folder: str) -> Listing:
    """Find the images in a folder and in all folders below it.

    Raises:
        UserError: names what cannot be read, and a symbolic link that leads in a circle.
    """
    images, left_out = _walk(folder, frozenset())
    return Listing(sorted(images), left_out)


def list_loose(folder: str) -> Listing:
    """Find the images in a folder alone."""
    return _sort_out(folder, scan(folder))


def _walk(folder: str, above: frozenset[tuple[int, int]]) -> Listing:
    stat = os.stat(folder)
    place = stat.st_dev, stat.st_ino
    if place in above:
        raise UserError(f"{folder}: is a symbolic link to a folder that it lies in")
    entries = scan(folder)
    found = _sort_out(folder, entries)
    for entry in entries:
        if entry.is_dir():
            images, left_out = _walk(entry.path, above | {place})
            found.images.extend(images)
            found.left_out.extend(left_out)
    return found


def _sort_out(folder: str, entries: Sequence[os.DirEntry[str]]) -> Listing:
    """Tell files by the endings of their names; by the content where there is none."""
    found = Listing([], [])
    for entry in entries:
        if entry.is_dir():
            continue
        has_ending = find_ending(entry.name) != ""
        if not (has_image_ending(entry.name) if has_ending else holds_image(entry.path)):
            found.left_out.append(entry.path)
            continue
        stat = entry.stat()
        if not S_ISREG(stat.st_mode):
            raise UserError(f"{entry.path}: must be a regular file")
        found.images.append(ImageFile(folder, entry.name, stat.st_size, stat.st_mtime_ns))
    return found


def has_image_ending(name: str) -> bool:
    return find_ending(name) in _readable_formats()


def find_ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


@cache
def _readable_formats() -> dict[str, str]:
    """Return the format of each ending, with its dot, that Pillow reads."""
    from PIL import Image

    known = Image.registered_extensions()
    reads = {*Image.OPEN, "MPO"}.difference(_RECOGNISED_ONLY)  # MPO is opened as JPEG
    return {ending: name for ending, name in known.items() if name in reads}


def holds_image(path: str) -> bool:
    """Whether Pillow recognises a file by its content."""
    from PIL import Image

    if not os.path.isfile(path):
        return False  # a pipe would wait for a writer
    formats = tuple({*_readable_formats().values()} - {"MPO"})
    try:
        with open(path, "rb") as file, Image.open(file, formats=formats):
            return True
    except Exception:  # whatever a file that is no image makes Pillow's readers raise
        return False


def describe_left_out(paths: Sequence[str], why: str = "no images that Pillow reads") -> str:
    """Return a line that counts files by their endings and names the first."""
    counts = Counter(find_ending(path) or "without ending" for path in paths)
    kinds = ", ".join(f"{count} {ending}" for ending, count in counts.most_common())
    noun = "file" if len(paths) == 1 else "files"
    return f"{len(paths)} {noun} left out ({kinds}): {why}, the first: {min(paths)}"


def find_missed_images(left_out: Iterable[str]) -> list[str]:
    """Return those files that are images all the same: of another format, or misnamed."""
    return [p for p in left_out if find_ending(p) in _OTHER_IMAGES or holds_image(p)]
