"""Find run folders and sweep folders below a folder, whatever lies between them."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from resnet_sweep.config.errors import UserError
from resnet_sweep.records.run_folder import CONFIG, METRICS, PREDICTIONS, RESULT, TRACKER_FOLDERS
from resnet_sweep.records.run_lock import is_held
from resnet_sweep.records.sweep_folder import (
    PLANNED_RUNS,
    RUNS,
    SETTINGS,
    SWEEP,
    SWEEP_LOCK,
    TRIALS,
)
from resnet_sweep.system.locks import is_locked

RUN_FILES = (CONFIG, METRICS, RESULT)
SWEEP_FILES = (SWEEP, TRIALS)
NAMES = frozenset((*RUN_FILES, PREDICTIONS, *SWEEP_FILES, SETTINGS))


@dataclass(frozen=True)
class FoundRun:
    """A run folder, or a place where one cannot be looked for.

    Args:
        run: path below the root, in valid UTF-8.
        stamp: changes whenever one of the folder's files does, or its process ends.
        reason: why it cannot be looked into.
        is_held: a process trains in it.
        has_predictions: it holds them, readable or not.
    """

    run: str
    path: Path
    stamp: str = ""
    reason: str | None = None
    is_held: bool = False
    has_predictions: bool = False


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


_Files = dict[str, os.DirEntry[str]]  # those of NAMES in a folder


@dataclass
class _Walk:
    """Folders, then links, to visit; each a path that begins with the root's."""

    root: Path
    folders: deque[str]
    links: deque[str] = field(default_factory=deque)
    found: Found = field(default_factory=Found)
    seen: set[tuple[int, int]] = field(default_factory=set)


class NoRunsError(UserError):
    """There is such a folder, and no run in it yet, or none that meets a condition."""


def find_runs(root: Path) -> Found:
    """Return every run folder and sweep folder at or below `root`, each once.

    Links are followed after everything else, so that a run has its real name.

    Raises:
        NoRunsError: there is no run in it.
        UserError: there is no such folder, or it cannot be opened.
    """
    if not root.exists():
        raise UserError(f"{root}: there is no such folder")
    if not root.is_dir():
        raise UserError(f"{root}: is not a folder")
    if not os.access(root, os.R_OK | os.X_OK):
        raise UserError(f"{root}: may not be read")
    walk = _Walk(root, deque([str(root)]))
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


def _visit(walk: _Walk, place: str) -> None:
    try:
        status = os.stat(place)
        key = (status.st_dev, status.st_ino)
        if key in walk.seen:
            return
        walk.seen.add(key)
        with os.scandir(place) as entries:
            files = _sort_entries(walk, list(entries))
        if files:
            _add(walk, place, files)
    except OSError as error:
        _refuse(walk, place, f"cannot be opened: {error.strerror}")


def _sort_entries(walk: _Walk, entries: list[os.DirEntry[str]]) -> _Files:
    """Queue the folders and return the files that make their folder one of a run or sweep."""
    files, of_trackers = {}, []
    for entry in entries:
        if entry.name in NAMES:
            files[entry.name] = entry
        elif entry.is_symlink():
            walk.links.append(entry.path)
        elif entry.name.startswith("."):
            continue
        elif entry.name in TRACKER_FOLDERS:
            of_trackers.append(entry)
        elif entry.is_dir():
            walk.folders.append(entry.path)
    if files.keys().isdisjoint(RUN_FILES):  # else they are the run's, and no run is in them
        walk.folders.extend(entry.path for entry in of_trackers if entry.is_dir())
    return files


def _add(walk: _Walk, place: str, files: _Files) -> None:
    name, folder = _name(walk, place), Path(place)
    if not files.keys().isdisjoint(RUN_FILES):
        held = RESULT not in files and is_held(folder)
        stamp = f"{_stamp(files, (*RUN_FILES, PREDICTIONS))}{'; held' if held else ''}"
        found = FoundRun(name, folder, stamp, is_held=held, has_predictions=PREDICTIONS in files)
        walk.found.runs.append(found)
    is_sweep = not files.keys().isdisjoint(SWEEP_FILES)
    if not is_sweep and SETTINGS in files:  # a sweep that has lost both; reading it says so
        is_sweep = (folder / RUNS).is_dir() and not (folder / PLANNED_RUNS).exists()
    if is_sweep:
        runs = "; runs" if is_locked(folder / SWEEP_LOCK) else ""
        stamp = f"{_stamp(files, SWEEP_FILES)}{runs}"
        walk.found.sweeps.append(FoundSweep(name, folder, stamp))


def _follow(walk: _Walk, place: str) -> None:
    link = Path(place)
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        dangling = isinstance(error, FileNotFoundError)
        _refuse(walk, place, "link to nothing" if dangling else "link that leads to itself")
        return
    if target == walk.root.resolve() or target in link.absolute().parents:
        _refuse(walk, place, "link that leads back to a folder around it")
    elif target.is_dir():
        _visit(walk, place)


def _refuse(walk: _Walk, place: str, reason: str) -> None:
    refused = FoundRun(_name(walk, place), Path(place), f"refused: {reason}", reason)
    walk.found.runs.append(refused)


def _name(walk: _Walk, place: str) -> str:
    """Return the path below the root, or the root's own name."""
    below = Path(place).relative_to(walk.root)
    name = str(below) if below.parts else walk.root.resolve().name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _stamp(files: _Files, names: tuple[str, ...]) -> str:
    parts = []
    for name in names:
        if name in files:
            status = files[name].stat(follow_symlinks=True)
            parts.append(f"{name} {status.st_ino} {status.st_size} {status.st_mtime_ns}")
    return "; ".join(parts)
