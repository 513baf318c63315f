"""How a rejected proposal is told to the sampler.

By default as FAIL, from which samplers learn nothing: a rejection costs milliseconds, and good
nets sit at the edge of the budget, where a sampler that shies away would miss them. In a long
row, where whole regions do not fit, one in ten is told as a broken constraint, which TPE reads.
benchmarks/rejection_telling.py compares the ways.
"""

from __future__ import annotations

from optuna.study import Study
from optuna.trial import Trial, TrialState

TOLD_AS_CONSTRAINT = 10


def tell_rejection(study: Study, trial: Trial, excess: float | None, nth_in_a_row: int) -> None:
    """End a trial that is not worth training.

    Every parameter must have been suggested: a pruned trial without some of them would shrink
    the space in which TPE models all parameters together.

    Args:
        excess: how far it is over its limit, as a fraction of it; None: the net cannot be built.
        nth_in_a_row: 1 for the first rejection after a trial that was trained.
    """
    if excess is None or nth_in_a_row % TOLD_AS_CONSTRAINT:
        study.tell(trial, state=TrialState.FAIL)
        return
    trial.set_constraint("budget", excess)
    study.tell(trial, state=TrialState.PRUNED)
