"""The forward pass of a training step and its loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_sweep.config.train import RegularizationConfig
from resnet_sweep.training.device import Execution
from resnet_sweep.training.teacher import distillation_loss

Loss = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]


class TrainingLoss:
    """Cross-entropy, with label smoothing and what a teacher says where they are asked for."""

    def __init__(
        self, model: nn.Module, execution: Execution, regularization: RegularizationConfig
    ) -> None:
        self._model = model
        self._execution = execution
        self._label_smoothing = regularization.label_smoothing
        self._distill_weight = regularization.distill_weight
        self._distill_temperature = regularization.distill_temperature

    def __call__(
        self, images: Tensor, targets: Tensor, taught: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the logits.

        Args:
            images: normalised float [N, 3, S, S].
            targets: int64 [N], or shares of the classes, float32 [N, classes].
            taught: the teacher's logits, float32 [N, classes].
        """
        with self._execution.autocast():
            logits = self._model(images)
        smoothing = self._label_smoothing
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
        if taught is not None:
            distilled = distillation_loss(logits.float(), taught, self._distill_temperature)
            loss = (1 - self._distill_weight) * loss + self._distill_weight * distilled
        return loss, logits


def build_loss(
    model: nn.Module, execution: Execution, regularization: RegularizationConfig
) -> Loss:
    """Return the loss of a net, compiled where the execution says so.

    Compiled, it draws the same random numbers as without.
    """
    loss = TrainingLoss(model, execution, regularization)
    if execution.compile != "inductor":
        return loss
    # Dynamo compiles one function for eight nets and then runs every further one eagerly.
    torch.compiler.reset()
    compiled: Loss = torch.compile(loss.__call__, options={"fallback_random": True})
    return compiled
