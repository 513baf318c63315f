"""--help names every option, and neither it nor a mistake costs the import of torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from resnet_sweep.config.export import ExportConfig
from resnet_sweep.config.predict import PredictConfig
from resnet_sweep.config.shift import CORRUPTIONS, ShiftConfig

OPTIONS = {
    "predict": [*PredictConfig.__dataclass_fields__],
    "shift": [*ShiftConfig.__dataclass_fields__, *CORRUPTIONS],
    "export": [*ExportConfig.__dataclass_fields__],
}
WITHOUT_TORCH = """
import runpy, sys
command = sys.argv.pop(1)
try:
    runpy.run_module(f"resnet_sweep.{command}", run_name="__main__")
except SystemExit as stopped:
    sys.exit(9 if "torch" in sys.modules else stopped.code)
"""


def _run(command: str, argument: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", WITHOUT_TORCH, command, argument]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("command", OPTIONS)
def test_help_names_every_option(command: str, tmp_path: Path) -> None:
    done = _run(command, "--help", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in OPTIONS[command]:
        assert done.stdout.count(name) > 1, name


@pytest.mark.parametrize("command", OPTIONS)
def test_a_mistake_is_one_line(command: str, tmp_path: Path) -> None:
    done = _run(command, "rum=a", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.endswith("did you mean run?\n")
