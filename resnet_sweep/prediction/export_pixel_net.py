"""What is exported: the net with its normalisation inside."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from resnet_sweep.training.trained_net import TrainedNet

INPUT = "images"
OUTPUTS = ("logits", "probabilities")


class PixelNet(nn.Module):
    """Map uint8 images [N, 3, S, S] to logits and probabilities, float32 [N, classes]."""

    scale: Tensor
    shift: Tensor

    def __init__(self, net: TrainedNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net.model).to(memory_format=torch.contiguous_format)
        self.register_buffer("scale", net.normalize.scale.clone())
        self.register_buffer("shift", net.normalize.shift.clone())
        self.eval()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits = self.net(images.float() * self.scale + self.shift)
        return dict(zip(OUTPUTS, (logits, logits.softmax(1)), strict=True))
