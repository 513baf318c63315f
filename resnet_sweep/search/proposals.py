"""A draw and its verdict: most that are over budget are turned away without a configuration.

Free of torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.samplers import RandomSampler

from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError
from resnet_sweep.model.budget import measure_cost, resnet_cost
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.judge import UNBUILDABLE, Verdict, compare_with_budget
from resnet_sweep.search.space import EPOCHS, SearchSpace, extremes
from resnet_sweep.search.space_parsing import to_value

MOST_TRIES = 100


@dataclass(frozen=True)
class DataShape:
    """What a net has to fit.

    Args:
        fingerprint: of the data; null: they have not been read.
    """

    num_classes: int
    image_size: int
    fingerprint: str | None = None


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


def base_config(space: SearchSpace, composer: Composer) -> Config:
    """Return the configuration without any draw but the longest length, or the first with one.

    Where only the widths are drawn, model.blocks=[1,1] has none without a draw.

    Raises:
        UserError: none can be built.
    """
    try:
        return composer.config(_longest(space), None)
    except UserError:
        return first_config(space, composer)


def _longest(space: SearchSpace) -> dict[str, Any]:
    swept = (p for p in space.parameters if p.key == EPOCHS)
    return {p.key: max(map(to_value, extremes(p.distribution))) for p in swept}


def first_config(space: SearchSpace, composer: Composer) -> Config:
    """Return a proposal that can be built; without a draw many a configuration has no widths.

    Raises:
        UserError: none of many can be built.
    """
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(MOST_TRIES):
        try:
            return composer.config(space.suggest(study.ask()), None)
        except UserError as error:
            reason = error
    raise UserError(f"search space: none of {MOST_TRIES} proposals can be built: {reason}")


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
        return judged(composer.config(assignments, seed), shape)
    except UserError as error:
        return Proposal(None, UNBUILDABLE, str(error))


def judged(config: Config, shape: DataShape) -> Proposal:
    """Return a configuration with its verdict, and why it cannot be built where that is so."""
    try:
        cost = measure_cost(config, shape.num_classes, shape.image_size)
    except UserError as error:
        return Proposal(None, UNBUILDABLE, str(error))
    return Proposal(config, compare_with_budget(cost, config.model))


def none_fits(proposals: Sequence[Proposal]) -> UserError:
    """Return what to say where no proposal is accepted."""
    sizes = [p.verdict.num_params for p in proposals if p.verdict.num_params is not None]
    reasons = [proposal.error for proposal in proposals if proposal.error]
    unbuildable = f"none can be built{f': {reasons[-1]}' if reasons else ''}"
    least = f"the smallest had {min(sizes):,} parameters" if sizes else unbuildable
    return UserError(f"search space: none of {len(proposals)} random nets fits its budget; {least}")


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
