"""Where matplotlib has no font cache yet, a command prints what it has to say and nothing else."""

from __future__ import annotations

from pathlib import Path

from conftest import TINY_OVERRIDES, run_train


def test_a_training_with_figures_says_nothing_of_fonts(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = [*TINY_OVERRIDES, "train.epochs=1", "train.figures=true", "tracker=tensorboard"]
    done = run_train(*words, cwd=tmp_path, MPLCONFIGDIR=str(tmp_path / "empty"))
    assert list((tmp_path / "empty").iterdir())  # the cache was built
    assert (done.returncode, done.stderr) == (0, "")
    starts = ("epoch 1/1 ", "run folder: ", "status: ", "validation accuracy: ", "test accuracy: ")
    lines = done.stdout.splitlines()
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
