"""What a run is traced by: versions, commit, memory."""

from __future__ import annotations

import ctypes
import gc
import platform
import re
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "optuna", "scikit-learn")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python, this package and what it computes with."""
    found = {"python": platform.python_version()}
    for package in ("resnet_sweep", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if torch.version.cuda is not None and torch.cuda.is_available():
        found["cuda"] = torch.version.cuda
    return found


@lru_cache(maxsize=1)  # the code that is loaded stays what it was, whatever is edited meanwhile
def git_commit() -> str | None:
    """Return the commit of the checkout that this code lies in; `+` marks changes on top."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if changed else commit


def device_name(device: torch.device) -> str:
    """Return the name of the GPU or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class PeakMemory:
    """The largest memory from now on: of the device's allocations; on a CPU, of the process.

    getrusage is no help on a CPU: its peak is that of the whole process, so a later run of a worker
    would show at least the peak of the earlier ones.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()  # an earlier run's garbage in reference cycles would count
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps what was freed
            if trim is not None:
                trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # man 5 proc: resets VmHWM
            self._can_measure = True
        except OSError:
            self._can_measure = False

    def bytes(self) -> int | None:
        """Return the peak; null on a CPU whose system cannot measure from a given moment on."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if not self._can_measure:
            return None
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
        return None if found is None else int(found[1]) * 1024


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
