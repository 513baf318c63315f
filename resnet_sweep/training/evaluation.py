"""Loss, accuracy and probabilities of a net on a part of the data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from resnet_sweep.data.device import Part
from resnet_sweep.model.summary import evaluation_mode
from resnet_sweep.training.device import Execution

# Of 32x32 images: large enough to fill a GPU, small enough for a CPU's cache.
BATCH_SIZES = {"cuda": 2500, "mps": 1000, "cpu": 250}


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy (without label smoothing), accuracy in [0, 1].

    Args:
        probabilities: float32 [N, classes] on the device.
    """

    loss: float
    accuracy: float
    probabilities: torch.Tensor


class Normalizer:
    """Pixels to zero mean and unit deviation in each channel.

    Args:
        mean, std: float32 [3], of pixels scaled to [0, 1].
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        self.scale = (1 / (255 * std)).view(1, -1, 1, 1)
        self.shift = (-mean / std).view(1, -1, 1, 1)

    def __call__(self, images: torch.Tensor, memory_format: torch.memory_format) -> torch.Tensor:
        """Map uint8 [N, 3, S, S] to float32 of the same shape."""
        scaled = images.to(torch.float32, memory_format=memory_format)
        return scaled.mul_(self.scale).add_(self.shift)


@torch.no_grad()
def evaluate(
    model: nn.Module, part: Part, normalize: Normalizer, execution: Execution
) -> Evaluation:
    """Evaluate `model` on all images of `part`; training flags stay as they are."""
    batches = part.images.split(default_batch_size(execution, part.images.shape[-1]))
    with evaluation_mode(model):
        logits = torch.cat([forward(model, images, normalize, execution) for images in batches])
    loss = F.cross_entropy(logits, part.labels)
    hits = (logits.argmax(1) == part.labels).sum()
    # One read from the device for both; float32 counts up to 16.7 million exactly.
    loss_value, num_hits = torch.stack([loss.float(), hits.float()]).tolist()
    return Evaluation(loss_value, num_hits / len(part.labels), logits.softmax(1))


def default_batch_size(execution: Execution, image_size: int) -> int:
    """Return how many images of this side an evaluation takes at once."""
    whole = BATCH_SIZES[execution.device.type]
    return whole if image_size <= 32 else max(1, whole * 32**2 // image_size**2)


@torch.no_grad()
def forward(
    model: nn.Module, images: torch.Tensor, normalize: Normalizer, execution: Execution
) -> torch.Tensor:
    """Return logits, float32 [N, classes], of uint8 images [N, 3, S, S] on the device."""
    with execution.autocast():
        logits: torch.Tensor = model(normalize(images, execution.memory_format))
    return logits.float()
