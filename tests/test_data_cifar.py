from __future__ import annotations

import functools
import hashlib
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakesFolder
from torchvision.datasets import CIFAR10, CIFAR100

from resnet_sweep.config.data import CifarConfig
from resnet_sweep.config.errors import ConfigError, UserError
from resnet_sweep.data.registry import count_classes, load_dataset

NOWHERE = "http://127.0.0.1:9/cifar-10-python.tar.gz"


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def _write(path: Path, value: Any) -> list[str]:
    path.write_bytes(pickle.dumps(value, 2))
    return [path.name, _md5(path)]


def _batch(num_images: int, key: str, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (num_images, 3072), dtype=np.uint8)
    return {"data": pixels, key: rng.integers(0, 10, num_images).tolist(), "filenames": ["a"]}


def _publish(
    folder: Path, source: type[CIFAR10], key: str, patch: pytest.MonkeyPatch, extra: Any = None
) -> Path:
    """Write a tiny edition of a data set, and let torchvision take it for the official one."""
    packed = folder / source.base_folder
    packed.mkdir(parents=True)
    train = [
        _write(packed / name, {**_batch(6, key, seed), "extra": extra})
        for seed, (name, _) in enumerate(source.train_list)
    ]
    test = [_write(packed / name, _batch(4, key, 9)) for name, _ in source.test_list]
    names = {source.meta["key"]: [f"name {label}" for label in range(10)]}
    name, md5 = _write(packed / source.meta["filename"], names)
    archive = folder / source.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(packed, source.base_folder)
    patch.setattr(source, "train_list", train)
    patch.setattr(source, "test_list", test)
    patch.setattr(source, "meta", {**source.meta, "filename": name, "md5": md5})
    patch.setattr(source, "tgz_md5", _md5(archive))
    patch.setattr(source, "url", NOWHERE)
    return archive


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return _publish(tmp_path / "published", CIFAR10, "labels", monkeypatch)


@pytest.fixture
def server(archive: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(archive.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/{archive.name}"
        httpd.shutdown()
        thread.join()


def _put(archive: Path, root: Path) -> CifarConfig:
    root.mkdir()
    (root / archive.name).write_bytes(archive.read_bytes())
    return CifarConfig(name="cifar10", root=str(root), download=False)


@pytest.mark.parametrize(
    ("name", "source", "key", "num_images"),
    [("cifar10", CIFAR10, "labels", 30), ("cifar100", CIFAR100, "fine_labels", 6)],
)
def test_a_hand_placed_archive_reads_as_torchvision_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    source: type[CIFAR10],
    key: str,
    num_images: int,
) -> None:
    archive = _publish(tmp_path / "published", source, key, monkeypatch)
    config = _put(archive, tmp_path / "root")
    config.name = name
    data = load_dataset(config)
    assert data.train_images.shape == (num_images, 3, 32, 32)
    assert data.train_images.dtype == torch.uint8
    assert data.train_labels.dtype == torch.int64
    for train in (True, False):
        reference = source(str(tmp_path / "root"), train=train)
        images = data.train_images if train else data.test_images
        labels = data.train_labels if train else data.test_labels
        np.testing.assert_array_equal(images.permute(0, 2, 3, 1), reference.data)
        assert labels.tolist() == reference.targets
        assert data.class_names == tuple(reference.classes)


def test_a_download_happens_once(
    tmp_path: Path, archive: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CIFAR10, "url", server)
    config = CifarConfig(root=str(tmp_path / "new" / "root"))
    first = load_dataset(config)
    monkeypatch.setattr(CIFAR10, "url", NOWHERE)
    assert load_dataset(config).fingerprint == first.fingerprint
    left = sorted(os.listdir(tmp_path / "new" / "root"))
    assert left == ["cifar-10-batches-py", "cifar-10-python.tar.gz"]


def test_a_failing_download_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CIFAR10, "url", NOWHERE)
    root = tmp_path / "root"
    with pytest.raises(UserError) as raised:
        load_dataset(CifarConfig(root=str(root)))
    message = str(raised.value)
    assert "\n" not in message
    assert f"download of {NOWHERE} failed" in message
    assert "put cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html" in message
    assert f"into {root}," in message
    assert "data=digits" in message
    assert not root.exists()


def test_a_download_of_something_else_is_not_kept(
    tmp_path: Path, archive: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CIFAR10, "url", server)
    archive.write_bytes(archive.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"failed \(File not found or corrupted"):
        load_dataset(CifarConfig(root=str(tmp_path / "root")))
    assert not (tmp_path / "root").exists()


def test_a_damaged_archive_is_named(tmp_path: Path, archive: Path) -> None:
    config = _put(archive, tmp_path / "root")
    placed = tmp_path / "root" / archive.name
    placed.write_bytes(placed.read_bytes()[:-50])
    with pytest.raises(UserError, match=rf"{placed}: damaged archive .* delete it"):
        load_dataset(config)


def test_a_damaged_batch_is_unpacked_again_or_named(tmp_path: Path, archive: Path) -> None:
    config = _put(archive, tmp_path / "root")
    whole = load_dataset(config)
    batch = tmp_path / "root" / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:-1])
    assert load_dataset(config).fingerprint == whole.fingerprint
    batch.write_bytes(b"")
    (tmp_path / "root" / archive.name).unlink()
    with pytest.raises(UserError, match=rf"{batch} is missing or damaged and data.download=false"):
        load_dataset(config)


def test_code_in_a_batch_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = MakesFolder(tmp_path / "ran")
    archive = _publish(tmp_path / "published", CIFAR10, "labels", monkeypatch, evil)
    with pytest.raises(UserError, match=r"data_batch_1: refused"):
        load_dataset(_put(archive, tmp_path / "root"))
    assert not (tmp_path / "ran").exists()


def test_wrong_fields_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"data.root=null: must be the folder"):
        load_dataset(CifarConfig(root=None))
    with pytest.raises(ConfigError, match=r"data.root=.*file: must be the folder"):
        load_dataset(CifarConfig(root=str(tmp_path / "file")))
    with pytest.raises(ConfigError, match=r"data.name=cifar11: must be one of cifar10, cifar100"):
        count_classes(CifarConfig(name="cifar11"))


def test_counting_classes_reads_nothing() -> None:
    assert count_classes(CifarConfig(name="cifar10", root="/nowhere")) == 10
    assert count_classes(CifarConfig(name="cifar100", root="/nowhere")) == 100
