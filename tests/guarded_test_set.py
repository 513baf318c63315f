"""Real commands on digits whose test part cannot be read without failing the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from signals_sent import python_path

GUARD = '''
import sys

armed = []


def guard(event, arguments):
    """Before training begins, let the data set that is read later lose its test part."""
    if event != "import" or arguments[0] != "resnet_sweep.training.run" or armed:
        return
    armed.append(True)
    from resnet_sweep.data import device

    load = device.load_dataset

    class Guarded:
        def __init__(self, data):
            self._data = data

        def __getattr__(self, name):
            if name.startswith("test_"):
                raise RuntimeError("the test split was touched")
            return getattr(self._data, name)

    device.load_dataset = lambda config: Guarded(load(config))


sys.addaudithook(guard)
'''


def run_guarded(module: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the project in `cwd`; no process of it can read a test image."""
    done = subprocess.run(command(module, *arguments), **guarded(cwd))  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr + done.stdout
    return done  # type: ignore[no-any-return]


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error::UserWarning", "-m", f"resnet_sweep.{module}", *arguments]


def guarded(cwd: Path) -> dict[str, object]:
    """Return what subprocess needs: Python imports sitecustomize before anything else."""
    folder = cwd / "guard"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(GUARD)
    environment = {**os.environ, "PYTHONPATH": python_path(folder)}
    return {"cwd": cwd, "env": environment, "capture_output": True, "text": True}
