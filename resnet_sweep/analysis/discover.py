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
NAMES = frozenset((*RUN_FILES, PREDICTIONS, *SWEEP_FILES, SETTINGS))


@dataclass(frozen=True)
class FoundRun:
    """A run folder, or a place where one cannot be looked for.

    Args:
        run: path below the root, in valid UTF-8.
        stamp: changes whenever one of the folder's files does, or its process ends.
        reason: why it cannot be looked into.
        is_claimed: a process trains in it.
        has_predictions: it holds them, readable or not.
    """

    run: str
    path: Path
    stamp: str = ""
    reason: str | None = None
    is_claimed: bool = False
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


@dataclass(frozen=True)
class _Place:
    """A folder or a link to visit; its name is its path below the root."""

    path: str
    name: str


@dataclass
class _Walk:
    root: Path
    found: Found = field(default_factory=Found)
    folders: deque[_Place] = field(default_factory=deque)
    links: deque[_Place] = field(default_factory=deque)
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
    walk = _Walk(root, folders=deque([_Place(str(root), "")]))
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


def _visit(walk: _Walk, place: _Place) -> None:
    try:
        status = os.stat(place.path)
        key = (status.st_dev, status.st_ino)
        if key in walk.seen:
            return
        walk.seen.add(key)
        with os.scandir(place.path) as entries:
            files = _sort_entries(walk, place, list(entries))
        if files:
            _add(walk, place, files)
    except OSError as error:
        _refuse(walk, place, f"cannot be opened: {error.strerror}")


def _sort_entries(walk: _Walk, place: _Place, entries: list[os.DirEntry[str]]) -> _Files:
    """Queue the folders and return the files that make their folder one of a run or sweep."""
    files = {}
    for entry in entries:
        if entry.name in NAMES:
            files[entry.name] = entry
            continue
        is_link = entry.is_symlink()
        if is_link or (entry.is_dir() and not _is_no_place(entry.name)):
            name = f"{place.name}/{entry.name}" if place.name else entry.name
            (walk.links if is_link else walk.folders).append(_Place(entry.path, name))
    return files


def _is_no_place(folder: str) -> bool:
    """Return whether no run can be in a folder of this name."""
    return folder in TRACKER_FOLDERS or folder.startswith(".")


def _add(walk: _Walk, place: _Place, files: _Files) -> None:
    name, folder = _name(walk, place), Path(place.path)
    if not files.keys().isdisjoint(RUN_FILES):
        held = RESULT not in files and is_claimed(folder)
        stamp = f"{_stamp(files, (*RUN_FILES, PREDICTIONS))}{'; claimed' if held else ''}"
        found = FoundRun(name, folder, stamp, is_claimed=held, has_predictions=PREDICTIONS in files)
        walk.found.runs.append(found)
    is_sweep = not files.keys().isdisjoint(SWEEP_FILES)
    if is_sweep or _has_lost_both(folder, files):  # what is lost, reading it says
        walk.found.sweeps.append(FoundSweep(name, folder, _stamp(files, SWEEP_FILES)))


def _has_lost_both(folder: Path, files: _Files) -> bool:
    """Return whether a sweep has trained here."""
    is_frozen = SETTINGS in files
    return is_frozen and (folder / RUNS).is_dir() and not (folder / PLANNED_RUNS).exists()


def _follow(walk: _Walk, place: _Place) -> None:
    link = Path(place.path)
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


def _refuse(walk: _Walk, place: _Place, reason: str) -> None:
    refused = FoundRun(_name(walk, place), Path(place.path), f"refused: {reason}", reason)
    walk.found.runs.append(refused)


def _name(walk: _Walk, place: _Place) -> str:
    name = place.name or walk.root.resolve().name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _stamp(files: _Files, names: tuple[str, ...]) -> str:
    parts = []
    for name in names:
        if name in files:
            status = files[name].stat(follow_symlinks=True)
            parts.append(f"{name} {status.st_ino} {status.st_size} {status.st_mtime_ns}")
    return "; ".join(parts)
