"""The benchmark of telling rejections runs, and its objectives are what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.engines  # a benchmark, whole

SCRIPT = ROOT / "benchmarks" / "rejection_telling.py"


def test_the_small_form_prints_every_strategy_on_every_objective() -> None:
    command = [sys.executable, str(SCRIPT), "--seeds", "1", "--trials", "6"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line for line in finished.stdout.splitlines() if "±" in line]
    assert len(rows) == 3 * 5
    rejected = {row[:22].strip(): int(row.split()[-1]) for row in rows if " random " in row}
    assert rejected["small feasible region"] > 2 * rejected["inside"]
    assert all("+0.00" in row for row in rows if " fail " in row)
