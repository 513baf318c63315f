"""What the runs of a confirmation say: intervals, tests, and what they cannot tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from resnet_sweep.records.confirmation import Candidate, ConfirmationRun, Plan
from resnet_sweep.reporting.all_pairs import games_howell
from resnet_sweep.reporting.statistics import (
    SIGNIFICANCE,
    Comparison,
    Interval,
    Noise,
    mean_interval,
    pooled_noise,
    t_quantile,
)


@dataclass(frozen=True)
class Seeds:
    """The accuracies of one configuration in one stage.

    Args:
        values: of the runs that completed.
        num_failed: runs that did not, for whatever reason.
    """

    label: str
    values: list[float]
    num_failed: int

    @property
    def interval(self) -> Interval:
        return mean_interval(self.values)


@dataclass(frozen=True)
class Rival:
    """A candidate on the fresh split.

    Args:
        comparison: the best minus this one, where all pairs are tested; null: too few seeds, or
            the best.
        is_candidate: whether it can be chosen: none of its runs failed, unless all have such.
        is_tied: it cannot be told apart from the best, or is the best.
    """

    candidate: Candidate
    seeds: Seeds
    comparison: Comparison | None
    is_candidate: bool
    is_tied: bool


@dataclass(frozen=True)
class Choice:
    """The order on the fresh split, best first.

    Args:
        noise: between seeds, pooled over all of them.
        num_compared: configurations with two seeds, any pair of which the test may compare.
    """

    rivals: list[Rival]
    noise: Noise
    num_compared: int

    @property
    def chosen(self) -> Rival:
        return self.rivals[0]

    @property
    def tied(self) -> list[Rival]:
        return [rival for rival in self.rivals if rival.is_tied]

    @property
    def smallest(self) -> Rival:
        """The tied net with the fewest parameters; of equal ones, the better."""
        return min(self.tied, key=lambda rival: rival.candidate.num_params)


@dataclass(frozen=True)
class OverPromise:
    """What the sweep promised against what fresh seeds gave on the same split.

    Args:
        difference: promised minus mean; low, high: its 95% t interval over the fresh seeds.
    """

    candidate: Candidate
    seeds: Seeds
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanOverPromise:
    """The mean over configurations, with its 95% t interval over the fresh seeds.

    Args:
        sd: of one seed, pooled over configurations.
    """

    mean: float
    sd: float
    num_configurations: int
    low: float
    high: float


@dataclass(frozen=True)
class Tested:
    """The test set, read once by each run.

    Args:
        comparison: the chosen one minus the baseline; null: there is none, or too few runs.
    """

    chosen: Seeds
    baseline: Seeds | None
    comparison: Comparison | None
    noise: Noise


@dataclass(frozen=True)
class Findings:
    """Everything that a confirmation reports."""

    plan: Plan
    runs: list[ConfirmationRun]
    choice: Choice
    over_promises: list[OverPromise]
    mean_over_promise: MeanOverPromise
    test: Tested

    @property
    def failed(self) -> list[ConfirmationRun]:
        return [run for run in self.runs if run.state != "completed"]


def gather(runs: list[ConfirmationRun], stage: str, label: str) -> Seeds:
    """Return what one configuration gave in one stage."""
    own = [run for run in runs if run.stage == stage and run.configuration == label]
    values = [run.accuracy for run in own if run.accuracy is not None]
    return Seeds(label, values, len(own) - len(values))


def choose(plan: Plan, runs: list[ConfirmationRun]) -> Choice:
    """Order the candidates by mean validation accuracy on the fresh split.

    Args:
        runs: of which at least one has completed there.
    """
    groups = [(c, gather(runs, "choose", c.label)) for c in plan.candidates]
    able = {c.trial for c, seeds in groups if seeds.values and not seeds.num_failed}
    able = able or {c.trial for c, seeds in groups if seeds.values}
    assert able
    groups.sort(key=lambda group: _rank(group, able))
    best = groups[0][1]
    num_compared = sum(len(seeds.values) > 1 for _, seeds in groups)
    rivals = [_rival(best, group, num_compared, able) for group in groups]
    noise = pooled_noise([seeds.values for _, seeds in groups if seeds.values])
    return Choice(rivals, noise, num_compared)


def _rival(best: Seeds, group: tuple[Candidate, Seeds], num_compared: int, able: set[int]) -> Rival:
    candidate, seeds = group
    comparison = None if seeds is best else _compare(best, seeds, num_compared)
    is_candidate = candidate.trial in able
    is_behind = comparison is not None and comparison.p_value < SIGNIFICANCE
    return Rival(candidate, seeds, comparison, is_candidate, is_candidate and not is_behind)


def _rank(group: tuple[Candidate, Seeds], able: set[int]) -> tuple[bool, float, int]:
    candidate, seeds = group
    mean = seeds.interval.mean
    last = math.inf if math.isnan(mean) else -mean
    return candidate.trial not in able, last, candidate.num_params


def _compare(first: Seeds, second: Seeds, num_groups: int = 2) -> Comparison | None:
    if min(len(first.values), len(second.values)) < 2:
        return None
    return games_howell(np.array(first.values), np.array(second.values), num_groups)


def over_promises(plan: Plan, runs: list[ConfirmationRun]) -> list[OverPromise]:
    """Compare the sweep's values with fresh seeds on the sweep's own split."""
    found = []
    for candidate in plan.candidates[: len(plan.over_promise_seeds)]:
        seeds = gather(runs, "over_promise", candidate.label)
        fresh, promised = seeds.interval, candidate.promised
        found.append(
            OverPromise(
                candidate,
                seeds,
                promised - fresh.mean,
                promised - fresh.high,
                promised - fresh.low,
            )
        )
    return found


def mean_over_promise(found: list[OverPromise]) -> MeanOverPromise:
    """Return the mean of those that were measured; NaN where it is unknown."""
    measured = [each for each in found if each.seeds.values]
    if not measured:
        return MeanOverPromise(math.nan, math.nan, 0, math.nan, math.nan)
    mean = float(np.mean([each.difference for each in measured]))
    noise = pooled_noise([each.seeds.values for each in measured])
    if noise.degrees == 0:
        return MeanOverPromise(mean, math.nan, len(measured), math.nan, math.nan)
    share = math.sqrt(sum(1 / len(each.seeds.values) for each in measured)) / len(measured)
    half = t_quantile(noise.degrees) * noise.sd * share
    return MeanOverPromise(mean, noise.sd, len(measured), mean - half, mean + half)


def evaluate_test(plan: Plan, runs: list[ConfirmationRun], chosen: str) -> Tested:
    """Compare the chosen configuration with the baseline on the test set."""
    own = gather(runs, "test", chosen)
    name = plan.questions["baseline"]
    other = None if name is None else gather(runs, "test", str(name))
    if other is not None and not (other.values or other.num_failed):
        other = None  # the chosen one is the baseline
    comparison = None if other is None else _compare(own, other)
    groups = [seeds.values for seeds in (own, other) if seeds is not None and seeds.values]
    return Tested(own, other, comparison, pooled_noise(groups))
