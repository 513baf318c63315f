"""Read, compute and write a summary; where nothing has changed, read back what was said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from resnet_sweep import __version__
from resnet_sweep.analysis.discover import Found, find_runs
from resnet_sweep.analysis.terminal import Leaderboard
from resnet_sweep.atomic import write_text
from resnet_sweep.errors import UserError

CACHE = ".cache"
MANIFEST = "summary.json"
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What a summary is asked for.

    Args:
        where: condition of `filter_runs`; null: all runs.
        objective, sort: columns; null: the sweep's objective, and by it.
        compare: two runs or two configurations.
    """

    root: Path
    output: Path
    where: str | None = None
    sort: str | None = None
    top: int = 10
    objective: str | None = None
    fanova: bool = False
    compare: tuple[str, str] | None = None


@dataclass(frozen=True)
class Summary:
    """What a summary says on the terminal.

    Args:
        counts: runs and rejected proposals by status.
        rejection_rate: of all proposals of sweeps; null: there was no sweep.
        paths: what was written.
        num_read: runs whose files were opened.
    """

    counts: dict[str, int]
    rejection_rate: float | None
    answers: list[str]
    leaderboard: Leaderboard
    paths: list[str]
    num_read: int


def summarize(options: Options, on_step: Step | None = None) -> Summary:
    """Write tables, figures and report, and return what there is to say.

    Args:
        on_step: called with what is being done, how far it is and how far it goes.

    Raises:
        UserError: no folder, no runs, or an option that is not allowed.
    """
    found = find_runs(options.root)
    _make_output(options.output)
    fingerprint = _fingerprint(options, found)
    known = _read_manifest(options, fingerprint)
    if known is not None:
        return known
    from resnet_sweep.analysis.writing import write_summary  # these bring pandas and more

    summary = write_summary(options, found, on_step or _no_step)
    manifest = {"fingerprint": fingerprint, "summary": asdict(summary)}
    write_text(options.output / CACHE / MANIFEST, json.dumps(manifest))
    return summary


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


def _no_step(what: str, done: int, total: int) -> None:
    pass


def _fingerprint(options: Options, found: Found) -> str:
    parts = [
        __version__,
        repr(options),
        [(each.run, each.stamp) for each in found.runs],
        [(each.sweep, each.stamp) for each in found.sweeps],
    ]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _read_manifest(options: Options, fingerprint: str) -> Summary | None:
    """Return the last summary where it is of the same runs and all its files are there."""
    try:
        manifest = json.loads((options.output / CACHE / MANIFEST).read_bytes())
        if manifest["fingerprint"] != fingerprint:
            return None
        values = manifest["summary"]
        board = Leaderboard(**values["leaderboard"])
        summary = Summary(**{**values, "leaderboard": board, "num_read": 0})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return summary if all(Path(path).exists() for path in summary.paths) else None
