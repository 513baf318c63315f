"""What a training step could cost at the least on a chip, from what its operations read, write
and multiply.

Each operation of one eager forward and backward pass takes at least the longer of its arithmetic
at the chip's rate and its traffic at the chip's bandwidth; a step's limit is their sum. Fusing
operations gets below it: `arithmetic` alone is the limit of any implementation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from resnet_sweep.config import Config
from resnet_sweep.model.build import build_model

BATCH_SIZE = 64  # so that reading the weights hardly counts, as in training
NUM_CLASSES = 10


@dataclass(frozen=True)
class Operation:
    """Of one image: floating-point operations and bytes read and written."""

    flops: float
    traffic: float


@dataclass(frozen=True)
class Chip:
    """Floating-point operations and bytes a second, as measured."""

    flops: float
    bandwidth: float


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not func.is_view and func.namespace == "aten" and "detach" not in func.name():
            count = flop_registry.get(func.overloadpacket)
            flops = 0 if count is None else count(*args, **kwargs, out_val=out)
            traffic = sum(_bytes(tensor) for tensor in _tensors((args, kwargs, out)))
            self.operations.append(Operation(flops / BATCH_SIZE, traffic / BATCH_SIZE))
        return out


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    yield from (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def count_operations(config: Config, dtype: torch.dtype, image_size: int = 32) -> list[Operation]:
    """Count one eager forward and backward pass on the CPU, with `dtype` in the products."""
    with FakeTensorMode():  # shapes and types alone: nothing is computed
        model = build_model(config, NUM_CLASSES, image_size)
        images = torch.rand(BATCH_SIZE, 3, image_size, image_size)
        labels = torch.zeros(BATCH_SIZE, dtype=torch.int64)
        with _Counter() as counter:
            with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
                logits = model(images)
            F.cross_entropy(logits.float(), labels).backward()
    return counter.operations


def limits(operations: list[Operation], chip: Chip, images: int) -> dict[str, float]:
    """Return the least seconds for `images` images: of the eager kernels, and of arithmetic."""
    eager = sum(max(o.flops / chip.flops, o.traffic / chip.bandwidth) for o in operations)
    arithmetic = sum(o.flops for o in operations) / chip.flops
    return {"eager_kernels": images * eager, "arithmetic": images * arithmetic}
