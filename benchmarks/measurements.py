"""Measurements that a call of limited length adds to a JSON file, so that the next one goes on.

The file holds `machine` (date, device, versions of the first call, commits of all) and `rows`, each
by its name; derived figures are computed anew from all rows. What was measured on another device is
never mixed in.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from resnet_sweep.config.errors import UserError, one_line
from resnet_sweep.system.atomic import write_text
from resnet_sweep.system.cli import one_line_errors
from resnet_sweep.system.environment import device_name, git_commit, versions

Row = dict[str, Any]
MORE = 75  # exit status: call again


def here() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe_machine() -> Row:
    device = here()
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "device": device_name(device),
        "processor": platform.processor() or platform.machine(),
        "cpu_cores": len(os.sched_getaffinity(0)),
        "versions": versions(),
        "commit": git_commit(),
    }


class Measurements:
    """Rows by name, kept in a file after each.

    Args:
        path: of the JSON; None: nothing is kept.
        minutes: after which no measurement is begun.
        form: what was asked for ("small", "full"); one file holds one.

    Raises:
        UserError: the file holds something else, or was measured on another device.
    """

    def __init__(self, path: Path | None, minutes: float, form: str) -> None:
        self._path = path
        self._end = time.monotonic() + 60 * minutes
        machine = describe_machine()
        self._commit = machine["commit"]
        self.content: Row = {"machine": machine, "form": form, "rows": {}}
        self.left: list[str] = []
        self.failed: list[str] = []
        if path is not None and path.exists():
            self._go_on(_read(path))

    def _go_on(self, earlier: Row) -> None:
        now = self.content
        same = [(content["machine"]["device"], content["form"]) for content in (earlier, now)]
        if same[0] != same[1]:
            problem = f"was measured as {same[0]}, this is {same[1]}"
            raise UserError(f"--output={self._path}: {problem}")
        now.update({k: value for k, value in earlier.items() if k not in now})
        now["rows"] = {k: row for k, row in earlier["rows"].items() if "error" not in row}
        now["machine"] = earlier["machine"]

    @property
    def rows(self) -> dict[str, Row]:
        rows: dict[str, Row] = self.content["rows"]
        return rows

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end

    def take(self, name: str, measure: Callable[[], Row]) -> Row | None:
        """Return the row of this name, measured now unless the file has it.

        None: there was no time, or it failed; a failure is kept as such and tried again by the
        next call.
        """
        if name in self.rows:
            return self.rows[name]
        if self.is_over:
            self.left.append(name)
            return None
        started = time.perf_counter()
        try:
            row = measure()
        except Exception as error:  # too little memory, no compiler: the others still count
            self.failed.append(name)
            self._keep(name, {"error": one_line(error)})
            print(f"{name}: {one_line(error)}", file=sys.stderr, flush=True)
            return None
        self._keep(name, {**row, "measuring_seconds": round(time.perf_counter() - started, 2)})
        return row

    def put(self, name: str, value: Any) -> None:
        """Keep what follows from the rows, or belongs to all of them."""
        self.content[name] = value
        self._write()

    def finish(self, derived: Row) -> int:
        """Keep and print what follows from the rows.

        Returns the exit status: 0, 1 after failures, 75 where the next call has more to do.
        """
        self.put("derived", derived)
        for name, value in derived.items():
            print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
        if self.left:
            print(f"left for the next call: {', '.join(self.left)}", flush=True)
            return MORE
        return 1 if self.failed else 0

    def _keep(self, name: str, row: Row) -> None:
        self.rows[name] = row
        machine = self.content["machine"]
        commits = (machine.get("commit") or "").split(", ")
        if self._commit and self._commit not in commits:
            machine["commit"] = ", ".join(filter(None, [*commits, self._commit]))
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(self.content, indent=1) + "\n")


def _read(path: Path) -> Row:
    """Return what a file of measurements holds.

    Raises:
        UserError: it is none.
    """
    try:
        content = json.loads(path.read_text())
        machine, rows, _ = content["machine"]["device"], content["rows"], content["form"]
        if isinstance(machine, str) and isinstance(rows, dict):
            return dict(content)
        problem = "it has no rows"
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = one_line(error)
    raise UserError(f"--output={path}: must be a file of measurements: {problem}")


def add_options(parser: argparse.ArgumentParser, minutes: float = 8) -> None:
    """Add what every benchmark on a GPU takes."""
    parser.add_argument("--small", action="store_true", help="tiny sizes, on any machine")
    parser.add_argument("--output", type=Path, help="keep the figures there as JSON, and go on")
    parser.add_argument("--minutes", type=float, default=minutes, help="begin nothing after these")


def open_measurements(options: argparse.Namespace) -> Measurements:
    form = "small" if options.small else "full"
    with one_line_errors():
        return Measurements(options.output, options.minutes, form)
