"""Read, compute and write a summary; where nothing has changed, read back what was said."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet_sweep.analysis.discover import find_runs
from resnet_sweep.analysis.summary.manifest import (
    CACHE,
    FIGURES,
    Options,
    Step,
    Summary,
    fingerprint_of,
    read_manifest,
    write_manifest,
)
from resnet_sweep.config.errors import UserError
from resnet_sweep.system.atomic import remove_leftovers
from resnet_sweep.system.console import say
from resnet_sweep.system.locks import FileLock

LOCK = "summary.lock"
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of a file system


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
            fingerprint = fingerprint_of(options, found)
            known = read_manifest(options, fingerprint)
            if known is not None:
                return known
            from resnet_sweep.analysis.summary.writing import write_summary  # brings pandas

            summary = write_summary(options, found, on_step)
            write_manifest(options, fingerprint, summary)
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
