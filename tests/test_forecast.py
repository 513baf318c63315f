"""Dry runs, step timing and planning by the hour."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import CustomModelConfig
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_building import build_space
from resnet_sweep.sweep import forecast, step_timing
from resnet_sweep.sweep.forecast import (
    FEWEST_EPOCHS,
    Proposal,
    divide,
    divide_hours,
    draw_proposals,
    dry_run,
    time_epochs,
)
from resnet_sweep.sweep.step_timing import StepTimer, SweepData
from resnet_sweep.system.console import duration

FACTS = SweepData(10, 32, train_images=45000, val_images=5000, device="cpu")
SPACE = {"parameters": {"model.base_width": "range(4, 65, 4)"}}
FIXED = [
    "data=digits",
    "data.train_subset=200",
    "model.blocks=[1,1]",
    "model.strides=[2,2]",
    "train.epochs=2",
    "train.batch_size=64",
    "train.device=cpu",
]


def searched(*overrides: str) -> tuple[SearchSpace, Composer]:
    space = build_space(SPACE, [*FIXED, *overrides])
    return space, Composer(conf_dir(), space.fixed_overrides)


class FakeTimer:
    """Takes a microsecond for each parameter of the width."""

    facts = FACTS

    @classmethod
    def patched(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let a dry run start no process that times steps."""
        monkeypatch.setattr(forecast, "StepTimer", lambda *_: nullcontext(cls()))

    def seconds_per_image(self, config: Config) -> float:
        return float(vars(config.model)["base_width"]) * 1e-6


@pytest.mark.slow
def test_a_dry_run_names_shares_counts_and_hours() -> None:
    report = dry_run(*searched("model.max_params=20000"), n_trials=10, draws=80)
    accepted, over = (float(re.findall(rf"{name}: ([\d.]+)%", report)[0]) for name in _SHARES)
    assert accepted + over == pytest.approx(100, abs=0.2)
    assert 0 < over < 100
    assert "parameters, all: least 1," in report
    assert re.search(r"estimate: [\d.]+ \w+ for 10 trials of 2 epochs", report)
    seconds = [float(each) for each in re.findall(r"([\d.]+) s[,\n]", report)]
    assert len(seconds) == 5
    assert all(0 < each < 60 for each in seconds)


_SHARES = ("accepted", "over model.max_params")


def test_a_space_without_any_fitting_net_names_the_smallest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FakeTimer.patched(monkeypatch)
    with pytest.raises(UserError, match=r"none of 30 random nets.*the smallest had 1,\d\d\d para"):
        dry_run(*searched("model.max_params=100"), n_trials=10, draws=30)


@pytest.mark.slow
def test_missing_data_end_a_dry_run_in_one_line() -> None:
    space, composer = searched("data=arrays", "data.root=nowhere")
    with pytest.raises(UserError, match="nowhere"):
        dry_run(space, composer, n_trials=10, draws=5)


@pytest.mark.slow
def test_the_timer_knows_the_data_and_times_steps() -> None:
    config = searched()[1].config({"model.base_width": 8}, None)
    with StepTimer(config) as timer:
        assert timer.facts == SweepData(10, 32, 200, 287, "cpu")
        assert 0 < timer.seconds_per_image(config) < 1


