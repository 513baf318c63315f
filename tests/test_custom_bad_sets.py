"""Whatever is wrong with a custom set: one line that names the file and the position."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    "objects.npy": (_npy(np.array([{}, 1], object), allow_pickle=True), "damaged .npy"),
    "code.npy": (npy_header("__import__('os').mkdir('was_executed')"), "damaged .npy"),
    "version.npy": (b"\x93NUMPY\x09\x00" + b"\0" * 99, "damaged .npy"),
    "cut.npy": (_npy(IMAGES)[:-1], "damaged .npy"),
    "cut_header.npy": (_npy(IMAGES)[:40], "damaged .npy"),
    "float.npy": (_npy(IMAGES / 255), "images must be uint8"),
    "signed.npy": (_npy(IMAGES.astype(np.int64)), "images must be uint8"),
    "shape.npy": (_npy(np.zeros((6, 8, 8, 4), np.uint8)), "found uint8 [6, 8, 8, 4]"),
    "single.npy": (_npy(IMAGES[0]), "found uint8 [8, 8, 3]"),
    "none.npy": (_npy(IMAGES[:0]), "is empty: must hold at least one image"),
    "nothing.npy": (b"", "is empty"),
    "text.npy": (b"hello", "damaged .npy, or not recognised"),
    "objects.npz": (
        zip_members({"images.npy": _npy(IMAGES), "labels.npy": _npy(LABELS.astype(object))}),
        "labels: damaged, or of Python objects (Object arrays",
    ),
    "cut.npz": (_npz()[:-40], "damaged .npz"),
    "text.npz": (b"PK\x03\x04 nothing", "damaged .npz"),
    "no_arrays.npz": (zip_members({"data.pkl": b"x"}), "must be an .npz of arrays"),
    "several.npz": (_npz(others=IMAGES), "must hold one array of images; holds"),
    "no_images.npz": (zip_members({"labels.npy": _npy(LABELS)}), "must hold one array of images"),
    "labels.npz": (_npz(labels=LABELS + 1), "'labels'[1]: label must be from 0 to 1, is 2"),
    "labels_far.npz": (_npz(labels=LABELS.astype(np.uint64) + 2**63), "'labels'[0]: label must be"),
    "ids.npz": (_npz(ids=LABELS), "'ids'[2]: repeats the ID '0' of [0]"),
    "archive.tar.gz": (b"\x1f\x8b\x08" + b"\0" * 20, "is a gzip archive: unpack it"),
    "archive.tar": (b"x" * 257 + b"ustar" + b"\0" * 99, "is a tar archive: unpack it"),
    "notes.txt": (b"hello", "not recognised"),
    "data.txt": (b"data from last week", "not recognised; must be an image folder"),
    "broken.png": (b"\x89PNG\r\n\x1a\n broken", "damaged, not an image"),
    "bomb.png": (png_bomb(30_000), "decompression bomb"),
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux tells it")
def test_claims_are_refused_before_memory_is_set_aside(tmp_path: Path) -> None:
    import subprocess

    for name in ("memo.pkl", "long.pkl", "bomb.png"):
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


def test_labels_of_another_length_beside_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x_data.npy", IMAGES)
    np.save(tmp_path / "x_labels.npy", LABELS[:5])
    check_refused(
        tmp_path, "must have one label for each image; has 5 for 6", tmp_path / "x_labels.npy"
    )


def test_several_sets_in_a_folder_are_listed(tmp_path: Path) -> None:
    for version in ("v4", "v6"):
        np.save(tmp_path / f"cifar10.1_{version}_data.npy", IMAGES)
        np.save(tmp_path / f"cifar10.1_{version}_labels.npy", LABELS)
    check_refused(tmp_path, f"name one: input={tmp_path / 'cifar10.1_v4_data.npy'}")


def test_corruptions_of_unequal_length(tmp_path: Path) -> None:
    np.save(tmp_path / "fog.npy", IMAGES)
    np.save(tmp_path / "snow.npy", IMAGES[:5])
    np.save(tmp_path / "labels.npy", LABELS)
    check_refused(tmp_path, "holds 5 images, fog.npy 6; must be equal", tmp_path / "snow.npy")
    os.remove(tmp_path / "labels.npy")
    check_refused(tmp_path, "several arrays (fog.npy, snow.npy) and no labels.npy")


def test_folders_that_are_no_set(tmp_path: Path) -> None:
    check_refused(tmp_path / "nowhere", "cannot be read (No such file or directory)")
    check_refused(tmp_path, "it is empty")
    (tmp_path / "notes.txt").write_text("x")
    check_refused(tmp_path, "it holds notes.txt; name one file")
    os.mkfifo(tmp_path / "pipe")
    check_refused(tmp_path / "pipe", "must be a file or a folder")


def test_a_class_that_the_net_does_not_know(tmp_path: Path) -> None:
    save_png(tmp_path / "cat" / "0.png")
    save_png(tmp_path / "dgo" / "0.png")
    check_refused(tmp_path, "the net has no class 'dgo'; did you mean dog?", tmp_path / "dgo")


def test_the_folder_above_is_told_apart(tmp_path: Path) -> None:
    save_png(tmp_path / "test" / "cat" / "0.png")
    check_refused(tmp_path, f"is input={tmp_path / 'test'} meant?")


def test_images_in_and_beside_folders(tmp_path: Path) -> None:
    save_png(tmp_path / "cat" / "0.png")
    save_png(tmp_path / "1.png")
    check_refused(tmp_path, "images beside folders of images (cat)")
    os.remove(tmp_path / "1.png")
    np.save(tmp_path / "x.npy", IMAGES)
    check_refused(tmp_path, "images and arrays (x.npy)")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("damaged", b"nothing", "damaged, not an image, or unreadable"),
        ("cut", None, "damaged, not an image, or unreadable"),
        ("bomb", png_bomb(20_000), "decompression bomb"),
    ],
)
def test_a_bad_image_is_named_with_its_position(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    for index in range(4):
        save_png(tmp_path / "cat" / f"{index}.png")
    bad = tmp_path / "cat" / "2.png"
    if content is None:
        Image.fromarray(IMAGES[0]).resize((64, 64)).save(bad)
    bad.write_bytes(bad.read_bytes()[:-30] if content is None else content)
    check_refused(tmp_path, message, bad)
    check_refused(tmp_path, "image 3 of 4", bad)
