"""From a sweep to a table of predictions, as the README's commands go: make test-engines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from confirmable import CONFIRM, OPTIONS, run_confirm, run_sweep
from prediction import IMAGES, LABELS, read_rows

from resnet_sweep.records.run_folder import read_result
from resnet_sweep.training.trained_net import load_net

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]


def _confirmed_runs(folder: Path) -> list[Path]:
    """Return the runs of the chosen configuration whose test accuracy was read."""
    runs = json.loads((folder / CONFIRM / "confirmation.json").read_text())["runs"]
    chosen = [run for run in runs if run["stage"] == "test" and run["configuration"] != "tiny"]
    return [CONFIRM / run["run_dir"] for run in chosen]


def test_a_confirmed_sweep_labels_a_custom_set(tmp_path: Path) -> None:
    run_sweep(tmp_path)
    confirmed = run_confirm(*OPTIONS, cwd=tmp_path)
    assert confirmed.returncode == 0, confirmed.stderr
    runs, ids = _confirmed_runs(tmp_path), np.arange(len(IMAGES)) + 1000
    assert runs == [CONFIRM / f"test/runs/{number}" for number in range(5)]
    np.savez(tmp_path / "mine.npz", images=IMAGES, labels=LABELS, ids=ids)
    options = [f"run=[{','.join(map(str, runs))}]", "input=mine.npz", "tta=flip", "output=out"]
    command = [sys.executable, "-W", "error::UserWarning", "-m", "resnet_sweep.predict"]
    predicted = subprocess.run(
        [*command, *options, "device=cpu"], cwd=tmp_path, capture_output=True, text=True
    )
    assert predicted.returncode == 0, predicted.stderr
    nets = [load_net(tmp_path / run, device="cpu") for run in runs]
    plain = [net.probabilities(IMAGES) for net in nets]
    flipped = [net.probabilities(IMAGES[..., ::-1].copy()) for net in nets]
    for name, each in (("predictions", plain), ("predictions_tta", plain + flipped)):
        expected = np.mean(each, axis=0)
        header, *rows = read_rows(tmp_path / "out" / f"{name}.csv")
        assert header == ["ID", "Labels"] and [row[0] for row in rows] == [*map(str, ids)]
        sure = np.ptp(np.sort(expected)[:, -2:], axis=1) > 1e-5  # no tie
        guesses = np.array([int(row[1]) for row in rows])
        np.testing.assert_array_equal(guesses[sure], expected.argmax(1)[sure])
    members = json.loads((tmp_path / "out/report.json").read_text())["members"]
    alone = [read_result(tmp_path / run).test_accuracy for run in runs]
    assert [member["accuracy"] for member in members] == pytest.approx(alone)
