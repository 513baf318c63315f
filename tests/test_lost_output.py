"""Standard output that is full, cut or closed: the work is done, and the status tells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY_OVERRIDES

from resnet_sweep.records.run_folder import read_result

SUMMARIZE = ROOT / "analysis/summarize.py"
LOST = "error: standard output cannot be written: No space left on device\n"
COMMANDS = {
    "train": ["--help"],  # printed by Hydra itself
    "confirm": ["--cfg", "job"],
    "summarize": ["--help"],  # by argparse
}
RUN = ["train", *TINY_OVERRIDES, "train.epochs=1", "hydra.run.dir=run"]
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def _run(words: list[str], end: str, folder: Path) -> subprocess.CompletedProcess[str]:
    is_script = words[0] == "summarize"
    program = [str(SUMMARIZE)] if is_script else ["-m", f"resnet_sweep.{words[0]}"]
    script = f'set -o pipefail; "$0" "$@" {end}'
    command = ["bash", "-c", script, sys.executable, *program, *words[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
@needs_full
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_output_ends_every_command_with_1(command: str, tmp_path: Path) -> None:
    done = _run([command, *COMMANDS[command]], ">/dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, LOST)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["| head -c 1 >/dev/null", ">&-"])
@pytest.mark.parametrize("command", ["confirm", "train"])
def test_an_output_that_nobody_wants_is_no_failure(command: str, end: str, tmp_path: Path) -> None:
    done = _run([command, *COMMANDS.get(command, [])], end, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.engines
@needs_full
def test_a_run_whose_output_is_lost_is_whole(tmp_path: Path) -> None:
    done = _run(RUN, ">/dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, LOST)
    assert read_result(tmp_path / "run").status == "completed"


@pytest.mark.slow
@needs_full
def test_another_status_stays(tmp_path: Path) -> None:
    done = _run(["train", "modell=a"], ">/dev/full", tmp_path)
    assert done.returncode == 2 and "did you mean model?" in done.stderr


@pytest.mark.engines
def test_a_run_without_standard_output_completes(tmp_path: Path) -> None:
    done = _run([*RUN, "train.progress=true"], ">&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_result(tmp_path / "run").status == "completed"
