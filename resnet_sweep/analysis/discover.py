"""Find run folders and sweep folders below a folder, whatever lies between them."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from resnet_sweep.config.errors import UserError
from resnet_sweep.records.claim import is_claimed
from resnet_sweep.records.run_folder import CONFIG, METRICS, PREDICTIONS, RESULT, TRACKER_FOLDERS
from resnet_sweep.records.sweep_folder import PLANNED_RUNS, RUNS, SETTINGS, SWEEP, TRIALS

RUN_FILES = (CONFIG, METRICS, RESULT)
SWEEP_FILES = (SWEEP, TRIALS)


@dataclass(frozen=True)
class FoundRun:
    """A run folder, or a place where one cannot be looked for.

    Args:
        run: path below the root, in valid UTF-8.
        stamp: changes whenever one of the folder's files does, or its process ends.
        reason: why it cannot be looked into.
        is_claimed: a process trains in it.
    """

    run: str
    path: Path
    stamp: str = ""
    reason: str | None = None
    is_claimed: bool = False


@dataclass(frozen=True)
class FoundSweep:
    """A sweep folder; name and stamp are as a run's."""

    sweep: str
    path: Path
    stamp: str


@dataclass
class Found:
    """Run folders and sweep folders, each sorted by name."""

    runs: list[FoundRun] = field(default_factory=list)
    sweeps: list[FoundSweep] = field(default_factory=list)


@dataclass
class _Walk:
    root: Path
    found: Found = field(default_factory=Found)
    folders: deque[Path] = field(default_factory=deque)
    links: deque[Path] = field(default_factory=deque)
    seen: set[tuple[int, int]] = field(default_factory=set)


class NoRunsError(UserError):
    """There is such a folder, and no run in it yet."""


def find_runs(root: Path) -> Found:
    """Return every run folder and sweep folder at or below `root`, each once.

    Links are followed after everything else, so that a run has its real name.

    Raises:
        NoRunsError: there is no run in it.
        UserError: there is no such folder, or it cannot be opened.
    """
    _check_root(root)
    walk = _Walk(root, folders=deque([root]))
    while walk.folders or walk.links:
        if walk.folders:
            _visit(walk, walk.folders.popleft())
        else:
            _follow(walk, walk.links.popleft())
    walk.found.runs.sort(key=lambda each: each.run)
    walk.found.sweeps.sort(key=lambda each: each.sweep)
    if not walk.found.runs and not walk.found.sweeps:
        raise NoRunsError(f"{root}: there are no runs in it")
    return walk.found


def _check_root(root: Path) -> None:
    if not root.exists():
        raise UserError(f"{root}: there is no such folder")
    if not root.is_dir():
        raise UserError(f"{root}: is not a folder")
    if not os.access(root, os.R_OK | os.X_OK):
        raise UserError(f"{root}: may not be read")


def _visit(walk: _Walk, folder: Path) -> None:
    try:
        status = folder.stat()
        key = (status.st_dev, status.st_ino)
        if key in walk.seen:
            return
        walk.seen.add(key)
        with os.scandir(folder) as entries:
            files = _sort_entries(walk, list(entries))
        _add(walk, folder, files)
    except OSError as error:
        _refuse(walk, folder, f"cannot be opened: {error.strerror}")


def _sort_entries(walk: _Walk, entries: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """Queue the folders and return the files that make their folder one of a run or sweep."""
    files = []
    for entry in entries:
        if entry.name in (*RUN_FILES, PREDICTIONS, *SWEEP_FILES, SETTINGS):
            files.append(entry)
        elif entry.is_symlink():
            walk.links.append(Path(entry.path))
        elif entry.is_dir() and not _is_no_place(entry.name):
            walk.folders.append(Path(entry.path))
    return files


def _is_no_place(folder: str) -> bool:
    """Return whether no run can be in a folder of this name."""
    return folder in TRACKER_FOLDERS or folder.startswith(".")


def _add(walk: _Walk, folder: Path, files: list[os.DirEntry[str]]) -> None:
    name = _name(walk, folder)
    of_run = [entry for entry in files if entry.name in (*RUN_FILES, PREDICTIONS)]
    if any(entry.name in RUN_FILES for entry in of_run):
        finished = any(entry.name == RESULT for entry in of_run)
        held = not finished and is_claimed(folder)
        stamp = f"{_stamp(of_run)}{'; claimed' if held else ''}"
        walk.found.runs.append(FoundRun(name, folder, stamp, is_claimed=held))
    of_sweep = [entry for entry in files if entry.name in SWEEP_FILES]
    if of_sweep or _has_lost_both(folder, files):  # what is lost, reading it says
        walk.found.sweeps.append(FoundSweep(name, folder, _stamp(of_sweep)))


def _has_lost_both(folder: Path, files: list[os.DirEntry[str]]) -> bool:
    """Return whether a sweep has trained here."""
    is_frozen = any(entry.name == SETTINGS for entry in files)
    return is_frozen and (folder / RUNS).is_dir() and not (folder / PLANNED_RUNS).exists()


def _follow(walk: _Walk, link: Path) -> None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        dangling = isinstance(error, FileNotFoundError)
        _refuse(walk, link, "link to nothing" if dangling else "link that leads to itself")
        return
    if target == walk.root.resolve() or target in link.absolute().parents:
        _refuse(walk, link, "link that leads back to a folder around it")
    elif target.is_dir():
        _visit(walk, link)


def _refuse(walk: _Walk, path: Path, reason: str) -> None:
    walk.found.runs.append(FoundRun(_name(walk, path), path, f"refused: {reason}", reason))


def _name(walk: _Walk, path: Path) -> str:
    relative = path.relative_to(walk.root)
    name = relative.as_posix() if relative.parts else walk.root.resolve().name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _stamp(files: list[os.DirEntry[str]]) -> str:
    parts = []
    for entry in sorted(files, key=lambda entry: entry.name):
        status = entry.stat(follow_symlinks=True)
        parts.append(f"{entry.name} {status.st_ino} {status.st_size} {status.st_mtime_ns}")
    return "; ".join(parts)
