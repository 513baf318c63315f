"""From hours to trials and epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from resnet_sweep.search.composer import Composer
from resnet_sweep.search.dry_run import TIMED_NETS
from resnet_sweep.search.forecast import EVALUATION_SHARE, draw_proposals, time_epochs
from resnet_sweep.search.proposal import first_config
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.step_timing import DataFacts, StepTimer
from resnet_sweep.system.console import duration

DRAWS = 100
# The usual sweep, and the smallest one that is worth its while.
USUAL_TRIALS, USUAL_EPOCHS = 100, 30
FEWEST_TRIALS, FEWEST_EPOCHS = 30, 10
MOST_EPOCHS = 200
MANY_DAYS = 2 * 86400.0
SMALLEST_SUBSET = 1000


@dataclass(frozen=True)
class HoursPlan:
    """What fits into the hours.

    Args:
        epoch_seconds: of an accepted net, on average.
        text: the plan in words.
        smaller: overrides of a sweep that fits, where this one is poor; else none.
    """

    n_trials: int
    epochs: int
    epoch_seconds: float
    text: str
    smaller: tuple[str, ...] = ()


def plan_hours(
    space: SearchSpace,
    composer: Composer,
    hours: float,
    num_gpus: int,
    n_trials: int | None = None,
    epochs: int | None = None,
    rungs: Sequence[int] = (),
    *,
    at_once: int = 1,
    threads: int | None = None,
) -> HoursPlan:
    """Measure a few steps of a few accepted nets and plan trials and epochs.

    Args:
        num_gpus: with a worker each; more workers on one device share its speed.
        n_trials, epochs: what is fixed already: one of them at most.
        rungs: epochs of the shorter trainings that a trial has besides.
        at_once: trials that a CPU trains side by side.
        threads: of each of them, where the configuration does not say.

    Raises:
        UserError: no proposal fits the budget, or data or device cannot be had.
    """
    with StepTimer(first_config(space, composer), threads) as timer:
        proposals = draw_proposals(space, composer, timer.facts, DRAWS)
        epoch_seconds = fmean(time_epochs(proposals, timer, TIMED_NETS))
        devices = {"cuda": max(1, num_gpus), "cpu": at_once}.get(timer.facts.device, 1)
        return make_plan(hours, epoch_seconds, timer.facts, devices, n_trials, epochs, rungs)


def make_plan(
    hours: float,
    epoch_seconds: float,
    facts: DataFacts,
    devices: int = 1,
    n_trials: int | None = None,
    epochs: int | None = None,
    rungs: Sequence[int] = (),
) -> HoursPlan:
    """Divide the epochs that fit between trials and length, unless one of them is given."""
    n_trials, epochs = divide(devices * hours * 3600 / epoch_seconds, n_trials, epochs, sum(rungs))
    several = "workers on this cpu" if facts.device == "cpu" else f"{facts.device} devices"
    where = f"this {facts.device}" if devices == 1 else f"each of {devices} {several}"
    lines = [
        f"plan for {hours:g} hours: {n_trials} trials of {epochs} epochs, "
        f"{epoch_seconds:.3g} s an epoch on {where} (measured over {TIMED_NETS} nets)"
    ]
    smaller: tuple[str, ...] = ()
    usual = USUAL_TRIALS * USUAL_EPOCHS * epoch_seconds / devices
    if usual > MANY_DAYS or n_trials < FEWEST_TRIALS:
        images = subset(devices * hours, epoch_seconds, facts)
        lines.append(
            f"{USUAL_TRIALS} trials of {USUAL_EPOCHS} epochs would take {duration(usual)} here"
        )
        smaller = (
            f"data.train_subset={images}",
            f"train.epochs={FEWEST_EPOCHS}",
            f"hydra.sweeper.n_trials={FEWEST_TRIALS}",
        )
    return HoursPlan(n_trials, epochs, epoch_seconds, "\n".join(lines), smaller)


def divide(
    trial_epochs: float, n_trials: int | None = None, epochs: int | None = None, before: int = 0
) -> tuple[int, int]:
    """Return trials and epochs whose product is at most `trial_epochs`, at least 1 of each.

    Beyond the usual sweep both grow alike; below it the trials become fewer first. What is
    given stays as it is.

    Args:
        before: epochs that each trial trains at its rungs, if it reaches its last training.
    """
    if n_trials is not None:
        return n_trials, min(MOST_EPOCHS, max(1, int(trial_epochs / n_trials) - before))
    if epochs is None:
        growth = (trial_epochs / (USUAL_TRIALS * USUAL_EPOCHS)) ** 0.5
        if growth >= 1:
            epochs = min(MOST_EPOCHS, round(USUAL_EPOCHS * growth))
        else:
            epochs = min(USUAL_EPOCHS, max(FEWEST_EPOCHS, int(trial_epochs / FEWEST_TRIALS)))
    return max(1, int(trial_epochs / (epochs + before))), epochs


def subset(hours: float, epoch_seconds: float, facts: DataFacts) -> int:
    """Return the training images with which the least worthwhile sweep fits the hours."""
    val_share = EVALUATION_SHARE * facts.val_images
    seconds_per_image = epoch_seconds / (facts.train_images + val_share)
    seconds = hours * 3600 / (FEWEST_TRIALS * FEWEST_EPOCHS)
    images = int(seconds / seconds_per_image - val_share)
    smallest = min(SMALLEST_SUBSET, facts.train_images)
    return min(max(images, smallest), facts.train_images)
