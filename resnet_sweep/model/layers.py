"""The layers of a residual block that torch does not have."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_sweep.model.plan import BlockPlan


def conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias, padded so that stride 1 keeps the map."""
    padding = kernel_size // 2
    is_narrow = kernel_size == 1 and stride > 1 and in_channels < 8
    kind = SubsampledConv if is_narrow else nn.Conv2d
    return kind(in_channels, out_channels, kernel_size, stride, padding, bias=False)


class SubsampledConv(nn.Conv2d):
    """A strided 1x1 convolution that leaves out the pixels first.

    In the backward pass of the fused form, with fewer than 8 input channels on one thread of a
    CPU without AVX-512, oneDNN 3.12 (torch 2.14) writes beyond its memory.
    """

    def forward(self, images: Tensor) -> Tensor:
        rows, columns = self.stride
        return F.conv2d(images[:, :, ::rows, ::columns], self.weight)


def activation(name: str) -> nn.Module:
    """Return the activation, in place where its backward pass needs only the output."""
    match name:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(0.01, inplace=True)
        case "silu":
            return nn.SiLU()
        case "gelu":
            return nn.GELU()
    raise AssertionError(name)


def shortcut(block: BlockPlan) -> nn.Module | None:
    """Return what carries a block's input to its output, past the convolutions, if anything."""
    match block.shortcut:
        case "none":
            return None
        case "identity":
            return nn.Identity()
        case "pad":
            return PadShortcut(block.stride, block.out_channels - block.in_channels)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    channels = (block.in_channels, block.out_channels)
    parts["conv"] = conv(*channels, block.shortcut_kernel_size, block.stride)
    if block.kind != "preact":
        parts["norm"] = nn.BatchNorm2d(block.out_channels)
    return nn.Sequential(parts)


class PadShortcut(nn.Module):
    """Every stride-th pixel from the first, and new channels of zeros behind the old ones.

    Option A of He et al. 2015 (arXiv:1512.03385, section 3.3).
    """

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = new_channels

    def forward(self, x: Tensor) -> Tensor:
        kept = x[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, 0, self.new_channels))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, new_channels={self.new_channels}"


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from the means of all channels.

    Hu et al. 2017 (arXiv:1709.01507, section 3).
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, squeezed)
        self.expand = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class StochasticDepth(nn.Module):
    """Drop the whole branch of an image with this probability, and scale up those kept.

    Huang et al. 2016 (arXiv:1603.09382), per image. The draw stays on the device, so a CUDA
    graph can capture it.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        survival = 1.0 - self.probability
        kept = x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(survival)
        return x * kept.div_(survival)

    def extra_repr(self) -> str:
        return f"probability={self.probability:g}"


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over each `ghost_size` images of a batch in training.

    Hoffer et al. 2017 (arXiv:1705.08741, algorithm 1): the running statistics take one slice
    after the other. In evaluation it is batch normalisation.
    """

    ghost_size: int

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or len(input) <= self.ghost_size:
            return super().forward(input)
        slices = input.split(self.ghost_size)
        return torch.cat([super(GhostBatchNorm2d, self).forward(x) for x in slices])

    def extra_repr(self) -> str:
        return f"{self.num_features}, ghost_size={self.ghost_size}"


def use_ghost_norm(net: nn.Module, ghost_size: int) -> None:
    """Replace each BatchNorm2d of a net; weights and statistics stay."""
    ghosts: dict[nn.Module, GhostBatchNorm2d] = {}  # a layer may have several parents
    for parent in list(net.modules()):
        for name, child in list(parent._modules.items()):
            if type(child) is nn.BatchNorm2d:
                if child not in ghosts:
                    ghosts[child] = _to_ghost(child, ghost_size)
                setattr(parent, name, ghosts[child])


def _to_ghost(norm: nn.BatchNorm2d, ghost_size: int) -> GhostBatchNorm2d:
    settings = (norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    ghost = GhostBatchNorm2d(norm.num_features, *settings)
    ghost.load_state_dict(norm.state_dict())
    for own, given in zip(ghost.parameters(), norm.parameters(), strict=True):
        own.requires_grad_(given.requires_grad)
    ghost.ghost_size = ghost_size
    return ghost.train(norm.training)
