from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS as TORCHVISION_EXTENSIONS

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.data import image_folder
from resnet_sweep.data.dataset import Dataset
from resnet_sweep.data.registry import count_classes, load_dataset

RNG = np.random.default_rng(0)


def _save(path: Path, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, count in (("train", 3), ("test", 2)):
        for name in ("cat", "Dog", "zebra finch"):
            for index in range(count):
                _save(tmp_path / "images" / part / name / f"{index}.png")
    return tmp_path / "images"


def _config(root: Path, **fields: int) -> ImageFolderConfig:
    cache = str(root.parent / "cache")
    return ImageFolderConfig(root=str(root), cache_dir=cache, **{"image_size": 8, **fields})


def _load(root: Path) -> Dataset:
    return load_dataset(_config(root))


class _Decoder:
    """Counts the images decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decode, self.count = image_folder.decode, 0
        monkeypatch.setattr(image_folder, "decode", self)

    def __call__(self, path: str, size: int) -> object:
        self.count += 1
        return self.decode(path, size)


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> _Decoder:
    return _Decoder(monkeypatch)


def _assert_as_torchvision(data: Dataset, root: Path) -> None:
    parts = {
        "train": (data.train_images, data.train_labels),
        "test": (data.test_images, data.test_labels),
    }
    for part, (images, labels) in parts.items():
        reference = ImageFolder(str(root / part))
        assert data.class_names == tuple(reference.classes)
        assert labels.tolist() == reference.targets
        expected = np.stack([np.asarray(image) for image, _ in reference])
        np.testing.assert_array_equal(images.permute(0, 2, 3, 1), expected)
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64


def test_agrees_with_torchvision_decoded_and_cached(root: Path, decoder: _Decoder) -> None:
    _save(root / "train" / "cat" / "10.png")
    _save(root / "train" / "cat" / "nested" / "a.PNG")
    _save(root / "train" / "cat" / "0 b.bmp", mode="L")
    _save(root / "test" / "Dog" / "1.webp")
    (root / "train" / "cat" / "notes.txt").write_text("no image")
    first = _load(root)
    assert decoder.count == 19
    again = _load(root)
    assert decoder.count == 19
    for data in (first, again):
        _assert_as_torchvision(data, root)
    assert first.fingerprint == again.fingerprint
    assert count_classes(_config(root)) == 3


def test_the_extensions_are_torchvisions() -> None:
    assert image_folder.IMG_EXTENSIONS == TORCHVISION_EXTENSIONS


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_every_mode_becomes_rgb(root: Path, mode: str) -> None:
    path = root / "train" / "cat" / ("x.tif" if mode == "CMYK" else "x.png")
    _save(path, mode=mode)
    _assert_as_torchvision(_load(root), root)


def test_other_sizes_are_resized_and_said_once(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = root / "train" / "Dog" / "0.png"
    _save(path, (20, 12))
    _save(root / "train" / "cat" / "2.png", (16, 16))
    with caplog.at_level(logging.WARNING):
        data = _load(root)
    expected = Image.open(path).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(data.train_images[0].permute(1, 2, 0), np.asarray(expected))
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [f"2 of 15 images resized to 8x8, the first: {path}"]


def test_each_image_size_has_a_cache(root: Path, decoder: _Decoder) -> None:
    for size in (8, 4, 8, 4):
        assert load_dataset(_config(root, image_size=size)).train_images.shape[-1] == size
    assert decoder.count == 30


def _add(root: Path) -> None:
    _save(root / "train" / "cat" / "new.png")


def _remove(root: Path) -> None:
    (root / "test" / "Dog" / "1.png").unlink()


def _rename(root: Path) -> None:
    (root / "train" / "cat" / "0.png").rename(root / "train" / "Dog" / "9.png")


def _change(root: Path) -> None:
    _save(root / "train" / "cat" / "1.png")


def _touch(root: Path) -> None:
    os.utime(root / "train" / "cat" / "1.png", ns=(1, 1))


@pytest.mark.parametrize("edit", [_add, _remove, _rename, _change, _touch])
def test_the_cache_notices(root: Path, decoder: _Decoder, edit: object) -> None:
    before = _load(root)
    assert callable(edit)
    edit(root)
    decoder.count = 0
    after = _load(root)
    assert decoder.count > 0
    _assert_as_torchvision(after, root)
    assert (before.fingerprint == after.fingerprint) == (edit is _touch)
    decoder.count = 0
    _load(root)
    assert decoder.count == 0


def _cache_file(root: Path, ending: str) -> Path:
    (path,) = (root.parent / "cache").glob(f"*{ending}")
    return path


def _flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("ending", [".npy", ".json"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.99, "last", "gone", "first"])
def test_a_damaged_cache_is_rebuilt(
    root: Path, decoder: _Decoder, ending: str, share: float | str
) -> None:
    before = _load(root)
    path = _cache_file(root, ending)
    match share:
        case "gone":
            path.unlink()
        case "last":
            _flip(path, -2)
        case "first":
            _flip(path, 0)
        case float():
            path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    decoder.count = 0
    after = _load(root)
    assert decoder.count == 15
    assert after.fingerprint == before.fingerprint
    assert torch.equal(after.train_images, before.train_images)
    _load(root)
    assert decoder.count == 15


@pytest.mark.parametrize("content", ["[]", "null", '{"format": 1}', "{}", "\x00", None])
def test_a_strange_manifest_is_rebuilt(root: Path, decoder: _Decoder, content: str | None) -> None:
    before = _load(root)
    path = _cache_file(root, ".json")
    other_fingerprint = json.dumps({**json.loads(path.read_text()), "fingerprint": "0" * 32})
    path.write_text(content or other_fingerprint)
    assert _load(root).fingerprint == before.fingerprint
    assert decoder.count == 30


def test_an_unwritable_cache_only_warns(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root.parent / "cache").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        data = _load(root)
    _assert_as_torchvision(data, root)
    assert "no cache of the decoded images" in caplog.text


def test_a_full_disk_leaves_no_partial_file(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    _assert_as_torchvision(_load(root), root)
    assert "No space left" in caplog.text
    assert os.listdir(root.parent / "cache") == []


def test_the_default_cache_is_the_users(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent / "xdg"))
    load_dataset(ImageFolderConfig(root=str(root), image_size=8))
    kept = sorted(path.suffix for path in (root.parent / "xdg" / "resnet_sweep").iterdir())
    assert kept == [".json", ".npy"]


def test_two_processes_at_once_leave_a_whole_cache(root: Path, decoder: _Decoder) -> None:
    code = (
        "import sys; from resnet_sweep.config.data import ImageFolderConfig as C;"
        "from resnet_sweep.data.registry import load_dataset;"
        "print(load_dataset(C(root=sys.argv[1], cache_dir=sys.argv[2], image_size=8)).fingerprint)"
    )
    command = [sys.executable, "-c", code, str(root), str(root.parent / "cache")]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    prints = {worker.communicate()[0].strip() for worker in workers}
    assert prints == {_load(root).fingerprint}
    assert decoder.count == 0


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_image_is_named(root: Path, damage: str) -> None:
    path = root / "test" / "cat" / "0.png"
    _save(path, (64, 64))
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[:2000], "empty": b"", "text": b"no image"}[damage])
    with pytest.raises(UserError, match=f"^{path}: damaged, not an image") as raised:
        _load(root)
    assert "\n" not in str(raised.value)
    assert not (root.parent / "cache").exists()


def test_a_cut_link_is_named(root: Path) -> None:
    (root / "test" / "cat" / "9.png").symlink_to("nowhere.png")
    with pytest.raises(UserError, match=r"cat/9.png: cannot be read \(No such file"):
        _load(root)


def test_more_than_8_bits_are_refused(root: Path) -> None:
    path = root / "test" / "cat" / "0.png"
    Image.fromarray(np.full((8, 8), 300, np.uint16)).save(path)
    with pytest.raises(UserError, match=f"^{path}: must have 8 bits per channel"):
        _load(root)


def test_what_is_missing_is_named(tmp_path: Path, root: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.root=null: must be a folder with train/"):
        load_dataset(ImageFolderConfig())
    with pytest.raises(ConfigError, match=r"data.root=.*nowhere: no such folder"):
        count_classes(_config(tmp_path / "nowhere"))
    (tmp_path / "bare" / "train").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"data.root=.*bare: has no folder test"):
        _load(tmp_path / "bare")
    (tmp_path / "bare" / "test").mkdir()
    with pytest.raises(UserError, match=r"bare/train: must hold a folder for each .* has none"):
        _load(tmp_path / "bare")
    (root / "test" / "Dog" / "readme.txt").touch()
    for name in ("0.png", "1.png"):
        (root / "test" / "Dog" / name).unlink()
    with pytest.raises(UserError, match=r"images/test/Dog: must hold an image \(.jpg, .jpeg"):
        _load(root)


def test_classes_that_differ_are_listed(root: Path) -> None:
    (root / "train" / "cow").mkdir()
    (root / "test" / "cat").rename(root / "test" / "kat")
    pattern = r"differ \(only in train: cat, cow; only in test: kat\)"
    with pytest.raises(UserError, match=pattern):
        _load(root)
