"""What the tests of prediction start from: runs, a labelled set, the command in this process."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_tiny_config

from resnet_sweep.data.device import place_data
from resnet_sweep.predict import main
from resnet_sweep.training.run import run_training

IMAGES, LABELS = (
    part.numpy()
    for part in vars(place_data(make_tiny_config().data, torch.device("cpu"), True).test).values()
)


def make_runs(folder: Path) -> Path:
    """Return a folder with two runs, a and b, and the digits' test part with labels and without."""
    for seed, name in enumerate("ab"):
        config = make_tiny_config()
        config.seed = seed
        run_training(config, folder / name)
    np.savez(folder / "digits.npz", images=IMAGES, labels=LABELS)
    np.save(folder / "unlabelled.npy", IMAGES[:20])
    return folder


def predict_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process and return its exit status."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(sys, "argv", ["predict", "device=cpu", *arguments])
    try:
        main()
    except SystemExit as stopped:
        assert isinstance(stopped.code, int)
        return stopped.code
    return 0


def predict_digits(monkeypatch: pytest.MonkeyPatch, runs: Path, *arguments: str) -> Path:
    """Predict the labelled digits into `out`, which is returned."""
    assert predict_here(monkeypatch, f"input={runs / 'digits.npz'}", "output=out", *arguments) == 0
    return Path("out")


def read_rows(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))
