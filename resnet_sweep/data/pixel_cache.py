"""Decoded images kept between runs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.system.atomic import replacing

logger = logging.getLogger(__name__)

_FORMAT = 1  # to be raised when decoding changes


class PixelCache:
    """The pixels of one image folder at one image size: `<key>.npy` and `<key>.json`.

    The manifest holds the digest of the list of files, the fingerprint of the data set, and a
    checksum of both pixels and fingerprint; where one does not fit, there is no cache.

    Args:
        files_digest: of the files as they are now.
    """

    def __init__(self, config: ImageFolderConfig, files_digest: str) -> None:
        root = Path(os.path.expanduser(config.root or "")).absolute()
        key = hashlib.blake2b(os.fsencode(f"{root}\0{config.image_size}"), digest_size=16)
        self.folder = _find_cache_folder(config)
        self.pixels_path = self.folder / f"{key.hexdigest()}.npy"
        self.manifest_path = self.folder / f"{key.hexdigest()}.json"
        self.files_digest = files_digest

    def read(self, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], str] | None:
        """Return the pixels, uint8 of this shape, and the fingerprint; None: decode again."""
        try:
            manifest = json.loads(self.manifest_path.read_bytes())
            if manifest["format"] != _FORMAT or manifest["files"] != self.files_digest:
                return None
            # Pages of the file, which all workers of a machine share; writes stay private.
            pixels = np.load(self.pixels_path, mmap_mode="c", allow_pickle=False)
            fingerprint = str(manifest["fingerprint"])
            checksum = _compute_checksum(pixels, fingerprint)
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever a torn file makes the readers raise
            logger.warning("cache %s is damaged (%s): rebuilt", self.pixels_path, error)
            return None
        is_whole = pixels.dtype == np.uint8 and pixels.shape == shape
        if not is_whole or checksum != manifest.get("checksum"):
            logger.warning("cache %s is damaged: rebuilt", self.pixels_path)
            return None
        return pixels, fingerprint

    def write(self, pixels: NDArray[np.uint8], fingerprint: str) -> None:
        """Keep the pixels; where that fails, say so and go on."""
        manifest: dict[str, Any] = {
            "format": _FORMAT,
            "files": self.files_digest,
            "fingerprint": fingerprint,
            "checksum": _compute_checksum(pixels, fingerprint),
        }
        text = json.dumps(manifest, indent=2).encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.pixels_path) as file:
                np.save(file, pixels, allow_pickle=False)
            with replacing(self.manifest_path) as file:
                file.write(text)
        except OSError as error:
            logger.warning("no cache of the decoded images, every run decodes them: %s", error)


def _find_cache_folder(config: ImageFolderConfig) -> Path:
    if config.cache_dir is not None:
        return Path(os.path.expanduser(config.cache_dir)).absolute()
    user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(user_cache)) / "resnet_sweep"


def _compute_checksum(pixels: NDArray[np.uint8], fingerprint: str) -> int:
    return zlib.crc32(fingerprint.encode(), zlib.crc32(pixels.data))
