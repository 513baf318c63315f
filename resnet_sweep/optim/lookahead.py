"""Lookahead: slow weights that follow the optimizer's fast ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Lookahead:
    """Every k steps the slow weights go part of the way to the fast ones, which start from there.

    Zhang et al. 2019 (arXiv:1907.08610, algorithm 1), around any optimizer, whose moments stay.
    So it is at the end of each epoch too, so that the slow weights are evaluated. Whether a step
    is one of those is a tensor in its place, for a CUDA graph.

    Args:
        steps: k.
        alpha: part of the way.
    """

    def __init__(self, model: nn.Module, steps: int, alpha: float, steps_per_epoch: int) -> None:
        self._steps = steps
        self._alpha = alpha
        self._steps_per_epoch = steps_per_epoch
        self._fast: list[Tensor] = [p.detach() for p in model.parameters() if p.requires_grad]
        self.slow = [p.clone() for p in self._fast]
        self._meets = torch.zeros((), device=self._fast[0].device)

    def meets(self, step: int) -> bool:
        """Whether slow and fast weights are one after this step, counted from 0."""
        return (step + 1) % self._steps == 0 or (step + 1) % self._steps_per_epoch == 0

    def set_step(self, step: int) -> None:
        self._meets.fill_(float(self.meets(step)))

    @torch.no_grad()
    def update(self) -> None:
        """Finish the step; without a meeting every weight stays bit for bit."""
        change = list(torch._foreach_sub(self._fast, self.slow))
        torch._foreach_mul_(change, self._meets * self._alpha)
        torch._foreach_add_(self.slow, change)
        torch._foreach_mul_(self._fast, 1 - self._meets)
        torch._foreach_add_(self._fast, list(torch._foreach_mul(self.slow, self._meets)))

    def load(self, slow: list[Tensor]) -> None:
        for own, given in zip(self.slow, slow, strict=True):
            own.copy_(given)
