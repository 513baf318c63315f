"""What a summary was asked for and said, kept beside its files while they hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from resnet_sweep.analysis.code_digest import code_digest
from resnet_sweep.analysis.discover import Found
from resnet_sweep.reporting.tables import Table
from resnet_sweep.system.atomic import write_text

CACHE = ".cache"
FIGURES = "figures"
MANIFEST = "summary.json"
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


def drop_manifest(output: Path) -> None:
    """Vouch no longer for the files of a folder, before the first of them is replaced."""
    (output / CACHE / MANIFEST).unlink(missing_ok=True)


def fingerprint_of(options: Options, found: Found) -> str:
    parts = [
        code_digest(),
        repr(options),
        [(each.run, each.stamp) for each in found.runs],
        [(each.sweep, each.stamp) for each in found.sweeps],
    ]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def write_manifest(options: Options, fingerprint: str, summary: Summary) -> None:
    files = {path: _size_and_time(path) for path in summary.paths}
    manifest = {"fingerprint": fingerprint, "files": files, "summary": asdict(summary)}
    write_text(options.output / CACHE / MANIFEST, json.dumps(manifest))


def read_manifest(options: Options, fingerprint: str) -> Summary | None:
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
