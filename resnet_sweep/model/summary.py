"""What a network consists of, layer by layer, measured on one image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from resnet_sweep.system.atomic import write_text

ELSEWHERE = "(elsewhere)"


@dataclass
class LayerCost:
    """One layer as measured.

    Args:
        output_shape: without the batch axis.
        multiply_adds: of one image's forward pass, in convolutions and matrix products.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    num_params: int
    multiply_adds: int


def measure_layers(model: nn.Module, image_size: int) -> list[LayerCost]:
    """Return the layers, which are the innermost modules that run, in the order of their use.

    Parameters and multiply-adds outside all of them come last, as `(elsewhere)`. The sums are
    those of the whole network.
    """
    modules = dict(model.named_modules())
    active = {name: each for name, each in modules.items() if not isinstance(each, nn.Identity)}
    return measure_modules(model, active, image_size)


def measure_modules(
    model: nn.Module, modules: Mapping[str, nn.Module], image_size: int
) -> list[LayerCost]:
    """Return what measure_layers does, for the innermost of these modules."""
    costs: dict[str, LayerCost] = {}
    counter = FlopCounterMode(display=False)
    # With gradients and plain attention, since torch's fused kernels go uncounted.
    plain = sdpa_kernel(SDPBackend.MATH)
    with ExitStack() as stack:
        for name, module in modules.items():
            before, after = _cost_hooks(name, costs, counter, _num_params([module]))
            stack.enter_context(module.register_forward_pre_hook(before))
            stack.enter_context(module.register_forward_hook(after))
        for context in (evaluation_mode(model), torch.enable_grad(), plain, counter):
            stack.enter_context(context)
        device = next((parameter.device for parameter in model.parameters()), None)
        model(torch.zeros(1, 3, image_size, image_size, device=device))
    layers = [cost for name, cost in costs.items() if not _holds_another(name, costs)]
    rest_params = _num_params([model]) - _num_params(modules[layer.name] for layer in layers)
    rest = counter.get_total_flops() // 2 - sum(layer.multiply_adds for layer in layers)
    outside = [LayerCost(ELSEWHERE, "", (), rest_params, rest)] if rest_params or rest else []
    return layers + outside


def write_architecture_text(model: nn.Module, image_size: int, path: Path) -> None:
    """Write a plain-text table of the layers with totals.

    Batch statistics and training flags stay as they are.
    """
    layers = measure_layers(model, image_size)
    total = LayerCost(
        name="total",
        type="",
        output_shape=(),
        num_params=sum(layer.num_params for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
    )
    rows = [("layer", "type", "output", "parameters", "multiply-adds")]
    for layer in [*layers, total]:
        shape = " x ".join(map(str, layer.output_shape))
        counts = f"{layer.num_params:,}", f"{layer.multiply_adds:,}"
        rows.append((layer.name or "(model)", layer.type, shape, *counts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = "<<<>>"  # text to the left, counts to the right
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    lines = [form.format(*row) for row in rows]
    rule = "-" * len(lines[0])
    write_text(path, "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], ""]))


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put all modules into evaluation mode, and each back as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _cost_hooks(
    name: str, costs: dict[str, LayerCost], counter: FlopCounterMode, num_params: int
) -> tuple[Any, Any]:
    """Return hooks that book what the counter counts in between; several calls add up."""
    start = 0

    def before(module: nn.Module, args: Any) -> None:
        nonlocal start
        start = counter.get_total_flops()

    def after(module: nn.Module, args: Any, output: Any) -> None:
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        first = LayerCost(name, type(module).__name__, shape, num_params, 0)
        cost = costs.setdefault(name, first)
        cost.output_shape = shape
        cost.multiply_adds += (counter.get_total_flops() - start) // 2

    return before, after


def _holds_another(name: str, names: Iterable[str]) -> bool:
    prefix = f"{name}." if name else ""
    return any(other != name and other.startswith(prefix) for other in names)


def _num_params(modules: Iterable[nn.Module]) -> int:
    """Count each parameter once, even where modules share it."""
    distinct = {id(p): p.numel() for module in modules for p in module.parameters()}
    return sum(distinct.values())
