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
from conftest import ROOT
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.data import decoding
from resnet_sweep.data.dataset import Dataset
from resnet_sweep.data.device import place_data
from resnet_sweep.data.image_files import has_image_ending
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
        self.decode, self.count = decoding.decode, 0
        monkeypatch.setattr(decoding, "decode", self)

    def __call__(self, path: str, size: int, background: str) -> object:
        self.count += 1
        return self.decode(path, size, background)


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


def test_whatever_torchvision_takes_for_an_image_is_one() -> None:
    assert all(has_image_ending(f"x{ending}") for ending in IMG_EXTENSIONS)


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


@pytest.mark.slow
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
    with pytest.raises(UserError, match=r"cat/9.png: is a broken symbolic link"):
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
    with pytest.raises(UserError, match=r"images/test/Dog: must hold an image .*1 .txt"):
        _load(root)


def test_classes_that_differ_are_listed(root: Path) -> None:
    (root / "train" / "cow").mkdir()
    (root / "test" / "cat").rename(root / "test" / "kat")
    pattern = r"differ \(only in train: cat, cow; only in test: kat\)"
    with pytest.raises(UserError, match=pattern):
        _load(root)


CPU = torch.device("cpu")


@pytest.fixture
def cached(tmp_path: Path) -> ImageFolderConfig:
    """Of 2 x 2 x 40 noise images of 64 x 64 pixels, 1.9 MiB decoded; the cache is there."""
    generator = np.random.default_rng(0)
    for index in range(160):
        part, name = ("train", "test")[index % 2], ("cat", "dog")[index // 2 % 2]
        path = tmp_path / "images" / part / name / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    root, cache = str(tmp_path / "images"), str(tmp_path / "cache")
    found = ImageFolderConfig(root=root, cache_dir=cache, image_size=64, val_size=20)
    load_dataset(found)
    return found


def mapped_file(address: int) -> str:
    """Return the file whose mapping holds an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= address < last:
            return line.split(maxsplit=5)[5] if len(line.split()) > 5 else ""
    raise AssertionError("not mapped")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_all_parts_lie_in_the_caches_file(cached: ImageFolderConfig, tmp_path: Path) -> None:
    data = place_data(cached, CPU, with_test=True)
    (file,) = (tmp_path / "cache").glob("*.npy")
    assert data.test is not None and isinstance(data.test.images, torch.Tensor)
    addresses = [data.test.images.data_ptr()]
    for part in (data.train, data.val):
        assert not isinstance(part.images, torch.Tensor)
        addresses.append(part.images._pixels.data_ptr())
    assert {mapped_file(address) for address in addresses} == {str(file)}


def test_what_a_run_writes_is_its_own(cached: ImageFolderConfig, tmp_path: Path) -> None:
    (file,) = (tmp_path / "cache").glob("*.npy")
    before = file.read_bytes()
    data = load_dataset(cached)
    expected = 255 - data.train_images
    data.train_images.copy_(expected)
    assert torch.equal(data.train_images, expected)
    assert file.read_bytes() == before


def test_a_cache_that_is_replaced_leaves_a_run_its_images(
    cached: ImageFolderConfig, tmp_path: Path
) -> None:
    data = load_dataset(cached)
    expected = data.train_images.clone()
    first = next((tmp_path / "images" / "train" / "cat").iterdir())
    Image.new("RGB", (64, 64)).save(first)
    fresh = load_dataset(cached)  # decodes again and replaces the file
    assert not torch.equal(fresh.train_images, expected)
    assert torch.equal(data.train_images, expected)


@pytest.mark.engines
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_benchmark_of_shared_images_runs(cached: ImageFolderConfig, tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "shared_images.py")
    command = [sys.executable, script, str(cached.root), "--workers", "2"]
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 workers: ")
