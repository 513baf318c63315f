"""What sweep and workers leave for each other in the sweep folder, whatever lies between them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from resnet_sweep.system.atomic import write_text

STOP = "stop"
WORKERS = "workers"


@dataclass(frozen=True)
class Ending:
    """Why a worker ended.

    Args:
        kind: done (nothing is left to train), stopped (it was asked to), user_error or
            broken_folder (no worker can go on).
    """

    kind: str
    message: str = ""


def write_ending(folder: Path, index: int, ending: Ending) -> None:
    write_text(_path(folder, index), json.dumps(asdict(ending)))


def take_ending(folder: Path, index: int) -> Ending | None:
    """Return and remove a worker's last word; None where it was killed."""
    path = _path(folder, index)
    try:
        ending = Ending(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    path.unlink()
    return ending


def folder_ending(folder: Path) -> Ending | None:
    """Return why nobody can write there, as after a kill for which the worker is not to blame."""
    probe = folder / WORKERS / "probe"
    try:
        write_text(probe, "x" * 4096)
        probe.unlink()
    except OSError as error:
        return Ending("broken_folder", f"{folder}: {error.strerror}")
    return None


def worker_log(folder: Path, index: int) -> Path:
    return folder / WORKERS / f"{index}.log"


def worker_lock(folder: Path, index: int) -> Path:
    """Return the lock that a worker holds as long as it lives."""
    return folder / WORKERS / f"{index}.lock"


def request_stop(folder: Path) -> None:
    """Ask all workers, wherever they run, to stop after their step or epoch."""
    (folder / STOP).touch()


def withdraw_stop(folder: Path) -> None:
    (folder / STOP).unlink(missing_ok=True)


def stop_is_requested(folder: Path) -> bool:
    return (folder / STOP).exists()


def _path(folder: Path, index: int) -> Path:
    return folder / WORKERS / f"{index}.end.json"
