"""The benchmark of pruners: its replay against curves whose outcome is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import ROOT
from optuna.pruners import NopPruner, ThresholdPruner

sys.path.insert(0, str(ROOT / "benchmarks"))
import pruning

pytestmark = pytest.mark.engines  # a benchmark, whole


def test_a_replay_ends_trials_where_the_pruner_does() -> None:
    curves = np.array([[0.9, 0.9, 0.9], [0.9, 0.1, 0.9], [0.1, 0.9, 0.9], [0.9, 0.9, 0.1]])
    order = np.arange(4)
    assert pruning.replay(curves, NopPruner(), order).tolist() == [3, 3, 3, 3]
    assert pruning.replay(curves, ThresholdPruner(lower=0.5), order).tolist() == [3, 2, 1, 3]


def test_the_stored_curves_are_whole_and_the_default_pruner_spares_their_winner() -> None:
    curves = pruning.read_curves(pruning.STORED)
    assert curves.shape == (60, 30) and np.all((curves > 0) & (curves < 1))
    assert np.array_equal(pruning.fade(curves, 5.0, 0)[:, -1], curves[:, -1])
    saved, _, _, winner, *_ = pruning.measure(curves, pruning.pruners(30)["asha"], 3).split()
    assert 35 < float(saved.rstrip("%")) < 55
    assert winner == "0.0%"