@pytest.mark.slow
def test_a_network_that_prints_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from torch import nn\n\ndef net(num_classes):\n    print('building')\n"
    text += "    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))\n"
    (tmp_path / "printing_net.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    config = searched()[1].config({"model.base_width": 8}, None)
    config.model = CustomModelConfig(target="printing_net.net")
    with StepTimer(config) as timer:
        assert timer.seconds_per_image(config) > 0


def test_steps_are_timed_with_the_threads_of_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    config = searched("train.num_threads=3")[1].config({"model.base_width": 4}, None)
    before, counts = torch.get_num_threads(), []

    def count(*_: object) -> Any:
        counts.append(torch.get_num_threads())
        raise UserError("enough")

    monkeypatch.setattr("resnet_sweep.training.loop.build_step", count)
    try:
        with pytest.raises(UserError, match="enough"):
            step_timing._time_steps(config)
    finally:
        torch.set_num_threads(before)
    assert counts == [3]


def test_a_trial_without_threads_of_its_own_is_timed_with_a_worker_s_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[str] = []

    def start(*_: object, env: dict[str, str], **__: object) -> None:
        given.append(env["OMP_NUM_THREADS"])
        raise UserError("enough")

    monkeypatch.setattr(step_timing.subprocess, "Popen", start)
    with pytest.raises(UserError, match="enough"):
        dry_run(*searched(), n_trials=4, draws=5, at_once=4, threads=2)
    assert given == ["2"]


def test_trials_side_by_side_share_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeTimer.patched(monkeypatch)
    monkeypatch.setattr(forecast, "duration", str)
    alone, beside = (
        float(re.findall(r"estimate: ([\d.]+) for", dry_run(*searched(), 10, 10, at_once=n))[0])
        for n in (1, 2)
    )
    assert alone == pytest.approx(2 * beside)


def test_an_estimate_counts_what_a_trial_trains_at_its_rungs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FakeTimer.patched(monkeypatch)
    monkeypatch.setattr(forecast, "duration", str)
    plain, with_rungs = (
        float(re.findall(r"estimate: ([\d.]+) for", dry_run(*searched(), 10, 10, rungs=each))[0])
        for each in ((), (1,))
    )
    assert with_rungs == pytest.approx(1.5 * plain)  # two epochs, and one before


def test_timed_nets_lie_evenly_between_the_smallest_and_the_largest() -> None:
    space, composer = searched()
    proposals = draw_proposals(space, composer, FACTS, 60)
    timer: Any = FakeTimer()
    seconds = time_epochs(proposals, timer, 5)
    images = 45000 + 5000 / 3
    widths = sorted(
        vars(p.config.model)["base_width"] for p in proposals if isinstance(p, Proposal)
    )
    expected = [widths[i] * 1e-6 * images for i in (6, 18, 30, 42, 54)]
    assert seconds == pytest.approx(expected)


def test_proposals_are_the_same_each_time() -> None:
    space, composer = searched()
    first, second = (draw_proposals(space, composer, FACTS, 10) for _ in range(2))
    assert first == second
    assert all(p.num_params for p in first)


@pytest.mark.parametrize("trial_epochs", [1, 12, 300, 900, 2999, 3000, 12000, 1e6])
def test_a_plan_uses_what_it_has_and_no_more(trial_epochs: float) -> None:
    n_trials, epochs = divide(trial_epochs)
    assert n_trials >= 1
    assert epochs >= FEWEST_EPOCHS
    if trial_epochs >= 300:
        assert 0.9 * trial_epochs <= n_trials * epochs <= trial_epochs


@pytest.mark.parametrize("rungs", [[], [3, 6], [10]])
def test_the_smaller_sweep_fits_the_hours_with_its_rungs(rungs: list[int]) -> None:
    """Of 30 trials of ten epochs, or more where a rung is as long."""
    plan = divide_hours(2000.0, 48_000.0, FACTS, rungs=rungs)
    images, epochs, trials = (int(each.partition("=")[2]) for each in plan.smaller)
    evaluated = FACTS.val_images / 3
    seconds = trials * (epochs + sum(rungs)) * (images + evaluated)
    seconds *= 48_000.0 / (FACTS.train_images + evaluated)
    assert epochs > max(rungs, default=0)
    assert 0.95 * 2000 * 3600 < seconds <= 2000 * 3600


def test_the_usual_sweep_is_the_measure() -> None:
    assert divide(3000) == (100, 30)
    assert divide(900) == (30, 30)
    assert divide(12000) == (200, 60)


def test_a_plan_counts_what_a_trial_trains_at_its_rungs() -> None:
    assert divide(3000, epochs=30, before=30) == (50, 30)
    assert divide(3000, n_trials=50, before=30) == (50, 30)
    assert divide_hours(1.0, 1.0, FACTS, epochs=30, rungs=[10, 20]).n_trials == 60


def test_a_dry_run_of_swept_lengths_takes_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeTimer.patched(monkeypatch)
    report = dry_run(*searched("train.epochs=choice(10,30)"), n_trials=10, draws=40)
    mean = float(re.findall(r"for 10 trials of ([\d.]+) epochs", report)[0])
    assert 14 < mean < 26


def test_a_plan_on_a_slow_device_names_a_subset_that_fits() -> None:
    plan = divide_hours(4.0, 500.0, FACTS)
    assert "100 trials of 30 epochs would take 17.4 days here" in plan.text
    subset = int(plan.smaller[0].removeprefix("data.train_subset="))
    seconds_per_image = 500 / (45000 + 5000 / 3)
    assert 300 * (subset + 5000 / 3) * seconds_per_image == pytest.approx(14400, rel=0.01)


def test_a_smaller_sweep_has_what_was_fixed() -> None:
    assert divide_hours(4.0, 50.0, FACTS, n_trials=20).smaller == ()
    plan = divide_hours(4.0, 500.0, FACTS, n_trials=20)
    assert "hydra.sweeper.n_trials=20" in plan.smaller
    subset = int(plan.smaller[0].removeprefix("data.train_subset="))
    epochs = int(plan.smaller[1].removeprefix("train.epochs="))
    seconds_per_image = 500 / (45000 + 5000 / 3)
    assert 20 * epochs * (subset + 5000 / 3) * seconds_per_image == pytest.approx(14400, rel=0.01)


def test_a_plan_that_fits_says_nothing_more() -> None:
    plan = divide_hours(8.0, 2.0, FACTS)
    assert (plan.n_trials * plan.epochs) * 2.0 <= 8 * 3600
    assert "\n" not in plan.text and plan.smaller == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30, "30.0 s"), (600, "10.0 min"), (9000, "2.5 h"), (1e6, "11.6 days")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
