"""Optuna's journal in a file that a kill or a full disk cannot spoil."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import BaseJournalBackend

from resnet_sweep.config.errors import UserError
from resnet_sweep.system.locks import FileLock

JOURNAL = "journal.log"
_BLOCK = 65536


class JournalFile(BaseJournalBackend):
    """One JSON object a line, appended under a lock that a killed writer cannot leave behind.

    Optuna's own file backend appends behind a line that a kill cut off, after which the file
    can never be read again; here the part is cut away first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        self._offsets = {0: 0}  # of the lines that were asked for, by number
        with self._lock, open(path, "ab") as file:
            _cut_torn_line(file, path)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the whole lines from `log_number_from` on.

        Raises:
            UserError: a whole line is not JSON: something else has written there.
        """
        number, offset = log_number_from, self._offsets.get(log_number_from, 0)
        skip = 0 if log_number_from in self._offsets else log_number_from
        with open(self._path, "rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written
                offset += len(line)
                if skip > 0:
                    skip -= 1
                    continue
                number += 1
                self._offsets = {0: 0, number: offset}
                yield self._parse(line, number)

    @property
    def lines_read(self) -> int:
        """The number of the line that was read last."""
        return max(self._offsets)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all or nothing.

        Raises:
            OSError: the disk is full or the file not writable; the journal is as it was.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._lock, open(self._path, "ab", buffering=0) as file:
            before = _cut_torn_line(file, self._path)
            try:
                _write_all(file, lines.encode())
                os.fsync(file.fileno())
            except BaseException:
                os.truncate(file.fileno(), before)
                raise

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            return json.loads(line)  # type: ignore[no-any-return]
        except ValueError as error:
            raise UserError(f"{self._path}: line {number} is damaged: {error}") from error


def _write_all(file: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:  # a disk that fills up takes a part and then refuses the rest
        view = view[file.write(view) :]


def _cut_torn_line(file: IO[bytes], path: Path) -> int:
    """Truncate behind the last newline and return the size."""
    size = os.fstat(file.fileno()).st_size
    whole = _end_of_last_line(path, size)
    if whole < size:
        os.truncate(file.fileno(), whole)
    return whole


def _end_of_last_line(path: Path, size: int) -> int:
    with open(path, "rb") as file:
        end = size
        while end > 0:
            start = max(0, end - (1 if end == size else _BLOCK))
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0
