"""A draw and its verdict: most that are over budget are turned away without a configuration.

Free of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resnet_sweep.config import Config
from resnet_sweep.errors import UserError
from resnet_sweep.model.budget import resnet_cost
from resnet_sweep.sweep.composer import Composer
from resnet_sweep.sweep.judge import UNBUILDABLE, Verdict, compare_with_budget, judge


@dataclass(frozen=True)
class DataShape:
    """What a net has to fit."""

    num_classes: int
    image_size: int


@dataclass(frozen=True)
class Proposal:
    """A draw.

    Args:
        config: None where it is over budget or has none.
        error: why it has none.
    """

    config: Config | None
    verdict: Verdict
    error: str | None = None


def propose(
    composer: Composer, assignments: Mapping[str, Any], seed: int | None, shape: DataShape
) -> Proposal:
    """Judge a draw; one that cannot be built is no error.

    Args:
        assignments: values by override key, as SearchSpace.suggest gives them.
    """
    verdict = _over_budget(composer, assignments, shape)
    if verdict is not None:
        return Proposal(None, verdict)
    try:
        config = composer.config(assignments, seed)
    except UserError as error:
        return Proposal(None, UNBUILDABLE, str(error))
    return Proposal(config, judge(config, shape.num_classes, shape.image_size))


def _over_budget(
    composer: Composer, assignments: Mapping[str, Any], shape: DataShape
) -> Verdict | None:
    """Return the verdict on a net that is counted by its model alone and too large."""
    try:
        model = composer.resnet(assignments)
        if model is None:
            return None
        cost = resnet_cost(model, shape.num_classes, shape.image_size)
    except (TypeError, ValueError):  # left to the whole configuration, which says why
        return None
    verdict = compare_with_budget(cost, model)
    return None if verdict.accepted else verdict
