"""One set of rules for image files, in training and in prediction, against right values."""

from __future__ import annotations

import json
import logging
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.data.custom import choose_background, read_custom
from resnet_sweep.data.labels import read_labels
from resnet_sweep.data.registry import count_classes, load_dataset

RNG = np.random.default_rng(0)
SIDE = 8
PIXELS = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
ALPHA[0, :2] = 0, 255
CLASSES = ("cat", "dog")

Read = Callable[..., tuple[NDArray[np.uint8], list[str]]]


def _save(path: Path, image: Image.Image | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.fromarray(PIXELS)).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two images, in train/ and test/."""
    for part in ("train", "test"):
        for name in CLASSES:
            for index in range(2):
                _save(tmp_path / "set" / part / name / f"{index}.png")
    return tmp_path / "set"


def _config(folder: Path, background: str = "black") -> ImageFolderConfig:
    cache = str(folder.parent / "cache")
    return ImageFolderConfig(
        root=str(folder), cache_dir=cache, image_size=SIDE, background=background
    )


@pytest.fixture(params=["training", "prediction"])
def read(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Read:
    """Reads the test part as either does: images [N, S, S, 3], and what is said of them."""

    def by_training(folder: Path, background: str = "black") -> tuple[NDArray[np.uint8], list[str]]:
        caplog.clear()
        data = load_dataset(_config(folder, background))
        messages = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        return data.test_images.permute(0, 2, 3, 1).numpy(), messages

    def by_prediction(
        folder: Path, background: str = "black"
    ) -> tuple[NDArray[np.uint8], list[str]]:
        custom = read_custom(folder / "test", CLASSES, SIDE, background)
        images = custom.images.read(range(len(custom)))
        return images.transpose(0, 2, 3, 1), custom.images.changes()

    return by_training if request.param == "training" else by_prediction


FLIPS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", FLIPS)
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_photographs_are_seen_upright(
    folder: Path, read: Read, orientation: int, ending: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if ending == "webp" else {}
    path = _save(folder / "test" / "dog" / f"9.{ending}", exif=exif, **options)
    images, messages = read(folder)
    np.testing.assert_array_equal(images[-1], FLIPS[orientation](PIXELS))
    (told,) = messages
    assert told.startswith("1 of ") and "turned" in told and told.endswith(str(path))


def test_a_jpeg_is_turned_and_damaged_exif_is_none(folder: Path, read: Read) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _save(folder / "test" / "dog" / "7.jpg")
    _save(folder / "test" / "dog" / "8.jpg", exif=exif)
    _save(folder / "test" / "dog" / "9.jpg", exif=b"Exif\0\0MM\0\x2a and nothing more")
    plain, turned, damaged = read(folder)[0][-3:].astype(int)
    assert np.abs(turned - np.rot90(plain, -1)).max() <= 8
    np.testing.assert_array_equal(damaged, plain)


def _layered() -> Image.Image:
    return Image.fromarray(np.dstack([PIXELS, ALPHA]))


@pytest.mark.parametrize("background", ["black", "white"])
@pytest.mark.parametrize("ending", ["png", "webp", "tif", "tga", "qoi"])
def test_transparent_images_are_laid_over(
    folder: Path, read: Read, background: str, ending: str
) -> None:
    options = {"lossless": True, "exact": True} if ending == "webp" else {}
    path = _save(folder / "test" / "dog" / f"9.{ending}", _layered(), **options)
    images, messages = read(folder, background)
    share = ALPHA[..., None] / 255
    ground = 255 if background == "white" else 0
    np.testing.assert_allclose(images[-1], PIXELS * share + ground * (1 - share), atol=0.51)
    (told,) = messages
    assert told.startswith("1 of ") and background in told and told.endswith(str(path))


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "I;16", "gif"])
def test_a_colour_that_stands_for_transparency(folder: Path, read: Read, mode: str) -> None:
    image = Image.fromarray(PIXELS)
    if mode in ("P", "gif"):
        image = image.quantize(16)
    elif mode == "I;16":
        image = Image.fromarray(RNG.integers(0, 2**16, (SIDE, SIDE), dtype=np.uint16))
    else:
        image = image.convert(mode)
    path = folder / "test" / "dog" / ("9.gif" if mode == "gif" else "9.png")
    _save(path, image, transparency=image.getpixel((0, 0)))
    for background, value in (("black", 0), ("white", 255)):
        images, _ = read(folder, background)
        assert images[-1][0, 0].tolist() == [value] * 3


def _png(values: NDArray[np.int64], bits: int, clear: NDArray[np.int64]) -> bytes:
    """Return grey [S, S] or coloured [S, S, 3] numbers as a PNG, as its specification says."""

    def chunk(name: bytes, content: bytes) -> bytes:
        ends = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + ends

    shifts = np.arange(bits - 1, -1, -1)
    rows = (values.reshape(SIDE, -1, 1) >> shifts & 1).reshape(SIDE, -1).astype(np.uint8)
    lines = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", SIDE, SIDE, bits, 2 if values.ndim == 3 else 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", clear.astype(">u2").tobytes())]
    parts += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    ("channels", "bits"), [(1, 1), (1, 2), (1, 4), (1, 8), (1, 16), (3, 8), (3, 16)]
)
def test_the_colour_that_a_png_leaves_out_has_its_own_bits(
    folder: Path, read: Read, channels: int, bits: int
) -> None:
    """Pixels that differ in the last bit alone are opaque."""
    shape = (SIDE, SIDE, 3) if channels == 3 else (SIDE, SIDE)
    values = RNG.integers(0, 2**bits, shape)
    values[0, 1] = values[0, 0] ^ 1
    for clear in (values[0, 0], values[0, 1]):
        content = _png(values, bits, np.atleast_1d(clear))
        (folder / "test" / "dog" / "9.png").write_bytes(content)
        seen = values >> bits - 8 if bits > 8 else values * (255 // (2**bits - 1))
        is_clear = values == clear if channels == 1 else (values == clear).all(-1)
        colours = np.broadcast_to(seen.reshape(SIDE, SIDE, -1), (SIDE, SIDE, 3))
        expected = np.where(is_clear[..., None], 255, colours)
        np.testing.assert_array_equal(read(folder, "white")[0][-1], expected)


def test_opaque_images_with_an_alpha_channel_are_not_told(folder: Path, read: Read) -> None:
    _save(folder / "test" / "dog" / "9.png", Image.fromarray(PIXELS).convert("RGBA"))
    images, messages = read(folder, "white")
    np.testing.assert_array_equal(images[-1], PIXELS)
    assert messages == []


def test_grey_images_of_16_bits(folder: Path, read: Read) -> None:
    values = RNG.integers(0, 2**16, (SIDE, SIDE), dtype=np.uint16)
    for ending in ("pgm", "png", "tif"):
        path = _save(folder / "test" / "dog" / f"9.{ending}", Image.fromarray(values))
        images, messages = read(folder)
        np.testing.assert_array_equal(images[-1], np.repeat((values >> 8)[..., None], 3, 2))
        assert [m for m in messages if "16 bits" in m] and "grey" in " ".join(messages)
        path.unlink()


@pytest.mark.parametrize(("bits", "is_inverted"), [(12, False), (16, True)])
def test_a_tiff_says_how_its_numbers_are_meant(
    folder: Path, read: Read, bits: int, is_inverted: bool
) -> None:
    """Written out here, since Pillow writes neither: one strip, little endian."""
    values = RNG.integers(0, 2**bits, (SIDE, SIDE), dtype=np.uint16)
    shifts = np.arange(bits - 1, -1, -1)
    packed = np.packbits((values[..., None] >> shifts & 1).astype(np.uint8)).tobytes()
    content = packed if bits == 12 else values.astype("<u2").tobytes()
    start = 8 + 2 + 9 * 12 + 4  # header, number of tags, tags, no further directory
    tags = {256: SIDE, 257: SIDE, 258: bits, 259: 1, 262: 0 if is_inverted else 1}
    tags |= {273: start, 277: 1, 278: SIDE, 279: len(content)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    (folder / "test" / "dog" / "9.tif").write_bytes(head + content)
    images, _ = read(folder)
    seen = 2**bits - 1 - values if is_inverted else values
    np.testing.assert_array_equal(images[-1], np.repeat((seen >> bits - 8)[..., None], 3, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_of_32_bits_are_refused(folder: Path, read: Read, dtype: type) -> None:
    path = folder / "test" / "dog" / "9.tif"
    _save(path, Image.fromarray(np.ones((SIDE, SIDE), dtype)))
    with pytest.raises(UserError, match=f"^{path}: must have 8 or 16 bits"):
        read(folder)


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_of_several_frames_the_first_is_taken(folder: Path, read: Read, ending: str) -> None:
    others = [Image.fromarray(255 - PIXELS)]
    options = {"lossless": True} if ending == "webp" else {}
    path = folder / "test" / "dog" / f"9.{ending}"
    _save(path, save_all=True, append_images=others, **options)
    images, messages = read(folder)
    np.testing.assert_array_equal(images[-1], PIXELS)
    assert [m for m in messages if "several frames" in m]


def test_cmyk_is_told(folder: Path, read: Read) -> None:
    _save(folder / "test" / "dog" / "9.tif", Image.fromarray(PIXELS).convert("CMYK"))
    images, messages = read(folder)
    np.testing.assert_array_equal(images[-1], PIXELS)
    assert [m for m in messages if "CMYK" in m]


ENDINGS = [
    *("gif", "jfif", "jpe", "jpeg", "bmp", "dib", "pcx", "ppm", "tga", "jp2"),
    *("avif", "ico", "webp", "tif", "qoi", "mpo", "PNG"),
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_whatever_pillow_reads_is_read(folder: Path, read: Read, ending: str) -> None:
    name = folder / "test" / "dog" / f"9.{ending}"
    _save(name, Image.fromarray(PIXELS).resize((16, 16)))
    assert len(read(folder)[0]) == 5


def test_a_file_without_ending_is_known_by_its_content(folder: Path, read: Read) -> None:
    shutil.copy(folder / "test/dog/0.png", folder / "test/dog/photo")
    (folder / "test/dog/README").write_text("words")
    images, messages = read(folder)
    assert len(images) == 5
    assert len(messages) == 1 and "1 without ending" in messages[0]


def test_what_is_left_out_is_counted_and_named(folder: Path, read: Read) -> None:
    (folder / "test/cat/inner").mkdir()
    for name in ("cat/b.txt", "cat/inner/c.TXT", "dog/d.csv", "e.json"):
        (folder / "test" / name).write_text("x")
    images, (told,) = read(folder)
    assert len(images) == 4
    for part in ("4 files", "2 .txt", "1 .csv", "1 .json", str(folder / "test/cat/b.txt")):
        assert part in told


@pytest.mark.parametrize("name", ["dog/9.heic", "9.svg", "dog/9.png.bak", "dog/inner/9.CR2"])
def test_no_image_vanishes_from_a_submission(folder: Path, name: str) -> None:
    path = folder / "test" / name
    path.parent.mkdir(exist_ok=True)
    shutil.copy(folder / "test/dog/0.png", path)
    with pytest.raises(UserError, match=f"1 {path.suffix.lower()}") as raised:
        read_custom(folder / "test", CLASSES, SIDE)
    assert str(path) in str(raised.value)
    assert len(load_dataset(_config(folder)).test_images) == 4


@pytest.mark.parametrize("is_loose", [False, True])
@pytest.mark.parametrize("name", ["bird/9.heic", "bird/inner/9.bak"])
def test_nor_does_a_folder_that_holds_no_readable_image(
    folder: Path, is_loose: bool, name: str
) -> None:
    place = folder / "test" / "dog" if is_loose else folder / "test"
    path = place / name
    path.parent.mkdir(parents=True)
    shutil.copy(folder / "test/dog/0.png", path)
    with pytest.raises(UserError, match=f"1 {path.suffix}") as raised:
        read_custom(place, CLASSES, SIDE)
    assert str(path) in str(raised.value)


NO_DATA = [".ipynb_checkpoints", ".DS_Store", "@eaDir", "__MACOSX", ".thumbs", "#recycle"]


@pytest.mark.parametrize("name", NO_DATA)
@pytest.mark.parametrize("depth", ["", "dog", "dog/inner"])
def test_what_systems_leave_behind_is_no_data(
    folder: Path, read: Read, name: str, depth: str
) -> None:
    for part in ("train", "test"):
        _save(folder / part / "dog" / "inner" / "9.png")
    expected, _ = read(folder)
    for part in ("train", "test"):
        _save(folder / part / depth / name / "0.png")
        _save(folder / part / depth / name / "deep" / "0.png")
        shutil.copy(folder / "test/dog/0.png", folder / part / "dog" / "._0.png")
        (folder / part / depth / "Thumbs.db").write_bytes(b"x")
    found, messages = read(folder)
    np.testing.assert_array_equal(found, expected)
    assert messages == [] and count_classes(_config(folder)) == 2


@pytest.mark.parametrize("depth", ["", "dog", "dog/inner"])
@pytest.mark.parametrize("target", ["nowhere", "itself", "folder"])
@pytest.mark.parametrize("name", ["link", "link.png"])
def test_links_that_lead_nowhere_or_in_a_circle_are_one_line(
    folder: Path, read: Read, depth: str, target: str, name: str
) -> None:
    place = folder / "test" / depth
    _save(folder / "test/dog/inner/9.png")
    if not depth:
        _save(folder / "train/link/0.png")
    link = place / name
    link.symlink_to({"nowhere": "nowhere", "itself": name, "folder": place.resolve()}[target])
    with pytest.raises(UserError) as raised:
        read(folder)
    line = str(raised.value)
    assert "\n" not in line
    if name == "link" or target != "folder":
        assert "symbolic link" in line and name in line


def test_pixels_that_an_older_version_kept_are_not_used(folder: Path) -> None:
    config = _config(folder)
    expected = load_dataset(config).test_images
    (manifest,) = (folder.parent / "cache").glob("*.json")
    for field, value in (("format", 1), ("pillow", "1.0")):
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**content, field: value, "fingerprint": "old"}))
        data = load_dataset(config)
        assert data.fingerprint != "old" and (data.test_images == expected).all()


def test_each_background_has_pixels_of_its_own(folder: Path) -> None:
    _save(folder / "test/dog/9.png", _layered())
    kept = [load_dataset(_config(folder, b)).test_images for b in ("black", "white", "black")]
    assert (kept[0] == kept[2]).all() and (kept[0] != kept[1]).any()
    with pytest.raises(ConfigError, match=r"data\.background=grey: .*black, white"):
        _config(folder, "grey")


def test_prediction_takes_the_background_of_training(folder: Path) -> None:
    white, black = _config(folder, "white"), _config(folder)
    assert choose_background([white, white]) == "white"
    assert choose_background([]) == "black"
    assert choose_background([white, black], "black") == "black"
    with pytest.raises(ConfigError, match=r"background=null: .*black, white"):
        choose_background([white, black])


def test_images_beside_class_folders_are_told_or_refused(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _save(folder / "test" / "9.png")
    load_dataset(_config(folder))
    assert f"the first: {path}" in caplog.text
    with pytest.raises(UserError, match="images beside folders"):
        read_custom(folder / "test", CLASSES, SIDE)


def test_numbers_as_class_names_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for part in ("train", "test"):
        (folder / part / "cat").rename(folder / part / "10")
        (folder / part / "dog").rename(folder / part / "2")
    assert load_dataset(_config(folder)).class_names == ("10", "2")
    assert "place 0" in caplog.text and "10" in caplog.text


@pytest.mark.parametrize("other", ["other", "+3", "4.0"])
def test_a_number_that_is_one_class_by_name_and_another_by_place_is_refused(other: str) -> None:
    names = sorted(["0", "1", "2", "10", other])
    places = {name: place for place, name in enumerate(names)}
    with pytest.raises(UserError, match=r"labels\[1\]: label 2 is the name of class 2 .* place of"):
        read_labels([str(0), 2], "labels", 2, names)
    assert read_labels(["2", other], "labels", 2, names)[0].tolist() == [
        places["2"],
        places[other],
    ]


def test_a_number_that_is_a_class_by_its_name_and_its_place_is_taken() -> None:
    names = ["0", "1", "2", "other"]
    assert read_labels([2, 3, 0], "labels", 3, names)[0].tolist() == [2, 3, 0]
