"""Muon: momentum made orthogonal by Newton-Schulz iterations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from resnet_sweep.config.optimizer import MuonConfig

# The polynomial of degree five of Jordan et al. 2024, steep at zero.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
EPS = 1e-7
# More steps on one Gram matrix let the rounding of its small eigenvalues grow.
STEPS_ON_GRAM = 5


def orthogonalized(matrices: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """Return about U V^T of each matrix U S V^T: its singular values come to lie near 1.

    Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon/), for a batch [N, rows,
    columns]. After five steps most singular values are between 0.7 and 1.2. Wide or tall matrices
    are iterated on by their Gram matrices, which costs less (Zhang, Amsel, Chen and Dao 2026,
    https://dao-lab.ai/blog/2026/gram-newton-schulz), in float32 alone: half precision rounds
    too much for it.

    Args:
        dtype: of the iterations; the result has it too.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.to(dtype)
    if tall:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=EPS)
    if dtype == torch.float32 and x.shape[-1] > 2 * x.shape[-2]:
        for done in range(0, steps, STEPS_ON_GRAM):
            x = _iterate_on_gram(x, min(STEPS_ON_GRAM, steps - done))
    else:
        x = _iterate(x, steps)
    return x.mT if tall else x


def _iterate(x: Tensor, steps: int) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


def _iterate_on_gram(x: Tensor, steps: int) -> Tensor:
    """Return what _iterate does: each step's polynomial of x x^T, all multiplied, times x."""
    a, b, c = COEFFICIENTS
    gram = x @ x.mT
    product = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device).expand_as(gram)
    for _ in range(steps):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    return product @ x


def is_hidden(model: nn.Module) -> dict[nn.Parameter, bool]:
    """Say of each trained parameter whether Muon takes it: all matrices and kernels but the last.

    The last one is the classifier's; it, norms and biases are for the other optimizer.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2]
    last = matrices[-1] if matrices else None
    return {p: p.ndim >= 2 and p is not last for p in trained}


class Muon(torch.optim.Optimizer):
    """Muon for the hidden layers, AdamW or SGD with momentum for everything else.

    As torch.optim.Muon, which takes matrices alone; a convolution kernel [out, in, k, k] is one
    of `out` rows. Weight decay is decoupled. Matrices of one shape are orthogonalised together.
    Nothing waits for the device.

    Args:
        groups: each with `hidden` (whether Muon takes it), `params` and `weight_decay`.
        lr: of the hidden layers; the others' is in proportion.
        capturable: lr and step counts live on the device.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], config: MuonConfig, lr: Any, capturable: bool
    ) -> None:
        self.config = config
        self._others_factor = config.others_lr / config.lr
        super().__init__(groups, {"lr": lr, "capturable": capturable})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            if group["hidden"]:
                self._step_hidden(parameters, group)
            elif self.config.others == "adamw":
                self._step_adamw(parameters, group)
            else:
                self._step_sgd(parameters, group)

    def _step_hidden(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        momentum = self.config.momentum
        gradients = _gradients(parameters)
        buffers = self._buffers(parameters, "momentum_buffer")
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        if self.config.nesterov:
            updates = list(torch._foreach_lerp(gradients, buffers, momentum))
        else:
            updates = buffers
        changes = _orthogonal_changes(updates, self.config.ns_steps)
        lr, decay = group["lr"], group["weight_decay"]
        weights: list[Tensor] = list(parameters)
        torch._foreach_mul_(weights, 1 - lr * decay)
        torch._foreach_mul_(changes, lr)
        torch._foreach_sub_(weights, changes)

    def _step_adamw(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        first, second = self.config.betas
        means = self._buffers(parameters, "exp_avg")
        squares = self._buffers(parameters, "exp_avg_sq")
        for p in parameters:
            if "step" not in self.state[p]:
                device = p.device if group["capturable"] else "cpu"
                self.state[p]["step"] = torch.zeros((), dtype=torch.float32, device=device)
        adamw(
            list(parameters),
            _gradients(parameters),
            means,
            squares,
            [],
            [self.state[p]["step"] for p in parameters],
            foreach=True,
            capturable=group["capturable"],
            amsgrad=False,
            beta1=first,
            beta2=second,
            lr=group["lr"] * self._others_factor,
            weight_decay=group["weight_decay"],
            eps=self.config.eps,
            maximize=False,
        )

    def _step_sgd(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        # Not torch's foreach SGD: it would read the learning rate back from the device.
        momentum = self.config.momentum
        weights: list[Tensor] = list(parameters)
        gradients = torch._foreach_add(_gradients(parameters), weights, alpha=group["weight_decay"])
        buffers = self._buffers(parameters, "momentum_buffer")
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        if self.config.nesterov:
            torch._foreach_add_(gradients, buffers, alpha=momentum)
        updates = gradients if self.config.nesterov else buffers
        changes = list(torch._foreach_mul(updates, group["lr"] * self._others_factor))
        torch._foreach_sub_(weights, changes)

    def _buffers(self, parameters: list[nn.Parameter], name: str) -> list[Tensor]:
        """Return a state of each parameter, zeros at first."""
        for p in parameters:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p)
        return [self.state[p][name] for p in parameters]


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _orthogonal_changes(updates: list[Tensor], steps: int) -> list[Tensor]:
    """Return what to subtract at a learning rate of 1, each in the shape of its update."""
    by_shape: dict[torch.Size, list[int]] = defaultdict(list)
    for index, update in enumerate(updates):
        by_shape[update.flatten(1).shape].append(index)
    changes: list[Tensor] = [torch.empty(0)] * len(updates)
    for (rows, columns), indices in by_shape.items():
        # torch's bf16 products on a CPU are slower than its fp32 ones.
        on_gpu = updates[indices[0]].device.type == "cuda"
        dtype = torch.bfloat16 if on_gpu else torch.float32
        stacked = torch.stack([updates[i].flatten(1) for i in indices])
        # Wide or tall, a row's change has about the same size: max(1, rows / columns)^(1/2).
        scaled = orthogonalized(stacked, steps, dtype) * max(1.0, rows / columns) ** 0.5
        for i, change in zip(indices, scaled.float().unbind(), strict=True):
            changes[i] = change.view(updates[i].shape)
    return changes
