"""Shapes, parameters and multiply-adds of a ResNet, counted without building it.

Free of torch: a sweep refuses a proposal in less than a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resnet_sweep.config.errors import ConfigError, require
from resnet_sweep.config.model import ResNetConfig


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer of the network.

    Args:
        name: dotted name of the torch module.
        kind: `conv`, `norm`, `squeeze` (the two linear layers of squeeze-and-excitation),
            `pool` or `linear`.
        map_size: side of the output's feature map.
        multiply_adds: of one image's forward pass; 0 for norm and pool.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    map_size: int
    num_params: int
    multiply_adds: int


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """One residual block.

    Args:
        kind: `basic`, `preact` or `pyramid`.
        downsampling: `stride` of the first convolution, or `max_pool` behind it.
        shortcut: `identity`, `pad`, `conv` or `none`.
        squeeze_width: width of the squeezed layer; null: no squeeze-and-excitation.
        in_map_size: side of the feature map that the block gets.
        map_size: side of the one that it gives.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    downsampling: str
    shortcut: str
    shortcut_kernel_size: int
    squeeze_width: int | None
    in_map_size: int
    map_size: int

    @property
    def is_pooled(self) -> bool:
        """A max pooling behind the first convolution makes the map smaller, not its stride."""
        return self.downsampling == "max_pool" and self.stride > 1

    def layers(self) -> list[LayerPlan]:
        name, width, kernel, side = self.name, self.out_channels, self.kernel_size, self.map_size
        stride, conv_side = (1, self.in_map_size) if self.is_pooled else (self.stride, side)
        conv1 = [_conv(f"{name}.conv1", self.in_channels, width, kernel, stride, conv_side)]
        if self.is_pooled:
            pool = (width, width, self.stride, self.stride, side, 0, 0)
            conv1.append(LayerPlan(f"{name}.pool", "pool", *pool))
        conv2 = _conv(f"{name}.conv2", width, width, kernel, 1, side)
        norm2 = _norm(f"{name}.norm2", width, side)
        if self.kind == "basic":
            layers = [*conv1, _norm(f"{name}.norm1", width, side), conv2, norm2]
        else:
            norm1 = _norm(f"{name}.norm1", self.in_channels, self.in_map_size)
            layers = [norm1, *conv1, norm2, conv2]
        if self.kind == "pyramid":
            layers.append(_norm(f"{name}.norm3", width, side))
        if self.squeeze_width is not None:
            layers += [
                _linear(f"{name}.squeeze.reduce", "squeeze", width, self.squeeze_width),
                _linear(f"{name}.squeeze.expand", "squeeze", self.squeeze_width, width),
            ]
        if self.shortcut == "conv":
            kernel = self.shortcut_kernel_size
            shape = (self.in_channels, width, kernel, self.stride, side)
            layers.append(_conv(f"{name}.shortcut.conv", *shape))
            if self.kind != "preact":
                layers.append(_norm(f"{name}.shortcut.norm", width, side))
        return layers


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Blocks on one map size; its width is that of the last."""

    blocks: tuple[BlockPlan, ...]
    layers: tuple[LayerPlan, ...]

    @property
    def width(self) -> int:
        return self.blocks[-1].out_channels

    @property
    def map_size(self) -> int:
        return self.blocks[0].map_size


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """A whole network: stem, stages and head, each with its layers in the order of their use."""

    stem: tuple[LayerPlan, ...]
    stages: tuple[StagePlan, ...]
    head: tuple[LayerPlan, ...]

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        return (*self.stem, *(x for stage in self.stages for x in stage.layers), *self.head)

    @property
    def num_params(self) -> int:
        return sum(layer.num_params for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one image's forward pass: convolutions and linear layers."""
        return sum(layer.multiply_adds for layer in self.layers)


def plan_resnet(config: ResNetConfig, num_classes: int, image_size: int = 32) -> ModelPlan:
    """Lay out the network.

    A kernel of size k may work on a feature map of side m where k <= 2m - 1: each of its
    weights then meets a pixel somewhere; in a larger one the outermost see padding only.

    Args:
        image_size: side of the square images, in pixels.

    Raises:
        ConfigError: a kernel, stride or pool that does not fit its feature map, or `pad`
            shortcuts where the channels become fewer.
    """
    stem_kernel = config.stem_kernel_size
    _check_kernel("stem_kernel_size", stem_kernel, stem_kernel, "the stem", image_size)
    fits = not config.whitened_stem or stem_kernel <= image_size
    allowed = f"must be at most {image_size} with model.whitened_stem, which needs whole patches"
    require(fits, "model.stem_kernel_size", stem_kernel, allowed)
    stem = _plan_stem(config, image_size)
    stages = tuple(_plan_stages(config, stem[-1].out_channels, image_size))
    head = _plan_head(config, stages[-1], num_classes)
    return ModelPlan(stem, stages, head)


