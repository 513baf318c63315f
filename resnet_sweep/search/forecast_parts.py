"""Proposals drawn without a study, and what training them would take.

Free of torch: steps are timed in another process.
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.samplers import RandomSampler

from resnet_sweep.config import Config
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposal import DataShape, Proposal, none_fits, propose
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.step_timing import DataFacts, StepTimer

# A forward pass is a third of forward and backward.
EVALUATION_SHARE = 1 / 3


def draw_proposals(
    space: SearchSpace, composer: Composer, facts: DataFacts, count: int
) -> list[Proposal]:
    """Draw `count` proposals uniformly and judge them; nothing is stored."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    shape = DataShape(facts.num_classes, facts.image_size)
    return [propose(composer, space.suggest(study.ask()), None, shape) for _ in range(count)]


def time_epochs(proposals: Sequence[Proposal], timer: StepTimer, count: int) -> list[float]:
    """Return the seconds an epoch takes for `count` accepted nets, small to large.

    They lie at equal distances in the order of multiply-adds, so that their mean is that of
    the accepted nets.

    Raises:
        UserError: no proposal was accepted, or no step of any could be made.
    """
    nets = _accepted_by_size(proposals)
    if not nets:
        raise none_fits(proposals)
    chosen = [nets[(2 * i + 1) * len(nets) // (2 * count)] for i in range(count)]
    images = timer.facts.train_images + EVALUATION_SHARE * timer.facts.val_images
    return [images * timer.seconds_per_image(config) for config in chosen]


def _accepted_by_size(proposals: Sequence[Proposal]) -> list[Config]:
    sized = [
        (proposal.verdict.multiply_adds or 0, index, proposal.config)
        for index, proposal in enumerate(proposals)
        if proposal.verdict.accepted and proposal.config is not None
    ]
    return [config for _, _, config in sorted(sized, key=lambda entry: entry[:2])]
