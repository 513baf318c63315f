"""Services that tests start for themselves, or say why they cannot."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def require_package(name: str, extra: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'resnet_sweep[{extra}]'")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Postgres:
    """A server of its own on a free port; root cannot run one, so it becomes `postgres`."""

    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def control(self, *arguments: str) -> None:
        options = f"-p {self.port} -k {self.data} -c listen_addresses=127.0.0.1"
        command = ["pg_ctl", "-D", str(self.data), "-w", "-o", options, *arguments]
        _as_postgres([*command, "-l", str(self.data / "log")])


def _as_postgres(command: list[str]) -> None:
    prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """Start a PostgreSQL server from the installed initdb and pg_ctl."""
    require_package("psycopg", "postgres")
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("initdb and pg_ctl are not on the PATH: install PostgreSQL")
    server = Postgres(folder, free_port())
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    folder.chmod(0o700)
    _as_postgres(["initdb", "-D", str(folder), "-A", "trust", "-U", "postgres"])
    server.control("start")
    try:
        yield server
    finally:
        server.control("stop", "-m", "immediate")
