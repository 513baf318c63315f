"""Schemas of the `model` group."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Optional

from resnet_sweep.config.errors import (
    require,
    require_int,
    require_ints,
    require_number,
    require_one_of,
)

BLOCKS = ("basic", "preact", "pyramid")
SHORTCUTS = ("conv", "pad", "none")
DOWNSAMPLING = ("stride", "max_pool")
ACTIVATIONS = ("relu", "leaky_relu", "silu", "gelu")
DEFAULT_WIDTH_FACTOR = 2.0


@dataclass
class ModelConfig:
    """What every network has: a name and a budget.

    Args:
        name: stem of the YAML file that the configuration started from.
        max_params: the budget; a larger net is refused.
        max_multiply_adds: cap on the multiply-adds of one image's forward pass; null: no cap.
    """

    name: str = "custom"
    max_params: int = 5_000_000
    max_multiply_adds: Optional[int] = None

    def __post_init__(self) -> None:
        require_int("model.max_params", self.max_params, 1)
        require_int("model.max_multiply_adds", self.max_multiply_adds, 1, or_null=True)


@dataclass
class ResNetConfig(ModelConfig):
    """A residual network; stage i has blocks[i] blocks of widths[i] channels.

    Args:
        widths: C_i, channels of each stage; base_width, where it is set, takes their place.
        base_width: channels of the first stage (of the second, where first_width is set);
            the later ones grow by width_factor and are rounded to a multiple of 8.
        width_factor: growth of the width from stage to stage, beside base_width.
        first_width: channels of the first stage, ahead of base_width.
        additive_widths: each block widens, by equal steps from the width ahead of its stage to C_i,
            rounded (Han et al. 2017, arXiv:1610.02915, section 2.2, where the C_i are evenly
            spaced); the first stage starts from stem_width.
        stem_width: channels of the first convolution; null: those of the first stage.
        stem_kernel_size: of the first convolution, an odd number.
        whitened_stem: a first convolution of stem_kernel_size whose fixed filters give the
            patches of the training images unit covariance (Page 2018, "How to train your
            ResNet"; Jordan 2024, arXiv:2404.00498, section 3.1), then a 1x1 convolution to
            stem_width. The fixed filters count as parameters.
        blocks: B_i, blocks of each stage.
        kernel_size: F_i, one odd number for all stages or a list.
        shortcut_kernel_size: K_i of the convolutions in the shortcuts, likewise.
        strides: of each stage's first block; null: 1, then 2 for each later stage.
        downsampling: what makes the map smaller where a stride is above 1: the first convolution
            of the block, or a max pooling of that kernel and stride behind it, for which that
            convolution works on the larger map (Page 2018, "How to train your ResNet").
        pool_size: P, kernel and stride of the last average pooling; null: the whole map.
            What is left of the map is flattened.
        block: `basic` (He et al. 2015, arXiv:1512.03385), `preact` (arXiv:1603.05027) or
            `pyramid` (Han et al. 2017, arXiv:1610.02915, figure 6d: no first activation, a
            third normalisation at the end).
        shortcut: where the shape changes, a convolution (`conv`) or subsampling padded with
            zeros (`pad`). `none`: no block has a shortcut, as in a plain network, which needs
            regularization.stochastic_depth=0 and init.zero_init_residual=false.
        squeeze_excitation: Hu et al. 2017 (arXiv:1709.01507), after the last layer of a block.
        squeeze_ratio: channels over the width of the squeezed layer.
        activation: `relu`, `silu` or another of ACTIVATIONS.
    """

    name: str = "resnet"
    widths: Optional[list[int]] = field(default_factory=lambda: [16, 64, 128, 256])
    base_width: Optional[int] = None
    width_factor: float = DEFAULT_WIDTH_FACTOR
    first_width: Optional[int] = None
    additive_widths: bool = False
    stem_width: Optional[int] = None
    stem_kernel_size: int = 3
    whitened_stem: bool = False
    blocks: list[int] = field(default_factory=lambda: [2, 3, 4, 3])
    kernel_size: Any = 3
    shortcut_kernel_size: Any = 1
    strides: Optional[list[int]] = None
    downsampling: str = "stride"
    pool_size: Optional[int] = None
    block: str = "basic"
    shortcut: str = "conv"
    squeeze_excitation: bool = False
    squeeze_ratio: int = 16
    activation: str = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_ints("model.blocks", self.blocks, 1, 1000)
        self._check_widths()
        self._check_kernels()
        if self.strides is not None:
            require_ints("model.strides", self.strides, 1)
            self._check_length("strides", self.strides)
        require_one_of("model.downsampling", self.downsampling, DOWNSAMPLING)
        require_one_of("model.block", self.block, BLOCKS)
        require_one_of("model.shortcut", self.shortcut, SHORTCUTS)
        require_one_of("model.activation", self.activation, ACTIVATIONS)
        require_int("model.squeeze_ratio", self.squeeze_ratio, 1)
        require_int("model.pool_size", self.pool_size, 1, or_null=True)

    def stage_widths(self) -> list[int]:
        """Return the channels of each stage."""
        if self.base_width is None:
            assert self.widths is not None
            return list(self.widths)
        first = [] if self.first_width is None else [self.first_width]
        grown = [
            max(8, 8 * round(self.base_width * self.width_factor**i / 8)) if i else self.base_width
            for i in range(len(self.blocks) - len(first))
        ]
        return first + grown

    def stage_kernel_sizes(self) -> list[int]:
        return self._per_stage(self.kernel_size)

    def stage_shortcut_kernel_sizes(self) -> list[int]:
        return self._per_stage(self.shortcut_kernel_size)

    def stage_strides(self) -> list[int]:
        return list(self.strides) if self.strides else [1] + [2] * (len(self.blocks) - 1)

    def _per_stage(self, value: Any) -> list[int]:
        return list(value) if isinstance(value, list) else [value] * len(self.blocks)

    def _check_widths(self) -> None:
        for name in ("base_width", "first_width", "stem_width"):
            require_int(f"model.{name}", getattr(self, name), 1, 65536, or_null=True)
        require_number("model.width_factor", self.width_factor, 0, 16, open_low=True)
        if self.base_width is None:
            allowed = "needs model.base_width; without it model.widths counts"
            require(self.first_width is None, "model.first_width", self.first_width, allowed)
            grows = self.width_factor == DEFAULT_WIDTH_FACTOR
            require(grows, "model.width_factor", self.width_factor, allowed)
            require_ints("model.widths", self.widths, 1, 65536)
            self._check_length("widths", self.widths)

    def _check_kernels(self) -> None:
        for name in ("kernel_size", "shortcut_kernel_size"):
            value = getattr(self, name)
            if isinstance(value, list):
                self._check_length(name, value)
            for size in self._per_stage(value):
                _check_odd(f"model.{name}", size, value)
        _check_odd("model.stem_kernel_size", self.stem_kernel_size, self.stem_kernel_size)

    def _check_length(self, name: str, value: Any) -> None:
        stages = len(self.blocks)
        allowed = f"must have {stages} entries, one for each stage of model.blocks={self.blocks}"
        require(len(value) == stages, f"model.{name}", value, allowed)


@dataclass
class CustomModelConfig(ModelConfig):
    """A network of the user's own.

    Args:
        target: dotted path of a torch.nn.Module class or function; called with
            `num_classes` and `kwargs`, it maps float images [N, 3, H, W] to logits [N, classes].
        kwargs: its other arguments: +model.kwargs.NAME=VALUE.
    """

    target: Optional[str] = None
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        parts = (self.target or "").split(".")
        allowed = "must be the dotted path of your network, such as package.module.Net"
        named = len(parts) > 1 and all(part.isidentifier() for part in parts)
        require(named, "model.target", self.target, allowed)
        for name, value in self.kwargs.items():
            is_finite = not isinstance(value, float) or math.isfinite(value)
            require(is_finite, f"model.kwargs.{name}", value, "must be a finite number")


def _check_odd(name: str, size: Any, value: Any) -> None:
    is_int = isinstance(size, int) and not isinstance(size, bool)
    require(is_int and size > 0 and size % 2 == 1, name, value, "must be odd and positive")
