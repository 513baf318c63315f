"""What code a cache was made by: the version stays the same while the code changes."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import resnet_sweep

SUFFIXES = frozenset({".py", ".js", ".css", ".html"})
LIBRARIES = ("bokeh", "matplotlib", "numpy", "pandas", "pyarrow", "scipy")


@cache
def code_digest() -> str:
    """Return a digest of this package's sources and of the versions of what it computes with.

    Costs some 20 ms.
    """
    folder = Path(resnet_sweep.__file__).parent
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.blake2b(path.read_bytes()).digest())
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # a library can lie there without its record
            digest.update(f"{name} {version(name)}\0".encode())
    return digest.hexdigest()
