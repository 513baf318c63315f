"""Whether a proposal is worth a worker's time, decided without data, device or torch."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import ModelConfig
from resnet_sweep.model.budget import Cost, measure_cost


@dataclass(frozen=True)
class Verdict:
    """What is to become of a proposal.

    Args:
        reason: `over_budget` (parameters), `over_multiply_adds`, `unbuildable`, or None.
        num_params, multiply_adds: None where it cannot be built.
        excess: how far it is over its limit, as a fraction of the limit.
    """

    accepted: bool
    reason: str | None
    num_params: int | None
    multiply_adds: int | None
    excess: float | None = None


UNBUILDABLE = Verdict(False, "unbuildable", None, None)


def judge(config: Config, num_classes: int, image_size: int) -> Verdict:
    """Compare a network with its budget; a proposal that cannot be built is no error."""
    try:
        cost = measure_cost(config, num_classes, image_size)
    except UserError:
        return UNBUILDABLE
    return compare_with_budget(cost, config.model)


def compare_with_budget(cost: Cost, budget: ModelConfig) -> Verdict:
    reason, excess, cap = None, None, budget.max_multiply_adds
    if cost.num_params > budget.max_params:
        reason, excess = "over_budget", cost.num_params / budget.max_params - 1
    elif cap is not None and cost.multiply_adds > cap:
        reason, excess = "over_multiply_adds", cost.multiply_adds / cap - 1
    return Verdict(reason is None, reason, cost.num_params, cost.multiply_adds, excess)
