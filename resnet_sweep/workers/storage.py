"""Where the study lies: a journal in the sweep folder, a database, or Optuna's gRPC proxy.

python -m resnet_sweep.workers.storage outputs/sweeps/night   # what optuna-dashboard opens
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend

from resnet_sweep.config.errors import ConfigError, UserError, one_line, why
from resnet_sweep.search.settings import read_settings
from resnet_sweep.system.locks import FileLock

JOURNAL = "journal.log"
PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 2.0
KEY = "hydra.sweeper.storage"
CONNECT_SECONDS = 10
_BLOCK = 65536  # bytes, in which a journal is searched for its last line

log = logging.getLogger(__name__)


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Return the study's storage; each of its operations waits out an interruption.

    Raises:
        ConfigError: it cannot be reached, or the URL is none.
        UserError: the journal is damaged.
        OSError: the sweep folder is not writable.
    """
    if url is not None:
        return PatientStorage(connect(url))  # type: ignore[no-any-return] # built below
    file = JournalFile(folder / JOURNAL)
    try:
        return PatientStorage(JournalStorage(file))  # type: ignore[no-any-return]
    except (OSError, UserError):
        raise
    except Exception as error:  # whatever Optuna stumbles over in what is JSON but no log of its
        damaged = f"line {file.lines_read} is damaged: {one_line(error)}"
        raise UserError(f"{folder / JOURNAL}: {damaged}") from error


def connect(url: str) -> BaseStorage:
    """Return the storage of a URL.

    Raises:
        ConfigError: it cannot be reached, or the URL is none.
    """
    try:
        return _grpc(url) if url.startswith("grpc://") else _database(url)
    except ConfigError:
        raise
    except ImportError as error:
        mended = "pip install 'resnet_sweep[postgres]'"
        if not url.startswith("postgresql"):
            mended = "install it"
        allowed = f"its driver is missing ({why(error)}): {mended}"
        raise ConfigError(KEY, shown(url), allowed) from error
    except Exception as error:  # SQLAlchemy, its drivers and gRPC each have their own
        raise ConfigError(KEY, shown(url), f"cannot be reached: {why(error)}") from error


def dashboard_argument(folder: Path) -> str:
    """Return the URL of a sweep's study, or the path of its journal.

    Raises:
        UserError: optuna-dashboard cannot open it.
    """
    url = read_settings(folder).storage
    if url is not None and url.startswith("grpc://"):
        raise UserError(f"{url}: give optuna-dashboard the database that this proxy serves")
    return url or str(folder / JOURNAL)


def shown(url: str) -> str:
    """Return the URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def _grpc(url: str) -> BaseStorage:
    address = re.fullmatch(r"grpc://([^:/]+):(\d+)/?", url)
    if address is None:
        raise ConfigError(KEY, url, "must be grpc://host:port")
    from optuna.storages import GrpcStorageProxy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = GrpcStorageProxy(host=address[1], port=int(address[2]))
    proxy.wait_server_ready(timeout=CONNECT_SECONDS)
    return proxy


def _database(url: str) -> BaseStorage:
    if "://" not in url:
        allowed = "must be a URL such as postgresql+psycopg://user@host/database"
        raise ConfigError(KEY, url, allowed)
    from optuna.storages import RDBStorage, get_storage

    # One connection a worker and one for its clock: thousands of workers share a server.
    engine: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgresql"):
        engine |= {"pool_size": 1, "max_overflow": 1}
        engine["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
    return get_storage(RDBStorage(url, engine_kwargs=engine))


def _interruptions() -> tuple[type[Exception], ...]:
    """Return what a storage raises that cannot be reached or written for the moment."""
    found: list[type[Exception]] = [OSError, StorageInternalError]
    try:
        from sqlalchemy.exc import DBAPIError

        found.append(DBAPIError)
    except ImportError:
        pass
    try:
        from grpc import RpcError  # type: ignore[import-untyped] # ships no types

        found.append(RpcError)
    except ImportError:
        pass
    return tuple(found)


class Patience:
    """Repeats what an interruption broke, for PATIENCE_SECONDS."""

    def __init__(self, storage: BaseStorage, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._storage = storage
        self._patience = patience_seconds
        self._interruptions = _interruptions()

    def wait_out(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call one operation of the storage until it works."""
        since: float | None = None
        while True:
            try:
                result = getattr(self._storage, name)(*args, **kwargs)
            except UpdateFinishedTrialError:
                # The first attempt went through and only its answer was lost.
                if since is not None and name == "set_trial_state_values":
                    return True
                raise
            except self._interruptions as error:
                since = since or time.monotonic()
                waited = time.monotonic() - since
                if waited > self._patience:
                    raise
                log.warning("the storage cannot be used for %.0f s: %s", waited, why(error))
                time.sleep(PAUSE_SECONDS)
                continue
            if since is not None:
                log.warning("the storage answers again")
            return result


def _operation(name: str) -> Callable[..., Any]:
    def call(self: Patience, *args: Any, **kwargs: Any) -> Any:
        return self.wait_out(name, args, kwargs)

    call.__name__ = name
    return call


_operations = {name: _operation(name) for name in BaseStorage.__abstractmethods__}
# Optuna asks for a BaseStorage, whose operations all delegate alike.
PatientStorage: Any = type("PatientStorage", (Patience, BaseStorage), _operations)


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
                try:
                    entry = json.loads(line)
                except ValueError as error:
                    raise UserError(f"{self._path}: line {number} is damaged: {error}") from error
                yield entry

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
        left = memoryview(lines.encode())
        with self._lock, open(self._path, "ab", buffering=0) as file:
            before = _cut_torn_line(file, self._path)
            try:
                while left:  # a disk that fills up takes a part and then refuses the rest
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except BaseException:
                os.truncate(file.fileno(), before)
                raise


def _cut_torn_line(file: IO[bytes], path: Path) -> int:
    """Truncate behind the last newline and return the size."""
    size = os.fstat(file.fileno()).st_size
    whole, end = 0, size
    with open(path, "rb") as reader:
        while end > 0 and whole == 0:
            start = max(0, end - (1 if end == size else _BLOCK))
            reader.seek(start)
            newline = reader.read(end - start).rfind(b"\n")
            if newline >= 0:
                whole = start + newline + 1
            end = start
    if whole < size:
        os.truncate(file.fileno(), whole)
    return whole


if __name__ == "__main__":
    from resnet_sweep.system.cli import Parser, one_line_errors

    with one_line_errors():
        parser = Parser(
            "python -m resnet_sweep.workers.storage", "Print what optuna-dashboard opens."
        )
        parser.add_argument("folder", type=Path, help="of a sweep")
        print(dashboard_argument(parser.parse_args().folder))
