"""The benchmark of prediction runs, and prints every contender."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from test_custom_bad_sets import save_png

pytestmark = pytest.mark.engines  # a benchmark, whole

SCRIPT = ROOT / "benchmarks" / "predict.py"


def _run(*options: str) -> str:
    command = [sys.executable, str(SCRIPT), "--small", "--device", "cpu", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_small_form_prints_ratios_to_the_bare_pass(tmp_path: Path) -> None:
    for index in range(6):
        save_png(tmp_path / f"{index}.png")
    lines = _run("--images", "6", "--rounds", "2", "--folder", str(tmp_path)).splitlines()
    assert "n=2 rounds" in lines[0]
    names = ("bare forward pass", "prediction, .npy", "prediction, image files")
    for name, line in zip(names, lines[1::2], strict=True):
        assert line.startswith(name)
        ratio = re.search(r"images/s +([0-9.]+) \(quartiles .*\) times the bare pass", line)
        assert ratio is not None and float(ratio[1]) > 0
        assert name != names[0] or float(ratio[1]) == 1


def test_memory_is_told_beyond_images_and_results() -> None:
    line = _run("--images", "50", "--memory")
    found = re.search(r"(\d+) bytes an image, ([+-]\d+) beyond its pixels \(3072\)", line)
    assert found is not None and abs(int(found[1]) - 3072 - 48 - int(found[2])) <= 1
