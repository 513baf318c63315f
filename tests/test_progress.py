"""How far a long epoch is, in the logs of a run and of a sweep's trial."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from stub_sweep import make_sweep
from stub_worker import work_here

from resnet_sweep.records.run_folder import LOG
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.training.progress import SAY_SECONDS, RunProgress
from resnet_sweep.training.run import run_training

TINY = [
    "data.train_subset=200",
    "data.val_size=0.2",
    "train.batch_size=16",
    "train.device=cpu",
    "tracker=none",
]


class Clock:
    """Time that passes by itself only where it is asked for.

    Args:
        step: seconds from one look at it to the next.
    """

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 0.0, step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


def test_a_long_epoch_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    monkeypatch.setattr("resnet_sweep.training.progress.time", clock)
    progress = RunProgress(
        steps_per_epoch=100, batch_size=50, epochs=2, done_epochs=0, done_steps=0, show=False
    )
    with caplog.at_level(logging.INFO, logger="resnet_sweep"), progress:
        clock.now += 500.0  # before the first step
        progress.begin_epoch()
        for _ in range(100):
            clock.now += 0.5
            progress.end_step()
    assert [line.split("step ")[1] for line in caplog.messages] == [
        "40/100  100 images/s  80.0 s left",
        "80/100  100 images/s  60.0 s left",
    ]


def test_a_short_epoch_says_nothing_on_its_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    monkeypatch.setattr("resnet_sweep.training.progress.time", clock)
    progress = RunProgress(10, 50, 2, done_epochs=0, done_steps=0, show=False)
    with caplog.at_level(logging.INFO, logger="resnet_sweep"), progress:
        for _ in range(2):
            progress.begin_epoch()
            for _ in range(10):
                clock.now += 1.9
                progress.end_step()
            progress._step = 0
    assert caplog.messages == []


@pytest.mark.slow
@pytest.mark.parametrize(("step", "lines"), [(SAY_SECONDS / 4, 6), (SAY_SECONDS / 100, 0)])
def test_the_log_of_a_trial_says_how_far_a_long_epoch_is(
    step: float, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_sweep.training.progress.time", Clock(step))
    make_sweep(tmp_path, "optimizer.lr=interval(0.01,0.1)", *TINY, n_trials=1)
    assert work_here(tmp_path, run_training=run_training).kind == "done"
    text = (tmp_path / RUNS / "0" / LOG).read_text()
    assert len(re.findall(r"epoch \d/3  train loss", text)) == 3
    found = re.findall(r"epoch (\d)/3  step (\d+)/12  ([\d.,]+) images/s  .* left", text)
    assert [(epoch, at) for epoch, at, _ in found] == [
        (str(epoch), str(at)) for epoch in (1, 2, 3) for at in (4, 8)
    ][:lines]
    assert {float(speed) for *_, speed in found} <= {round(16 / step)}  # images
