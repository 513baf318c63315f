"""What the tests of bad custom sets share."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_sweep.config.errors import UserError
from resnet_sweep.data.custom import read_custom

CLASSES = ("cat", "dog")
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1, 0, 1])


def save_png(path: Path, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path, "png")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_bomb(side: int) -> bytes:
    """Return a small PNG that claims side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0" * 999))
    return b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b"")


def npy_header(shape: str, descr: str = "'|u1'") -> bytes:
    """Return an .npy file whose header claims anything."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 64


def zip_members(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def check_refused(path: Path, message: str, names: Path | None = None) -> None:
    """Read a set whole and expect one line that says this and names the file."""
    with pytest.raises(UserError) as raised:
        custom = read_custom(path, CLASSES, 8)
        custom.images.read(range(len(custom)))
    line = str(raised.value)
    assert message in line
    assert str(names or path) in line
    assert "\n" not in line and len(line) < 600 + len(str(path))
