"""The residual network: a stem, stages of blocks, and a head.

He et al. 2015 (arXiv:1512.03385) with `basic` blocks, He et al. 2016 (arXiv:1603.05027) and
Zagoruyko and Komodakis 2016 (arXiv:1605.07146) with `preact` blocks, Han et al. 2017
(arXiv:1610.02915) with `pyramid` blocks.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.model.layers import (
    SqueezeExcitation,
    StochasticDepth,
    activation,
    conv,
    shortcut,
)
from resnet_sweep.model.plan import BlockPlan, ModelPlan, plan_resnet


class ResNet(nn.Module):
    """Map float images [N, 3, image_size, image_size] to logits [N, num_classes].

    Where the pooling is global, images of other sizes work too.

    Args:
        dropout: probability of zeroing a value ahead of the second convolution of a block.
        stochastic_depth: probability p of skipping the last of L blocks; block l has p * l / L.

    Raises:
        ConfigError: the network cannot be built for this image size.
    """

    def __init__(
        self,
        config: ResNetConfig,
        num_classes: int,
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        image_size: int = 32,
    ) -> None:
        super().__init__()
        self.plan = plan = plan_resnet(config, num_classes, image_size)
        self.stem = _stem(plan, config)
        self.stages = nn.Sequential()
        block_type, act, last = BLOCK_TYPES[config.block], config.activation, sum(config.blocks)
        number = 0
        for stage in plan.stages:
            blocks = nn.Sequential()
            for block in stage.blocks:
                number += 1
                # Huang et al. 2016 (arXiv:1603.09382), equation 4.
                drop = stochastic_depth * number / last
                blocks.append(block_type(block, act, dropout, drop))
            self.stages.append(blocks)
        self.head = _head(plan, config)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(self.stem(images)))
        return logits


class ResidualBlock(nn.Module):
    """What all kinds of block have: two convolutions, and mostly a shortcut past them.

    Args:
        drop: probability of skipping the convolutions (stochastic depth).
    """

    def __init__(self, plan: BlockPlan, act: str, dropout: float, drop: float) -> None:
        super().__init__()
        width, kernel = plan.out_channels, plan.kernel_size
        self.norm1 = nn.BatchNorm2d(width if plan.kind == "basic" else plan.in_channels)
        self.act1 = activation(act)
        self.conv1 = conv(plan.in_channels, width, kernel, 1 if plan.is_pooled else plan.stride)
        self.pool: nn.Module = nn.Identity()
        if plan.is_pooled:  # rounded up, as a stride rounds: each pixel of an odd map counts
            self.pool = nn.MaxPool2d(plan.stride, ceil_mode=True)
        self.norm2 = nn.BatchNorm2d(width)
        self.act2 = activation(act)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = conv(width, width, kernel)
        squeezed = plan.squeeze_width
        self.squeeze = SqueezeExcitation(width, squeezed) if squeezed else nn.Identity()
        self.drop = StochasticDepth(drop) if drop else nn.Identity()
        self.shortcut = shortcut(plan)

    @property
    def last_layer(self) -> nn.BatchNorm2d | nn.Conv2d:
        """The last layer with weights on the branch: at zero, the block is its shortcut."""
        raise NotImplementedError


class BasicBlock(ResidualBlock):
    """act(shortcut(x) + norm(conv(act(norm(conv(x))))))."""

    @property
    def last_layer(self) -> nn.BatchNorm2d:
        return self.norm2

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.act1(self.norm1(self.pool(self.conv1(x)))))
        out = self.drop(self.squeeze(self.norm2(self.conv2(hidden))))
        if self.shortcut is not None:
            out += self.shortcut(x)  # in place: no backward pass needs the value before
        result: Tensor = self.act2(out)
        return result


class PreactBlock(ResidualBlock):
    """shortcut(x) + conv(act(norm(conv(act(norm(x)))))).

    A convolution in the shortcut takes the normalised, activated input and has no norm of its
    own, as in wide residual networks; the other shortcuts take x itself.
    """

    def __init__(self, plan: BlockPlan, act: str, dropout: float, drop: float) -> None:
        super().__init__(plan, act, dropout, drop)
        self.shortcut_is_conv = plan.shortcut == "conv"

    @property
    def last_layer(self) -> nn.Conv2d:
        return self.conv2

    def forward(self, x: Tensor) -> Tensor:
        activated = self.act1(self.norm1(x))
        hidden = self.dropout(self.act2(self.norm2(self.pool(self.conv1(activated)))))
        out: Tensor = self.drop(self.squeeze(self.conv2(hidden)))
        if self.shortcut is not None:
            out += self.shortcut(activated if self.shortcut_is_conv else x)
        return out


class PyramidBlock(ResidualBlock):
    """shortcut(x) + norm(conv(act(norm(conv(norm(x)))))).

    Han et al. 2017 (arXiv:1610.02915, figure 6d). A convolution in the shortcut takes x and has
    a norm of its own.
    """

    def __init__(self, plan: BlockPlan, act: str, dropout: float, drop: float) -> None:
        super().__init__(plan, act, dropout, drop)
        self.norm3 = nn.BatchNorm2d(plan.out_channels)

    @property
    def last_layer(self) -> nn.BatchNorm2d:
        return self.norm3

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.act2(self.norm2(self.pool(self.conv1(self.norm1(x))))))
        out: Tensor = self.drop(self.squeeze(self.norm3(self.conv2(hidden))))
        if self.shortcut is not None:
            out += self.shortcut(x)
        return out


BLOCK_TYPES = {"basic": BasicBlock, "preact": PreactBlock, "pyramid": PyramidBlock}


def _stem(plan: ModelPlan, config: ResNetConfig) -> nn.Sequential:
    *whiten, first = (layer for layer in plan.stem if layer.kind == "conv")
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for each in whiten:
        fixed = conv(each.in_channels, each.out_channels, each.kernel_size)
        parts["whiten"] = fixed.requires_grad_(False)
    parts["conv"] = conv(first.in_channels, first.out_channels, first.kernel_size)
    if config.block != "preact":
        parts["norm"] = nn.BatchNorm2d(first.out_channels)
    if config.block == "basic":
        parts["act"] = activation(config.activation)
    return nn.Sequential(parts)


def _head(plan: ModelPlan, config: ResNetConfig) -> nn.Sequential:
    linear = plan.head[-1]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if config.block != "basic":
        parts["norm"] = nn.BatchNorm2d(plan.stages[-1].width)
        parts["act"] = activation(config.activation)
    whole = config.pool_size is None
    parts["pool"] = nn.AdaptiveAvgPool2d(1) if whole else nn.AvgPool2d(plan.head[-2].kernel_size)
    parts["flatten"] = nn.Flatten()
    parts["linear"] = nn.Linear(linear.in_channels, linear.out_channels)
    return nn.Sequential(parts)
