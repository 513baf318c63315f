"""Stochastic weight averaging: the equal mean of the weights at the ends of epochs."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class EqualAverage:
    """A copy of a model whose weights are the mean of those seen so far.

    Izmailov et al. 2018 (arXiv:1803.05407); as torch.optim.swa_utils.AveragedModel. Running
    statistics are not averaged: recompute_statistics finds those of the mean.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.count = 0
        self._source = model

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's present weights."""
        averages: list[Tensor] = list(self.model.parameters())
        change = list(torch._foreach_sub(list(self._source.parameters()), averages))
        torch._foreach_div_(change, self.count + 1.0)
        torch._foreach_add_(averages, change)
        self.count += 1


@torch.no_grad()
def recompute_statistics(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of normalisation layers to their means over the batches.

    As torch.optim.swa_utils.update_bn, but with all other layers in evaluation mode: nothing is
    dropped, and no random number drawn. The model is left in evaluation mode.

    Args:
        batches: float images, all of one count.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    norms = [m for m in norms if m.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for images in batches:
        model(images)
    model.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
