"""Proposals: draws that are worth training, and why the others are not.

Free of torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import optuna
from optuna.samplers import RandomSampler

from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import ModelConfig
from resnet_sweep.model.budget import Cost, measure_cost, resnet_cost
from resnet_sweep.search.composer import Composer
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
    """A configuration that can be built and fits its budget."""

    config: Config
    num_params: int
    multiply_adds: int


@dataclass(frozen=True)
class Rejection:
    """Why a proposal is not trained.

    Args:
        reason: `over_budget` (parameters), `over_multiply_adds`, `unbuildable` or `duplicate`.
        error: what is wrong, where the reason does not say it.
        num_params, multiply_adds: None where it cannot be built.
        excess: how far it is over its limit, as a fraction of the limit.
    """

    reason: str
    error: str | None = None
    num_params: int | None = None
    multiply_adds: int | None = None
    excess: float | None = None

    def to_attribute(self) -> dict[str, Any]:
        """Return what the study keeps with the trial."""
        return {name: value for name, value in asdict(self).items() if name != "excess"}


def propose(
    composer: Composer, assignments: Mapping[str, Any], seed: int | None, shape: DataShape
) -> Proposal | Rejection:
    """Return a draw with its configuration, or why it is not trained.

    A ResNet over budget is rejected by its model alone: its configuration is never composed.

    Args:
        assignments: values by override key, as SearchSpace.suggest gives them.
    """
    try:
        model = composer.resnet(assignments)
        if model is not None:
            cost = resnet_cost(model, shape.num_classes, shape.image_size)
            rejection = _over_budget(cost, model)
            if rejection is not None:
                return rejection
    except (TypeError, ValueError):
        pass  # left to the whole configuration, which says why
    try:
        config = composer.config(assignments, seed)
    except UserError as error:
        return Rejection("unbuildable", str(error))
    return propose_config(config, shape)


def propose_config(config: Config, shape: DataShape) -> Proposal | Rejection:
    """Count a network and compare it with its budget; one that cannot be built is no error."""
    try:
        cost = measure_cost(config, shape.num_classes, shape.image_size)
    except UserError as error:
        return Rejection("unbuildable", str(error))
    proposal = Proposal(config, cost.num_params, cost.multiply_adds)
    return _over_budget(cost, config.model) or proposal


def _over_budget(cost: Cost, budget: ModelConfig) -> Rejection | None:
    cap = budget.max_multiply_adds
    if cost.num_params > budget.max_params:
        reason, excess = "over_budget", cost.num_params / budget.max_params - 1
    elif cap is not None and cost.multiply_adds > cap:
        reason, excess = "over_multiply_adds", cost.multiply_adds / cap - 1
    else:
        return None
    return Rejection(reason, None, cost.num_params, cost.multiply_adds, excess)


def random_draws(space: SearchSpace) -> Iterator[dict[str, Any]]:
    """Draw uniformly and without end, each time the same; nothing is stored."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    while True:
        yield space.suggest(study.ask())


def none_fits(rejections: Sequence[Rejection]) -> UserError:
    """Return what to say where every proposal was rejected."""
    sizes = [each.num_params for each in rejections if each.num_params is not None]
    errors = [each.error for each in rejections if each.error]
    unbuildable = f"none can be built{f': {errors[-1]}' if errors else ''}"
    least = f"the smallest had {min(sizes):,} parameters" if sizes else unbuildable
    return UserError(
        f"search space: none of {len(rejections)} random nets fits its budget; {least}"
    )


def base_config(space: SearchSpace, composer: Composer) -> Config:
    """Return the configuration without any draw but the longest length, or the first with one.

    Where only the widths are drawn, model.blocks=[1,1] has none without a draw.

    Raises:
        UserError: none can be built.
    """
    swept = (p for p in space.parameters if p.key == EPOCHS)
    longest = {p.key: max(map(to_value, extremes(p.distribution))) for p in swept}
    try:
        return composer.config(longest, None)
    except UserError:
        return first_config(space, composer)


def first_config(space: SearchSpace, composer: Composer) -> Config:
    """Return a proposal that can be built; without a draw many a configuration has no widths.

    Raises:
        UserError: none of many can be built.
    """
    for draw in islice(random_draws(space), MOST_TRIES):
        try:
            return composer.config(draw, None)
        except UserError as error:
            reason = error
    raise UserError(f"search space: none of {MOST_TRIES} proposals can be built: {reason}")
