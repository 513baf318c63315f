"""Averaged weights beside those that an optimizer moves: EMA, Lookahead, SWA."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class AveragedWeights:
    """A copy of a model whose floating-point state follows the model's (EMA).

    Polyak and Juditsky 1992; as torch.optim.swa_utils.AveragedModel with buffers, in one
    multi-tensor kernel. The running statistics of normalisation layers are averaged as well.

    Args:
        half_life_steps: steps after which a weight's share has halved. In the first steps the
            average forgets faster, (1 + t) / (10 + t), so that it leaves the random start.
    """

    def __init__(self, model: nn.Module, half_life_steps: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.target_decay: float = 0.5 ** (1 / half_life_steps)
        self._source = model
        saved = {value.data_ptr() for value in self.model.state_dict().values()}
        parameters, buffers = _with_mean(self.model), dict(self.model.named_buffers())
        # Counts, and what a network does not save, have no mean.
        self._averaged = [
            name
            for name, value in buffers.items()
            if value.is_floating_point() and value.data_ptr() in saved
        ]
        self._copied = [name for name in buffers if name not in self._averaged]
        self._averages: list[Tensor] = [*parameters, *(buffers[name] for name in self._averaged)]
        self._copies = [buffers[name] for name in self._copied]
        self._own_buffers = buffers
        self.weight = torch.zeros((), device=self._averages[0].device)

    def decay(self, step: int) -> float:
        return min(self.target_decay, (1 + step) / (10 + step))

    def set_step(self, step: int) -> None:
        """Set the weight of the next update; in place, as a CUDA graph reads it there."""
        self.weight.fill_(1 - self.decay(step))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's present weights."""
        # A network may have replaced a buffer; one that it has removed stays as it was.
        buffers = self._own_buffers | dict(self._source.named_buffers())
        sources = [*_with_mean(self._source), *(buffers[name] for name in self._averaged)]
        # Not _foreach_lerp_: it would read the weight back from the device.
        change = torch._foreach_sub(sources, self._averages)
        torch._foreach_mul_(change, self.weight)
        torch._foreach_add_(self._averages, change)
        if self._copied:
            torch._foreach_copy_(self._copies, [buffers[name] for name in self._copied])


def _with_mean(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.is_floating_point() or p.is_complex()]


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


class EqualAverage:
    """A copy of a model whose weights are the mean of those seen so far (SWA).

    Izmailov et al. 2018 (arXiv:1803.05407); as torch.optim.swa_utils.AveragedModel. Buffers are
    those of the last weights; recompute_statistics finds the running statistics of the mean.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.count = 0
        self._source = model

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's present weights."""
        averages = _with_mean(self.model)
        change = list(torch._foreach_sub(_with_mean(self._source), averages))
        torch._foreach_div_(change, self.count + 1.0)
        torch._foreach_add_(averages, change)
        # A network may have replaced a buffer; one that it has removed stays as it was.
        buffers = dict(self._source.named_buffers())
        for name, kept in self.model.named_buffers():
            kept.copy_(buffers.get(name, kept))
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
