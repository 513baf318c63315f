"""A sweep's price before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, quantiles

from resnet_sweep.search.composer import Composer
from resnet_sweep.search.forecast import draw_proposals, time_epochs
from resnet_sweep.search.proposal import Proposal, first_config
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.step_timing import StepTimer
from resnet_sweep.system.console import duration

DRAWS = 1000
TIMED_NETS = 5
REASONS = {
    "over_budget": "over model.max_params",
    "over_multiply_adds": "over model.max_multiply_adds",
    "unbuildable": "cannot be built",
}


def dry_run(
    space: SearchSpace,
    composer: Composer,
    n_trials: int,
    draws: int = DRAWS,
    at_once: int = 1,
    threads: int | None = None,
) -> str:
    """Return a report: what proposals cost, how many are turned away, hours for n_trials.

    Nothing is stored.

    Args:
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
    lengths = [p.config.train.epochs for p in proposals if p.verdict.accepted and p.config]
    epochs, at_once = fmean(lengths), at_once if device == "cpu" else 1
    hours = duration(n_trials * epochs * fmean(seconds) / at_once)
    side_by_side = f", {at_once} at once" if at_once > 1 else ""
    return "\n".join(
        [
            f"{draws:,} proposals, drawn uniformly from {len(space.reachable())} parameters",
            *_shares(proposals),
            *_distribution(proposals),
            f"an epoch of {TIMED_NETS} accepted nets on this {device}, small to large: "
            + ", ".join(f"{each:.3g} s" for each in seconds),
            f"estimate: {hours} for {n_trials} trials "
            f"of {epochs:.4g} epochs, all on this device{side_by_side} and none pruned",
        ]
    )


def _shares(proposals: Sequence[Proposal]) -> list[str]:
    counts = Counter(proposal.verdict.reason for proposal in proposals)
    lines = [("accepted", counts[None]), *((text, counts[key]) for key, text in REASONS.items())]
    return [f"  {text}: {count / len(proposals):.1%}" for text, count in lines]


def _distribution(proposals: Sequence[Proposal]) -> list[str]:
    """Return deciles of parameters (all that can be built) and of multiply-adds (accepted)."""
    params = [p.verdict.num_params for p in proposals if p.verdict.num_params is not None]
    work = [p.verdict.multiply_adds or 0 for p in proposals if p.verdict.accepted]
    return [
        f"  parameters, all: {_deciles(params)}",
        f"  multiply-adds, accepted: {_deciles(work)}",
    ]


def _deciles(counts: list[int]) -> str:
    if len(counts) < 2:
        return ", ".join(f"{count:,}" for count in counts) or "none"
    cuts = quantiles(counts, n=10, method="inclusive")
    marks = [("least", min(counts)), ("10%", cuts[0]), ("half", cuts[4]), ("90%", cuts[8])]
    return ", ".join(f"{name} {value:,.0f}" for name, value in [*marks, ("most", max(counts))])
