"""Refuse networks over the budget, and say which one of the same shape fits.

Free of torch for ResNets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.model import CustomModelConfig, ModelConfig, ResNetConfig
from resnet_sweep.model.plan import plan_resnet

CostOf = Callable[[ResNetConfig], "Cost"]
_custom_costs: dict[tuple[object, ...], tuple[object, Cost]] = {}


@dataclass(frozen=True)
class Cost:
    """Parameters of a network and multiply-adds of one image's forward pass.

    Args:
        multiply_adds: 0 for a custom network whose parameters alone are over the budget.
    """

    num_params: int
    multiply_adds: int


def check_budget(config: Config, num_classes: int, image_size: int = 32) -> Cost:
    """Return the cost of the network.

    Raises:
        ConfigError: it exceeds model.max_params or model.max_multiply_adds; the message names
            the largest width of the same shape that fits. Or it cannot be built at all.
    """

    cost, model = measure_cost(config, num_classes, image_size), config.model
    if _fits(cost, model):
        return cost
    advice = ""
    if isinstance(model, ResNetConfig):
        advice = f"; {_advice(model, lambda other: resnet_cost(other, num_classes, image_size))}"
    _refuse(model, cost, advice)


def measure_cost(config: Config, num_classes: int, image_size: int = 32) -> Cost:
    """Return the cost of the network, within budget or not.

    Raises:
        ConfigError: it cannot be built.
    """
    if isinstance(config.model, ResNetConfig):
        return resnet_cost(config.model, num_classes, image_size)
    return _measure_custom(config, num_classes, image_size)


def resnet_cost(model: ResNetConfig, num_classes: int, image_size: int) -> Cost:
    """Return the cost of a ResNet.

    Raises:
        ConfigError: it cannot be built.
    """
    plan = plan_resnet(model, num_classes, image_size)
    return Cost(plan.num_params, plan.multiply_adds)


def _measure_custom(config: Config, num_classes: int, image_size: int) -> Cost:
    """Measure a custom network once for all its trials: it takes longer than all the rest."""
    from resnet_sweep.model.build import import_target

    assert isinstance(config.model, CustomModelConfig)
    net, ghost_size = import_target(config.model), config.regularization.ghost_batch_size
    key = (id(net), repr(config.model), ghost_size, num_classes, image_size)
    if key not in _custom_costs:
        # The net as well, which may have no hash: while it lives no other has its id.
        _custom_costs[key] = net, _measure_custom_uncached(config, num_classes, image_size)
    return _custom_costs[key][1]


def _measure_custom_uncached(config: Config, num_classes: int, image_size: int) -> Cost:
    import torch

    from resnet_sweep.model.build import OverBudget, build_model, check_trains
    from resnet_sweep.model.summary import measure_layers

    assert isinstance(config.model, CustomModelConfig)
    try:
        net = build_model(config, num_classes, image_size)
    except OverBudget as error:
        return Cost(error.num_params, 0)
    check_trains(config.model, net, torch.arange(4) % num_classes, image_size)
    try:
        layers = measure_layers(net, image_size)
    except (Exception, SystemExit) as error:
        problem = f"its forward pass on one image failed: {type(error).__name__}: {error}"
        raise ConfigError("model.target", config.model.target, problem) from error
    num_params = sum(layer.num_params for layer in layers)
    return Cost(num_params, sum(layer.multiply_adds for layer in layers))


def _fits(cost: Cost, budget: ModelConfig) -> bool:
    cap = budget.max_multiply_adds
    return cost.num_params <= budget.max_params and (cap is None or cost.multiply_adds <= cap)


def _refuse(budget: ModelConfig, cost: Cost, advice: str) -> NoReturn:
    if cost.num_params > budget.max_params:
        over = f"this net has {cost.num_params:,} parameters, over the budget of"
        text = f"{over} {budget.max_params:,}{advice}"
        raise ConfigError("model.max_params", budget.max_params, text)
    over = f"this net takes {cost.multiply_adds:,} multiply-adds an image, over the cap of"
    text = f"{over} {budget.max_multiply_adds:,}{advice}"
    raise ConfigError("model.max_multiply_adds", budget.max_multiply_adds, text)


def _advice(config: ResNetConfig, cost_of: CostOf) -> str:
    smaller = _largest_that_fits(config, cost_of)
    if smaller is not None:
        cost = _shown_cost(cost_of(smaller), config)
        return f"the largest of this shape that fits: {_override(smaller)} ({cost})"
    smallest = _smallest(config, cost_of)
    cost = _shown_cost(cost_of(smallest), config)
    fixed = [name for name in ("stem_width", "first_width") if getattr(config, name) is not None]
    others = "".join(f" or a smaller model.{name}" for name in fixed)
    return f"no width fits, not even {_override(smallest)} ({cost}): use fewer blocks{others}"


def _largest_that_fits(config: ResNetConfig, cost_of: CostOf) -> ResNetConfig | None:
    """Bisect over the width, then step down to the first that fits.

    Stepping starts a little above: where two widths become equal a shortcut falls away, so
    the cost can dip.
    """
    fits, over = 0, _full_width(config)
    while over - fits > 1:
        middle = (fits + over) // 2
        cost = _cost_if_buildable(_scaled(config, middle), cost_of)
        if cost is None or _fits(cost, config):
            fits = middle
        else:
            over = middle
    for width in range(min(fits + 8, _full_width(config) - 1), 0, -1):
        candidate = _scaled(config, width)
        cost = _cost_if_buildable(candidate, cost_of)
        if cost is not None and _fits(cost, config):
            return candidate
    return None


def _smallest(config: ResNetConfig, cost_of: CostOf) -> ResNetConfig:
    candidates = (_scaled(config, width) for width in range(1, _full_width(config) + 1))
    return next(each for each in candidates if _cost_if_buildable(each, cost_of) is not None)


def _cost_if_buildable(config: ResNetConfig, cost_of: CostOf) -> Cost | None:
    try:
        return cost_of(config)
    except ConfigError:  # `pad` shortcuts from a fixed stem_width or first_width
        return None


def _full_width(config: ResNetConfig) -> int:
    return config.base_width or max(config.stage_widths())


def _scaled(config: ResNetConfig, width: int) -> ResNetConfig:
    """Return the shape with this base_width, or with this as the largest of its widths.

    stem_width and first_width stay: wide networks widen the stages behind them.
    """
    if config.base_width is not None:
        return replace(config, base_width=width)
    widths, full = config.stage_widths(), _full_width(config)
    return replace(config, widths=[max(1, round(each * width / full)) for each in widths])


def _override(config: ResNetConfig) -> str:
    if config.base_width is not None:
        return f"model.base_width={config.base_width}"
    return f"model.widths=[{','.join(map(str, config.stage_widths()))}]"


def _shown_cost(cost: Cost, budget: ModelConfig) -> str:
    text = f"{cost.num_params:,} parameters"
    if budget.max_multiply_adds is None:
        return text
    return f"{text}, {cost.multiply_adds:,} multiply-adds"
