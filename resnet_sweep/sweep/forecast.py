"""What a sweep would take: proposals without a study, the dry run's report, plans by the hour.

Free of torch: steps are timed in another process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean, quantiles

from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposals import (
    DataShape,
    Proposal,
    Rejection,
    first_config,
    none_fits,
    propose,
    random_draws,
)
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.sweep.step_timing import StepTimer, SweepData
from resnet_sweep.system.console import duration

# A forward pass is a third of forward and backward.
EVALUATION_SHARE = 1 / 3
DRY_RUN_DRAWS = 1000
TIMED_NETS = 5
SHARES = {
    "accepted": "accepted",
    "over_budget": "over model.max_params",
    "over_multiply_adds": "over model.max_multiply_adds",
    "unbuildable": "cannot be built",
}
PLAN_DRAWS = 100
# The usual sweep, and the smallest one that is worth its while.
USUAL_TRIALS, USUAL_EPOCHS = 100, 30
FEWEST_TRIALS, FEWEST_EPOCHS = 30, 10
MOST_EPOCHS = 200
MANY_DAYS = 2 * 86400.0
SMALLEST_SUBSET = 1000


def draw_proposals(
    space: SearchSpace, composer: Composer, facts: SweepData, count: int
) -> list[Proposal | Rejection]:
    """Draw `count` proposals uniformly and check their budgets; nothing is stored."""
    shape = DataShape(facts.num_classes, facts.image_size)
    return [propose(composer, draw, None, shape) for draw in islice(random_draws(space), count)]


def time_epochs(
    proposals: Sequence[Proposal | Rejection], timer: StepTimer, count: int
) -> list[float]:
    """Return the seconds an epoch takes for `count` accepted nets, small to large.

    They lie at equal distances in the order of multiply-adds, so that their mean is that of
    the accepted nets.

    Raises:
        UserError: no proposal was accepted, or no step of any could be made.
    """
    nets = sorted((p for p in proposals if isinstance(p, Proposal)), key=lambda p: p.multiply_adds)
    if not nets:
        raise none_fits([p for p in proposals if isinstance(p, Rejection)])
    chosen = [nets[(2 * i + 1) * len(nets) // (2 * count)] for i in range(count)]
    images = timer.facts.train_images + EVALUATION_SHARE * timer.facts.val_images
    return [images * timer.seconds_per_image(net.config) for net in chosen]


def dry_run(
    space: SearchSpace,
    composer: Composer,
    n_trials: int,
    draws: int = DRY_RUN_DRAWS,
    rungs: Sequence[int] = (),
    at_once: int = 1,
    threads: int | None = None,
) -> str:
    """Return a report: what proposals cost, how many are turned away, hours for n_trials.

    Nothing is stored.

    Args:
        rungs: epochs of the shorter trainings that a trial has besides.
        at_once: trials that a CPU trains side by side.
        threads: of each of them, where the configuration does not say.

    Raises:
        UserError: no proposal fits the budget, or data or device cannot be had.
    """
    base = first_config(space, composer)
    with StepTimer(base, threads) as timer:
        proposals = draw_proposals(space, composer, timer.facts, draws)
        seconds = time_epochs(proposals, timer, TIMED_NETS)
        device = timer.facts.device
    accepted = [p for p in proposals if isinstance(p, Proposal)]
    counts = Counter(p.reason if isinstance(p, Rejection) else "accepted" for p in proposals)
    params = [p.num_params for p in proposals if p.num_params is not None]  # it can be built
    work = [p.multiply_adds for p in accepted]
    epochs = fmean(p.config.train.epochs for p in accepted)
    at_once = at_once if device == "cpu" else 1
    hours = duration(n_trials * (epochs + sum(rungs)) * fmean(seconds) / at_once)
    before = f" after rungs of {', '.join(map(str, rungs))}" if rungs else ""
    side_by_side = f", {at_once} at once" if at_once > 1 else ""
    return "\n".join(
        [
            f"{draws:,} proposals, drawn uniformly from {len(space.reachable())} parameters",
            *(f"  {text}: {counts[reason] / draws:.1%}" for reason, text in SHARES.items()),
            f"  parameters, all: {_deciles(params)}",
            f"  multiply-adds, accepted: {_deciles(work)}",
            f"an epoch of {TIMED_NETS} accepted nets on this {device}, small to large: "
            + ", ".join(f"{each:.3g} s" for each in seconds),
            f"estimate: {hours} for {n_trials} trials "
            f"of {epochs:.4g} epochs{before}, all on this device{side_by_side} and none pruned",
        ]
    )


def _deciles(counts: list[int]) -> str:
    if len(counts) < 2:
        return ", ".join(f"{count:,}" for count in counts) or "none"
    cuts = quantiles(counts, n=10, method="inclusive")
    marks = [("least", min(counts)), ("10%", cuts[0]), ("half", cuts[4]), ("90%", cuts[8])]
    return ", ".join(f"{name} {value:,.0f}" for name, value in [*marks, ("most", max(counts))])


@dataclass(frozen=True)
class HoursPlan:
    """What fits into the hours.

    Args:
        text: the plan in words.
        smaller: overrides of a sweep that fits, where this one is poor; else none.
    """

    n_trials: int
    epochs: int
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
        proposals = draw_proposals(space, composer, timer.facts, PLAN_DRAWS)
        epoch_seconds = fmean(time_epochs(proposals, timer, TIMED_NETS))
        devices = {"cuda": max(1, num_gpus), "cpu": at_once}.get(timer.facts.device, 1)
        return divide_hours(hours, epoch_seconds, timer.facts, devices, n_trials, epochs, rungs)


def divide_hours(
    hours: float,
    epoch_seconds: float,
    facts: SweepData,
    devices: int = 1,
    n_trials: int | None = None,
    epochs: int | None = None,
    rungs: Sequence[int] = (),
) -> HoursPlan:
    """Divide the epochs that fit between trials and length, unless one of them is given."""
    given_trials, given_epochs = n_trials, epochs
    n_trials, epochs = divide(devices * hours * 3600 / epoch_seconds, n_trials, epochs, sum(rungs))
    several = "workers on this cpu" if facts.device == "cpu" else f"{facts.device} devices"
    where = f"this {facts.device}" if devices == 1 else f"each of {devices} {several}"
    lines = [
        f"plan for {hours:g} hours: {n_trials} trials of {epochs} epochs, "
        f"{epoch_seconds:.3g} s an epoch on {where} (measured over {TIMED_NETS} nets)"
    ]
    smaller: tuple[str, ...] = ()
    usual = USUAL_TRIALS * USUAL_EPOCHS * epoch_seconds / devices
    if usual > MANY_DAYS or (given_trials is None and n_trials < FEWEST_TRIALS):
        # The training images with which so many epochs, of all trials, fit the hours.
        few_epochs = given_epochs or max(FEWEST_EPOCHS, max(rungs, default=0) + 1)
        fewest = (given_trials or FEWEST_TRIALS) * (few_epochs + sum(rungs))
        val_share = EVALUATION_SHARE * facts.val_images
        seconds_per_image = epoch_seconds / (facts.train_images + val_share)
        fitting = int(devices * hours * 3600 / fewest / seconds_per_image - val_share)
        smallest = min(SMALLEST_SUBSET, facts.train_images)
        images = min(max(fitting, smallest), facts.train_images)
        lines.append(
            f"{USUAL_TRIALS} trials of {USUAL_EPOCHS} epochs would take {duration(usual)} here"
        )
        smaller = (
            f"data.train_subset={images}",
            f"train.epochs={few_epochs}",
            f"hydra.sweeper.n_trials={given_trials or FEWEST_TRIALS}",
        )
    return HoursPlan(n_trials, epochs, "\n".join(lines), smaller)


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
