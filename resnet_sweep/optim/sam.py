"""Sharpness-aware minimisation: the gradient at the worst weights nearby."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

ASAM_ETA = 0.01  # Kwon et al. 2021, section 5
EPS = 1e-12


def sam_perturbation(gradients: list[Tensor], rho: float) -> list[Tensor]:
    """Return rho * g / |g|, with |g| over all tensors together.

    Foret et al. 2021 (arXiv:2010.01412), equation 2 with p = 2. A loss scale cancels out.
    """
    norm = torch.stack(list(torch._foreach_norm(gradients))).square().sum().sqrt()
    return _times(gradients, rho / (norm + EPS))


def asam_perturbation(
    weights: list[Tensor], gradients: list[Tensor], is_bias: list[bool], rho: float
) -> list[Tensor]:
    """Return rho * T^2 g / |T g|, where T is |w| + eta for weights and 1 for biases.

    Kwon et al. 2021 (arXiv:2102.11600), equation 8 and section 5, elementwise.
    """
    sizes = [
        torch.ones_like(w) if bias else w.abs() + ASAM_ETA
        for w, bias in zip(weights, is_bias, strict=True)
    ]
    return _times(sam_perturbation(_times(gradients, sizes), rho), sizes)


class SharpnessAware:
    """Moves a model's weights uphill and back; the optimizer then steps from where they were.

    Nothing waits for the device and no state is kept between steps, so that a CUDA graph can
    hold both passes.

    Args:
        adaptive: ASAM in place of SAM.
    """

    def __init__(self, model: nn.Module, rho: float, adaptive: bool) -> None:
        self.rho = rho
        self.adaptive = adaptive
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self._parameters = [(p, name.endswith("bias")) for name, p in named]
        # What a forward pass changes, above all the statistics of normalisation layers.
        self._buffers = model.named_buffers

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """Stand at the perturbed weights; their gradients replace those of the first pass.

        The model's buffers, and so its running statistics, stay those of the first pass.
        """
        with torch.no_grad():
            used = [(p, bias) for p, bias in self._parameters if p.grad is not None]
            weights: list[Tensor] = [p for p, _ in used]
            gradients = [w.grad for w in weights if w.grad is not None]
            if self.adaptive:
                is_bias = [bias for _, bias in used]
                changes = asam_perturbation(weights, gradients, is_bias, self.rho)
            else:
                changes = sam_perturbation(gradients, self.rho)
            before = [w.clone() for w in weights]
            buffers = {name: b.clone() for name, b in self._buffers()}
            torch._foreach_add_(weights, changes)
        for weight in weights:
            weight.grad = None
        yield
        with torch.no_grad():
            torch._foreach_copy_(weights, before)
            changed = {name: b for name, b in self._buffers() if name in buffers}
            if changed:
                torch._foreach_copy_(list(changed.values()), [buffers[name] for name in changed])


def _times(tensors: list[Tensor], factors: Tensor | list[Tensor]) -> list[Tensor]:
    return list(torch._foreach_mul(tensors, factors))
