"""Whatever is wrong with a custom set: one line that names the file and the position."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_sets import CLASSES, IMAGES, LABELS, check_refused, npy_header, png_bomb, zip_members

from resnet_sweep.data.custom import read_custom
from resnet_sweep.data.numpy_files import MAX_FREE_BYTES


def _npy(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


class _Call:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _pickled(content: Any) -> bytes:
    return pickle.dumps(content, 2)


def _batch(**changes: Any) -> bytes:
    content = {"data": IMAGES, "labels": LABELS.tolist(), **changes}
    return _pickled({key.encode(): value for key, value in content.items() if value is not None})


def _npz(**changes: Any) -> bytes:
    buffer = io.BytesIO()
    arrays = {"images": IMAGES, "labels": LABELS, **changes}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


CODE = b"__import__('os').mkdir('was_executed')"
EVIL_EVAL = b"cbuiltins\neval\n(X" + struct.pack("<I", len(CODE)) + CODE + b"tR."
# name of the file -> (its content, what the line says after the file's name)
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "system.pkl": (_pickled({b"data": _Call(os.system, "mkdir was_executed")}), "refused"),
    "eval.pkl": (b"\x80\x02" + EVIL_EVAL, "refused, it asks for builtins.eval"),
    "getattr.pkl": (_pickled([_Call(getattr, "", "join")]), "refused"),
    "exec.pkl": (
        _pickled({b"data": _Call(exec, "import os; os.mkdir('was_executed')")}),
        "refused",
    ),
    "stack_global.pkl": (pickle.dumps(_Call(os.mkdir, "was_executed"), 4), "refused"),
    "inst.pkl": (b"(S'was_executed'\nios\nmkdir\n.", "refused, it asks for os.mkdir"),
    "inst2.pkl": (b"\x80\x00(S'was_executed'\nios\nmkdir\n.", "refused, it asks for os.mkdir"),
    "persistent.pkl": (b"\x80\x02X\x01\x00\x00\x00aQ.", "damaged pickle"),
    "extension.pkl": (b"\x80\x02\x82\x01.", "damaged pickle"),
    "memo.pkl": (b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".", "refused"),
    "long.pkl": (b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"a.", "damaged pickle"),
    "cut.pkl": (_batch()[:300], "damaged pickle"),
    "list.pkl": (_pickled([1, 2]), "must be a pickled dict with b'data', not list"),
    "no_data.pkl": (_pickled({b"labels": [1], 10**5000: 1}), "must be a dict with b'data'"),
    "data_list.pkl": (_batch(data=[[1, 2]]), "must be a NumPy array, not list"),
    "labels_short.pkl": (
        _batch(labels=[0, 1]),
        "'labels': must have one label for each image; has 2",
    ),
    "labels_high.pkl": (
        _batch(labels=[0, 1, 2, 1, 0, 1]),
        "'labels'[2]: label must be from 0 to 1",
    ),
    "labels_low.pkl": (_batch(labels=LABELS - 1), "'labels'[0]: label must be from 0 to 1, is -1"),
    "labels_float.pkl": (_batch(labels=LABELS / 2), "'labels': must be integers or text [N]"),
    "labels_odd.pkl": (_batch(labels=[0, 1, 0.5, 1, 0, 1]), "'labels'[2]: must be an integer"),
    "labels_bool.pkl": (_batch(labels=[True] * 6), "'labels'[0]: must be an integer"),
    "labels_huge.pkl": (
        _batch(labels=[0, 10**5000, 0, 1, 0, 1]),
        "'labels'[1]: must be an integer",
    ),
    "labels_none.pkl": (_batch(labels=5), "'labels': must be a list or an array, not int"),
    "labels_name.pkl": (
        _batch(labels=["cat", "cot"] * 3),
        "'labels'[1]: the net has no class",
    ),
    "ids_twice.pkl": (_batch(ids=[5, 6, 7, 8, 6, 9]), "'ids'[4]: repeats the ID '6' of [1]"),
    "ids_odd.pkl": (_batch(ids=[5, 6, None, 8, 6, 9]), "'ids'[2]: must be an integer or text"),
    "ids_short.pkl": (
        _batch(ids=[5]),
        "'ids': must have one ID for each image; has 1 for 6 images",
    ),
    "empty.pkl": (_batch(data=IMAGES[:0], labels=[]), "is empty"),
    "float.pkl": (_batch(data=IMAGES / 255), "images must be uint8"),
    "rows.pkl": (_batch(data=IMAGES.reshape(6, -1)[:, 1:]), "images must be uint8"),
    "huge.npy": (npy_header("(1000000000, 32, 32, 3)"), "claims uint8 [1000000000, 32, 32, 3]"),
    "overflow.npy": (
        npy_header("(4611686018427387904, 4611686018427387904, 32, 3)"),
        "claims uint8",
    ),
    "negative.npy": (npy_header("(-1, 32, 32, 3)"), "negative shape"),
    "bool.npy": (npy_header("(True, 8, 8)"), "no integer in shape [True, 8, 8]"),
    "objects.npy": (_npy(np.array([{}, 1], object), allow_pickle=True), "holds object"),
    "records.npy": (npy_header("(1,)", "[('a', '<i4')]"), "must be numbers or text"),
    "code.npy": (npy_header("__import__('os').mkdir('was_executed')"), "damaged .npy header"),
    "version.npy": (b"\x93NUMPY\x09\x00" + b"\0" * 99, "damaged .npy header"),
    "cut.npy": (_npy(IMAGES)[:-1], "damaged or cut off: claims uint8 [6, 8, 8, 3]"),
    "cut_header.npy": (_npy(IMAGES)[:40], "damaged .npy header"),
    "float.npy": (_npy(IMAGES / 255), "images must be uint8"),
    "signed.npy": (_npy(IMAGES.astype(np.int64)), "images must be uint8"),
    "shape.npy": (_npy(np.zeros((6, 8, 8, 4), np.uint8)), "found uint8 [6, 8, 8, 4]"),
    "single.npy": (_npy(IMAGES[0]), "found uint8 [8, 8, 3]"),
    "none.npy": (_npy(IMAGES[:0]), "is empty: must hold at least one image"),
    "nothing.npy": (b"", "is empty"),
    "text.npy": (b"hello", "damaged .npy, or not recognised"),
    "outside.npz": (zip_members({"../../images.npy": _npy(IMAGES)}), "leads outside"),
    "absolute.npz": (zip_members({"/images.npy": _npy(IMAGES)}), "leads outside"),
    "backslash.npz": (zip_members({"..\\images.npy": _npy(IMAGES)}), "leads outside"),
    "drive.npz": (zip_members({"C:images.npy": _npy(IMAGES)}), "leads outside"),
    "huge.npz": (
        zip_members({"images.npy": npy_header("(99999999, 32, 32, 3)")}),
        "images.npy: damaged or cut",
    ),
    "bomb.npz": (
        zip_members({"images.npy": _npy(np.zeros((MAX_FREE_BYTES // 192 + 1, 8, 8, 3), np.uint8))}),
        "images.npy: refused as a decompression bomb",
    ),
    "objects.npz": (
        zip_members({"images.npy": _npy(IMAGES), "labels.npy": _npy(LABELS.astype(object))}),
        "labels.npy: refused, it holds object",
    ),
    "cut.npz": (_npz()[:-40], "damaged .npz"),
    "text.npz": (b"PK\x03\x04 nothing", "damaged .npz"),
    "no_arrays.npz": (zip_members({"data.pkl": b"x"}), "must be an .npz of arrays"),
    "several.npz": (_npz(others=IMAGES), "must hold one array of images; holds"),
    "no_images.npz": (zip_members({"labels.npy": _npy(LABELS)}), "must hold one array of images"),
    "labels.npz": (_npz(labels=LABELS + 1), "labels[1]: label must be from 0 to 1, is 2"),
    "labels_far.npz": (_npz(labels=LABELS.astype(np.uint64) + 2**63), "labels[0]: label must be"),
    "ids.npz": (_npz(ids=LABELS), "ids[2]: repeats the ID '0' of [0]"),
    "archive.tar.gz": (b"\x1f\x8b\x08" + b"\0" * 20, "is a gzip archive: unpack it"),
    "archive.tar": (b"x" * 257 + b"ustar" + b"\0" * 99, "is a tar archive: unpack it"),
    "notes.txt": (b"hello", "not recognised"),
    "data.txt": (b"data from last week", "not recognised; must be an image folder"),
    "broken.png": (b"\x89PNG\r\n\x1a\n broken", "damaged, not an image"),
    "bomb.png": (png_bomb(30_000), "decompression bomb"),
    "small_bomb.png": (png_bomb(10_000), "decompression bomb"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    check_refused(tmp_path / name, message)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["system", "eval", "exec", "stack_global", "inst", "inst2"])
def test_those_pickles_would_have_run_code(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(BAD_FILES[f"{name}.pkl"][0])
    assert os.listdir(tmp_path) == ["was_executed"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_compressed_in_other_ways(tmp_path: Path, compression: int) -> None:
    """Whole ones are read; damaged ones and bombs are refused."""
    path = tmp_path / "set.npz"
    whole = zip_members({"images.npy": _npy(IMAGES)}, compression)
    path.write_bytes(whole)
    custom = read_custom(path, CLASSES, 8)
    np.testing.assert_array_equal(custom.images.read(range(6)), IMAGES.transpose(0, 3, 1, 2))
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 255
    path.write_bytes(spoilt)
    check_refused(path, "images.npy: damaged")
    zeros = np.zeros((MAX_FREE_BYTES // 192 + 1, 8, 8, 3), np.uint8)
    path.write_bytes(zip_members({"images.npy": _npy(zeros)}, compression))
    check_refused(path, "images.npy: refused as a decompression bomb")


def test_every_truncation_of_an_npz_is_one_line(tmp_path: Path) -> None:
    whole = _npz()
    for length in range(1, len(whole), 37):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        check_refused(tmp_path / "cut.npz", "")


def test_a_flipped_bit_in_a_member_is_found(tmp_path: Path) -> None:
    content = bytearray(zip_members({"images.npy": _npy(IMAGES)}, zipfile.ZIP_STORED))
    content[500] ^= 1
    (tmp_path / "bit.npz").write_bytes(content)
    check_refused(tmp_path / "bit.npz", "Bad CRC-32")


def test_a_member_that_claims_more_than_the_file(tmp_path: Path) -> None:
    """Sizes in the directory that are as false as the header's, so that they agree."""
    small = npy_header("(1000000, 32, 32, 3)")
    content = bytearray(zip_members({"images.npy": small}, zipfile.ZIP_STORED))
    directory = content.index(b"PK\x01\x02")
    size = 1000000 * 3072 + len(small) - 64
    struct.pack_into("<II", content, directory + 20, size, size)
    (tmp_path / "lie.npz").write_bytes(content)
    check_refused(tmp_path / "lie.npz", "images.npy: damaged or cut off")


def test_a_header_is_not_read_as_far_as_it_claims(tmp_path: Path) -> None:
    length = 2**25
    long = b"\x93NUMPY\x02\x00" + struct.pack("<I", length) + b" " * length
    (tmp_path / "long.npz").write_bytes(zip_members({"images.npy": long}))
    (tmp_path / "long.npy").write_bytes(long)
    for name in ("long.npz", "long.npy"):
        tracemalloc.start()
        try:
            check_refused(tmp_path / name, f"damaged .npy header (it claims {length} bytes")
            assert tracemalloc.get_traced_memory()[1] < length / 8
        finally:
            tracemalloc.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux tells it")
def test_claims_are_refused_before_memory_is_set_aside(tmp_path: Path) -> None:
    import subprocess

    for name in ("huge.npy", "overflow.npy", "huge.npz", "memo.pkl", "long.pkl", "bomb.png"):
        (tmp_path / name).write_bytes(BAD_FILES[name][0])
    code = """
import resource, sys
from pathlib import Path
from resnet_sweep.data.custom import read_custom
from resnet_sweep.config.errors import UserError
from PIL import Image, PngImagePlugin
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_custom(path, ("cat", "dog"), 8).images.read([0])
    except UserError:
        continue
    raise AssertionError(path)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
