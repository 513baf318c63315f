"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), as published for Python."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import CifarConfig
from resnet_sweep.config.errors import ConfigError, UserError, require, require_one_of, why
from resnet_sweep.data.dataset import Dataset, make_dataset
from resnet_sweep.data.unpickle import load_pickle
from resnet_sweep.system.staging import made_folder

logger = logging.getLogger(__name__)

NUM_TRAIN_IMAGES = 50_000
NUM_CLASSES = {"cifar10": 10, "cifar100": 100}
_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_TIMEOUT_SECONDS = 30.0


def load_cifar(config: CifarConfig) -> Dataset:
    """Read config.name from config.root, downloading it there first if it is missing.

    Raises:
        UserError: if the download fails, or a file is damaged or missing.
    """
    source = _find_source(check_name(config))
    root = check_root(config)
    if _find_bad_file(source, root) is not None:
        _restore(source, root, config.download)
    folder = root / source.base_folder
    train = _read_batches(folder, source.train_list)
    test = _read_batches(folder, source.test_list)
    meta: Any = load_pickle(folder / source.meta["filename"])
    return make_dataset(train, test, meta[source.meta["key"]])


def check_root(config: CifarConfig) -> Path:
    """Return the folder of the files, which a download makes where it is missing."""
    allowed = "must be the folder that holds the published archive or takes its download"
    if config.root is None:
        raise ConfigError("data.root", None, allowed)
    root = Path(os.path.expanduser(config.root))
    require(not root.exists() or root.is_dir(), "data.root", config.root, allowed)
    allowed = "no such folder, and data.download=false"
    require(root.is_dir() or config.download, "data.root", config.root, allowed)
    return root


def check_name(config: CifarConfig) -> str:
    """Return config.name, one of NUM_CLASSES."""
    require_one_of("data.name", config.name, NUM_CLASSES)
    return config.name


def _find_source(name: str) -> Any:
    """Return torchvision's class, which knows the archive and the md5 of each file."""
    from torchvision import datasets  # type: ignore[import-untyped]

    return datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100


def _list_files(source: Any) -> list[tuple[str, str]]:
    """Return the name and the md5 of each file."""
    meta = source.meta["filename"], source.meta["md5"]
    return [*source.train_list, *source.test_list, meta]


def _read_batches(
    folder: Path, files: list[tuple[str, str]]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batches: list[Any] = [load_pickle(folder / name) for name, _ in files]
    images = np.concatenate([np.asarray(batch["data"]) for batch in batches])
    key = "labels" if "labels" in batches[0] else "fine_labels"
    labels = np.concatenate([np.asarray(batch[key], dtype=np.int64) for batch in batches])
    return images.reshape(-1, 3, 32, 32), labels


def _find_bad_file(source: Any, root: Path) -> Path | None:
    files = ((root / source.base_folder / name, md5) for name, md5 in _list_files(source))
    return next((path for path, md5 in files if not _is_intact(path, md5)), None)


def _is_intact(path: Path, md5: str) -> bool:
    from torchvision.datasets.utils import check_integrity  # type: ignore[import-untyped]

    return bool(check_integrity(path, md5))


def _restore(source: Any, root: Path, download: bool) -> None:
    """Bring all files into place: from the archive, downloaded if it is missing and allowed."""
    archive = root / source.filename
    if not archive.exists():
        if not download:
            bad = _find_bad_file(source, root)
            problem = f"{bad} is missing or damaged and data.download=false"
            raise UserError(f"{problem}: {_advise(source, root)}")
        _download(source, root)
    if not _is_intact(archive, source.tgz_md5):
        problem = f"{archive}: damaged archive (its md5 is not {source.tgz_md5})"
        raise UserError(f"{problem}: delete it, then {_advise(source, root)}")
    _unpack(source, archive)
    bad = _find_bad_file(source, root)
    if bad is not None:
        raise UserError(f"{bad}: damaged (its md5 is not the published one)")


def _advise(source: Any, root: Path) -> str:
    target = f"put {source.filename} from {_PAGE} into {root.resolve()}"
    return f"{target}, or take data=digits, which needs no download"


def _download(source: Any, root: Path) -> None:
    from torchvision.datasets.utils import download_url

    logger.info("downloading %s into %s", source.url, root)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)  # torchvision's download has none of its own
    try:
        with _staging_folder(root) as staging:
            download_url(source.url, staging, source.filename, source.tgz_md5)
            os.replace(staging / source.filename, root / source.filename)
    except Exception as error:  # torchvision passes on whatever urllib and http raise
        problem = f"the download of {source.url} failed ({why(error)})"
        raise UserError(f"{problem}: {_advise(source, root)}") from None
    finally:
        socket.setdefaulttimeout(timeout)


def _unpack(source: Any, archive: Path) -> None:
    folder = archive.parent / source.base_folder
    try:
        with _staging_folder(archive.parent) as staging, tarfile.open(archive) as tar:
            folder.mkdir(exist_ok=True)
            for name, _ in _list_files(source):
                member = f"{source.base_folder}/{name}"
                packed = tar.extractfile(member)
                if packed is None:
                    raise KeyError(f"{member} is not a file")
                with packed, (staging / name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
                os.replace(staging / name, folder / name)
    except (OSError, KeyError, tarfile.TarError) as error:
        raise UserError(f"{archive}: cannot be unpacked into {folder} ({error})") from None


@contextmanager
def _staging_folder(root: Path) -> Iterator[Path]:
    """A folder of this process alone, from which whole files are moved into place."""
    with made_folder(root), tempfile.TemporaryDirectory(dir=root, prefix=".partial-") as name:
        yield Path(name)
