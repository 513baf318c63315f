"""Read, compute and write a summary; where nothing has changed, read back what was said.

What it said is kept beside its files, in a manifest, while they hold.
"""

from __future__ import annotations

import errno
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from resnet_sweep.analysis.code_digest import code_digest
from resnet_sweep.analysis.discover import Found, find_runs
from resnet_sweep.config.errors import UserError
from resnet_sweep.reporting.tables import Table
from resnet_sweep.system.atomic import remove_leftovers, write_text
from resnet_sweep.system.console import say
from resnet_sweep.system.locks import FileLock

CACHE = ".cache"
FIGURES = "figures"
MANIFEST = "summary.json"
LOCK = "summary.lock"
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of a file system
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What a summary is asked for.

    Args:
        where: condition of `filter_runs`; null: all runs.
        objective, sort: columns; null: the sweep's objective, and by it.
        compare: two runs or two configurations.
        watch: seconds until the summary is written anew; null: it is not.
    """

    root: Path
    output: Path
    where: str | None = None
    sort: str | None = None
    top: int = 10
    objective: str | None = None
    compare: tuple[str, str] | None = None
    watch: float | None = None


@dataclass(frozen=True)
class Summary:
    """What a summary says on the terminal.

    Args:
        counts: runs and rejected proposals by status.
        problems: what is damaged or missing in the records of sweeps.
        rejection_rate: of all proposals of sweeps; null: there was no sweep.
        paths: what was written.
        num_read: runs whose files were opened.
    """

    counts: dict[str, int]
    problems: list[str]
    rejection_rate: float | None
    answers: list[str]
    leaderboard: Table
    paths: list[str]
    num_read: int


def summarize(options: Options, on_step: Step = lambda *_: None) -> Summary:
    """Write tables, figures and report, and return what there is to say.

    One summary at a time writes into a folder; the others wait.

    Args:
        on_step: called with what is being done, how far it is and how far it goes.

    Raises:
        UserError: no folder, no runs, an option that is not allowed, or a disk that is full.
    """
    found = find_runs(options.root)
    _make_output(options.output)
    try:
        with _alone(options.output) as has_waited:
            if has_waited:
                found = find_runs(options.root)
            fingerprint = _fingerprint(options, found)
            known = _read_manifest(options, fingerprint)
            if known is not None:
                return known
            from resnet_sweep.analysis.summary.writing import write_summary  # brings pandas

            summary = write_summary(options, found, on_step)
            _write_manifest(options, fingerprint, summary)
            return summary
    except OSError as error:
        raise UserError(f"--output {options.output}: cannot be written: {error}") from error


def _make_output(output: Path) -> None:
    try:
        cache = output / CACHE
        if cache.exists() and not cache.is_dir():
            cache.unlink()
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output {output}: must be a folder that can be written: {error}"
        ) from None


@contextmanager
def _alone(output: Path) -> Iterator[bool]:
    """Keep other summaries out of a folder, and say whether one had to be waited for."""
    lock = FileLock(output / CACHE / LOCK)
    try:
        has_waited = not lock.try_acquire()
        if has_waited:
            say(f"waiting for another summary that writes into {output}", sys.stderr)
            lock.acquire()
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        yield False
        return
    try:
        for folder in (output, output / CACHE, output / FIGURES):
            remove_leftovers(folder)
        yield has_waited
    finally:
        lock.release()


def drop_manifest(output: Path) -> None:
    """Delete the list of the files that are whole, before the first of them is replaced."""
    (output / CACHE / MANIFEST).unlink(missing_ok=True)


def _fingerprint(options: Options, found: Found) -> str:
    parts = [
        code_digest(),
        repr(options),
        [(each.run, each.stamp) for each in found.runs],
        [(each.sweep, each.stamp) for each in found.sweeps],
    ]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _write_manifest(options: Options, fingerprint: str, summary: Summary) -> None:
    files = {path: _size_and_time(path) for path in summary.paths}
    manifest = {"fingerprint": fingerprint, "files": files, "summary": asdict(summary)}
    write_text(options.output / CACHE / MANIFEST, json.dumps(manifest))


def _read_manifest(options: Options, fingerprint: str) -> Summary | None:
    """Return the last summary where it is of the same runs and its files are as it left them."""
    try:
        manifest = json.loads((options.output / CACHE / MANIFEST).read_bytes())
        if manifest["fingerprint"] != fingerprint:
            return None
        values, files = manifest["summary"], manifest["files"]
        board = Table(**values["leaderboard"])
        summary = Summary(**{**values, "leaderboard": board, "num_read": 0})
        is_whole = all(_size_and_time(path) == files[path] for path in summary.paths)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return summary if is_whole else None


def _size_and_time(path: str) -> list[int]:
    status = Path(path).stat()
    return [status.st_size, status.st_mtime_ns]
