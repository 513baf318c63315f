"""An exponential moving average of the weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class AveragedWeights:
    """A copy of a model whose floating-point state follows the model's.

    Polyak and Juditsky 1992; as torch.optim.swa_utils.AveragedModel with buffers, in one
    multi-tensor kernel. The running statistics of normalisation layers are averaged as well.

    Args:
        half_life_steps: steps after which a weight's share has halved. In the first steps the
            average forgets faster, (1 + t) / (10 + t), so that it leaves the random start.
    """

    def __init__(self, model: nn.Module, half_life_steps: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.target_decay: float = 0.5 ** (1 / half_life_steps)
        self._averages = _floating_state(self.model)
        self._sources = _floating_state(model)
        self.weight = torch.zeros((), device=self._averages[0].device)

    def decay(self, step: int) -> float:
        return min(self.target_decay, (1 + step) / (10 + step))

    def set_step(self, step: int) -> None:
        """Set the weight of the next update; in place, as a CUDA graph reads it there."""
        self.weight.fill_(1 - self.decay(step))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's present weights."""
        # Not _foreach_lerp_: it would read the weight back from the device.
        change = torch._foreach_sub(self._sources, self._averages)
        torch._foreach_mul_(change, self.weight)
        torch._foreach_add_(self._averages, change)


def _floating_state(model: nn.Module) -> list[torch.Tensor]:
    # A tensor that several layers share stands in the state once for each.
    unique = {value.data_ptr(): value for value in model.state_dict().values()}
    return [value for value in unique.values() if value.is_floating_point()]
