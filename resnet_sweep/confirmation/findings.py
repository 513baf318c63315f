"""What the runs of a confirmation say: intervals, tests, and what they cannot tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from resnet_sweep.records.confirmation import Candidate, Plan
from resnet_sweep.records.sweep_folder import EndedRun
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

    def verdict(self, rival: Rival) -> str:
        if rival is self.chosen:
            return "chosen"
        if rival.is_tied:
            return "cannot be told apart"
        return "behind" if rival.is_candidate else "runs failed"


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

    @property
    def groups(self) -> list[Seeds]:
        return [self.chosen] if self.baseline is None else [self.chosen, self.baseline]


@dataclass(frozen=True)
class Findings:
    """Everything that a confirmation reports.

    Args:
        runs: of each stage; in the test stage their accuracy is that on the test set.
    """

    plan: Plan
    runs: dict[str, list[EndedRun]]
    choice: Choice
    over_promises: list[OverPromise]
    mean_over_promise: MeanOverPromise
    test: Tested

    @property
    def failed(self) -> list[EndedRun]:
        return [run for own in self.runs.values() for run in own if run.state != "completed"]


def conclude(plan: Plan, runs: dict[str, list[EndedRun]]) -> Findings:
    """Return what the runs of all stages say."""
    choice = choose(plan, runs["choose"])
    promises = over_promises(plan, runs["over_promise"])
    test = evaluate_test(plan, runs["test"], choice.chosen.candidate.label)
    return Findings(plan, runs, choice, promises, mean_over_promise(promises), test)


def _gather(runs: list[EndedRun], label: str) -> Seeds:
    """Return what one configuration gave in a stage."""
    own = [run for run in runs if run.configuration == label]
    values = [run.accuracy for run in own if run.accuracy is not None]
    return Seeds(label, values, len(own) - len(values))


def choose(plan: Plan, runs: list[EndedRun]) -> Choice:
    """Order the candidates by mean validation accuracy on the fresh split.

    Args:
        runs: on that split, of which at least one has completed.
    """
    groups = [(c, _gather(runs, c.label)) for c in plan.candidates]
    able = {c.trial for c, seeds in groups if seeds.values and not seeds.num_failed}
    able = able or {c.trial for c, seeds in groups if seeds.values}
    assert able

    def rank(group: tuple[Candidate, Seeds]) -> tuple[bool, float, int]:
        candidate, seeds = group
        last = -seeds.interval.mean if seeds.values else math.inf
        return candidate.trial not in able, last, candidate.num_params

    groups.sort(key=rank)
    best = groups[0][1]
    num_compared = sum(len(seeds.values) > 1 for _, seeds in groups)
    rivals = []
    for candidate, seeds in groups:
        comparison = None if seeds is best else _compare(best, seeds, num_compared)
        is_candidate = candidate.trial in able
        is_behind = comparison is not None and comparison.p_value < SIGNIFICANCE
        is_tied = is_candidate and not is_behind
        rivals.append(Rival(candidate, seeds, comparison, is_candidate, is_tied))
    noise = pooled_noise([seeds.values for _, seeds in groups if seeds.values])
    return Choice(rivals, noise, num_compared)


def _compare(first: Seeds, second: Seeds, num_groups: int = 2) -> Comparison | None:
    if min(len(first.values), len(second.values)) < 2:
        return None
    return games_howell(np.array(first.values), np.array(second.values), num_groups)


def over_promises(plan: Plan, runs: list[EndedRun]) -> list[OverPromise]:
    """Compare the sweep's values with fresh seeds on the sweep's own split."""
    found = []
    for candidate in plan.candidates[: len(plan.over_promise_seeds)]:
        seeds, promised = _gather(runs, candidate.label), candidate.promised
        fresh = seeds.interval
        low, high = promised - fresh.high, promised - fresh.low
        found.append(OverPromise(candidate, seeds, promised - fresh.mean, low, high))
    return found


def mean_over_promise(found: list[OverPromise]) -> MeanOverPromise:
    """Return the mean of those that were measured; NaN where it is unknown."""
    measured = [each for each in found if each.seeds.values]
    if not measured:
        return MeanOverPromise(math.nan, math.nan, 0, math.nan, math.nan)
    mean = float(np.mean([each.difference for each in measured]))
    noise = pooled_noise([each.seeds.values for each in measured])
    share = math.sqrt(sum(1 / len(each.seeds.values) for each in measured)) / len(measured)
    quantile = float(t_quantile(noise.degrees)) if noise.is_known else math.nan
    half = quantile * noise.sd * share
    return MeanOverPromise(mean, noise.sd, len(measured), mean - half, mean + half)


def evaluate_test(plan: Plan, runs: list[EndedRun], chosen: str) -> Tested:
    """Compare the chosen configuration with the baseline on the test set."""
    own, other = _gather(runs, chosen), _gather(runs, str(plan.questions["baseline"]))
    noise = pooled_noise([seeds.values for seeds in (own, other) if seeds.values])
    is_there = bool(other.values or other.num_failed)  # else there is none, or it is the chosen one
    return Tested(own, other if is_there else None, _compare(own, other), noise)
