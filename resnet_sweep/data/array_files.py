"""Reading .npy and .npz files that nobody vouches for: what they claim is checked first."""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError, why

NPY_MAGIC = b"\x93NUMPY"
# Photographs shrink a little, drawings tenfold. Large content that shrinks more is a bomb.
MAX_RATIO = 100
MAX_FREE_BYTES = 64 * 2**20
MAX_HEADER_BYTES = 10_000  # as numpy.load's max_header_size
_CHUNK = 2**24


class Header(NamedTuple):
    """What an .npy file claims to hold, and where its numbers begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    offset: int

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def open_npy(path: Path) -> NDArray[Any]:
    """Return the array in an .npy file, left on disk until it is used.

    Raises:
        UserError: names the file, if it is damaged, cut off or holds Python objects.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = _read_header(file, str(path), size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if header.num_bytes == 0:
        return np.empty(header.shape, header.dtype)
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    array: NDArray[Any] = np.memmap(
        path, header.dtype, mode="r", offset=header.offset, shape=header.shape, order=order
    )
    return array


class NpzFile:
    """The arrays of an .npz file, each read when it is asked for.

    Raises:
        UserError: names the file, and the member that is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except Exception as error:  # a damaged archive raises almost anything
            raise UserError(f"{path}: damaged .npz ({why(error)[:120]})") from None
        for member in members:
            _check_name(path, member.filename)
        self.members = {m.filename.removesuffix(".npy"): m for m in members}
        if len(self.members) != len(members):
            raise UserError(f"{path}: damaged .npz (two members have the same name)")
        self.members = {n: m for n, m in self.members.items() if m.filename.endswith(".npy")}
        if not self.members:
            raise UserError(f"{path}: must be an .npz of arrays; holds none")

    def header(self, name: str) -> Header:
        """Return what an array claims to be; its file's size has been compared."""
        with self._open(name) as file:
            return _read_header(file, self._where(name), self.members[name].file_size)

    def read(self, name: str) -> NDArray[Any]:
        header = self.header(name)
        self._check_bomb(name)
        with self._open(name) as file:
            array = np.empty(header.num_bytes, np.uint8)
            file.read(header.offset)
            _fill(file, array)
            file.read(1)  # at the end zipfile compares the checksum
        order: Any = "F" if header.is_fortran else "C"
        return array.view(header.dtype).reshape(header.shape, order=order)

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a member; whatever a damaged one raises becomes a UserError."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.members[name]) as file:
                yield file
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{self._where(name)}: damaged ({why(error)[:120]})") from None

    def _where(self, name: str) -> str:
        return f"{self.path}: {self.members[name].filename}"

    def _check_bomb(self, name: str) -> None:
        member = self.members[name]
        if member.compress_size > self.path.stat().st_size:
            raise UserError(f"{self._where(name)}: damaged or cut off: larger than the file")
        ratio = member.file_size / max(member.compress_size, 1)
        if member.file_size > MAX_FREE_BYTES and ratio > MAX_RATIO:
            claim = f"{member.compress_size} bytes claim to hold {member.file_size}"
            raise UserError(f"{self._where(name)}: refused as a decompression bomb: {claim}")


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name:
        raise UserError(f"{path}: refused, its member {name!r} leads outside")


def _read_header(file: IO[bytes], where: str, size: int) -> Header:
    """Read an .npy header and compare its claim with the size of the file."""
    try:
        start = _read_start(file)
        version = np.lib.format.read_magic(start)
        read: Any = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        with warnings.catch_warnings():  # of files written by Python 2
            warnings.simplefilter("ignore", UserWarning)
            shape, is_fortran, dtype = read(start)
    except Exception as error:  # NumPy's parser lets through what a damaged header makes it raise
        raise UserError(f"{where}: damaged .npy header ({why(error)[:120]})") from None
    header = Header(shape, dtype, is_fortran, file.tell())
    if dtype.hasobject or dtype.kind not in "biufUS":
        raise UserError(f"{where}: refused, it holds {dtype}; must be numbers or text")
    if any(isinstance(length, bool) for length in shape):
        raise UserError(f"{where}: damaged .npy header (no integer in shape {list(shape)})")
    if min(shape, default=0) < 0:
        raise UserError(f"{where}: damaged .npy header (negative shape {list(shape)})")
    found = size - header.offset
    if header.num_bytes != found:
        claim = f"claims {dtype} {list(shape)}, {header.num_bytes} bytes, and holds {found}"
        raise UserError(f"{where}: damaged or cut off: {claim}")
    return header


def _read_start(file: IO[bytes]) -> IO[bytes]:
    """Return the header by itself: NumPy reads what it claims to hold before it looks at it."""
    start = file.read(np.lib.format.MAGIC_LEN)
    claim = file.read(2 if start[6:7] == b"\1" else 4)
    length = int.from_bytes(claim, "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"it claims {length} bytes; at most {MAX_HEADER_BYTES}")
    return io.BytesIO(start + claim + file.read(length))


def _fill(file: IO[bytes], target: NDArray[np.uint8]) -> None:
    done = 0
    while done < len(target):
        chunk = file.read(min(_CHUNK, len(target) - done))
        if not chunk:
            raise EOFError("cut off")
        target[done : done + len(chunk)] = np.frombuffer(chunk, np.uint8)
        done += len(chunk)