def _plan_stem(config: ResNetConfig, image_size: int) -> tuple[LayerPlan, ...]:
    width, kernel = config.stem_width or config.stage_widths()[0], config.stem_kernel_size
    norms = (_norm("stem.norm", width, image_size),) if config.block != "preact" else ()
    if not config.whitened_stem:
        return _conv("stem.conv", 3, width, kernel, 1, image_size), *norms
    patch = 3 * kernel**2
    whiten = _conv("stem.whiten", 3, patch, kernel, 1, image_size)
    return whiten, _conv("stem.conv", patch, width, 1, 1, image_size), *norms


def _plan_stages(config: ResNetConfig, channels: int, map_size: int) -> Iterator[StagePlan]:
    kernels, shortcut_kernels = config.stage_kernel_sizes(), config.stage_shortcut_kernel_sizes()
    strides = config.stage_strides()
    for index, (count, width) in enumerate(zip(config.blocks, config.stage_widths(), strict=True)):
        before = channels
        blocks: list[BlockPlan] = []
        for number in range(count):
            out_channels = width
            if config.additive_widths:
                out_channels = before + round((width - before) * (number + 1) / count)
            stride = strides[index] if number == 0 else 1
            keeps_shape = stride == 1 and channels == out_channels
            has_identity = keeps_shape and config.shortcut != "none"
            squeezed = max(1, out_channels // config.squeeze_ratio)
            block = BlockPlan(
                name=f"stages.{index}.{number}",
                kind=config.block,
                in_channels=channels,
                out_channels=out_channels,
                kernel_size=kernels[index],
                stride=stride,
                downsampling=config.downsampling,
                shortcut="identity" if has_identity else config.shortcut,
                shortcut_kernel_size=shortcut_kernels[index],
                squeeze_width=squeezed if config.squeeze_excitation else None,
                in_map_size=map_size,
                map_size=-(-map_size // stride),
            )
            _check_block(config, index, block)
            blocks.append(block)
            channels, map_size = out_channels, block.map_size
        yield StagePlan(tuple(blocks), tuple(x for block in blocks for x in block.layers()))


def _plan_head(config: ResNetConfig, last: StagePlan, num_classes: int) -> tuple[LayerPlan, ...]:
    width, side, pool = last.width, last.map_size, config.pool_size or last.map_size
    allowed = f"must be at most {side}, the side of the last feature map"
    require(pool <= side, "model.pool_size", config.pool_size, allowed)
    left = side // pool
    layers = (
        LayerPlan("head.pool", "pool", width, width, pool, pool, left, 0, 0),
        _linear("head.linear", "linear", width * left**2, num_classes),
    )
    if config.block != "basic":
        return (_norm("head.norm", width, side), *layers)
    return layers


def _check_block(config: ResNetConfig, index: int, block: BlockPlan) -> None:
    stage, side = f"stage {index + 1}", block.in_map_size
    allowed = f"{stage} gets a {side}x{side} map, so its stride must be at most {side}"
    require(block.stride <= side, "model.strides", config.stage_strides(), allowed)
    _check_kernel("kernel_size", config.kernel_size, block.kernel_size, stage, block.map_size)
    if block.shortcut == "conv":
        name, given = "shortcut_kernel_size", config.shortcut_kernel_size
        where = f"the shortcut of {stage}"
        _check_kernel(name, given, block.shortcut_kernel_size, where, side)
    if block.shortcut == "pad" and block.in_channels > block.out_channels:
        change = f"{stage} goes from {block.in_channels} to {block.out_channels} channels"
        raise ConfigError("model.shortcut", "pad", f"cannot drop channels, but {change}; use conv")


def _check_kernel(name: str, value: object, size: int, where: str, side: int) -> None:
    """Raise ConfigError unless a kernel of this size fits a map of this side."""
    largest = 2 * side - 1
    allowed = f"must be at most {largest} where {where} works on a {side}x{side} map"
    require(size <= largest, f"model.{name}", value, allowed)


def _conv(
    name: str, in_channels: int, out_channels: int, kernel_size: int, stride: int, map_size: int
) -> LayerPlan:
    weights = kernel_size**2 * in_channels * out_channels
    shape = (in_channels, out_channels, kernel_size, stride, map_size)
    return LayerPlan(name, "conv", *shape, weights, weights * map_size**2)


def _norm(name: str, channels: int, map_size: int) -> LayerPlan:
    return LayerPlan(name, "norm", channels, channels, 1, 1, map_size, 2 * channels, 0)


def _linear(name: str, kind: str, in_features: int, out_features: int) -> LayerPlan:
    weights = in_features * out_features
    shape = (in_features, out_features, 1, 1, 1)
    return LayerPlan(name, kind, *shape, weights + out_features, weights)
