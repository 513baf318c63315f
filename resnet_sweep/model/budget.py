"""Refuse networks over the budget, and say which one of the same shape fits.

Free of torch for ResNets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.model import CustomModelConfig, ModelConfig, ResNetConfig
from resnet_sweep.data.registry import count_classes, find_image_size
from resnet_sweep.model.plan import plan_resnet
from resnet_sweep.records.run_folder import check_teacher

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
        advice = f"; {_advice(model, num_classes, image_size)}"
    if cost.num_params > model.max_params:
        name, over = "max_params", f"has {cost.num_params:,} parameters, over the budget of"
    else:
        name = "max_multiply_adds"
        over = f"takes {cost.multiply_adds:,} multiply-adds an image, over the cap of"
    budget = getattr(model, name)
    raise ConfigError(f"model.{name}", budget, f"this net {over} {budget:,}{advice}")


def check_net(config: Config) -> None:
    """Find what can be told of a net before the data are read: its budget, its teacher's folder.

    Raises:
        UserError: the net is over its budget, or its teacher cannot be had.
    """
    check_budget(config, count_classes(config.data), find_image_size(config.data))
    check_teacher(config.regularization)


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
    from resnet_sweep.system.importing import import_dotted

    assert isinstance(config.model, CustomModelConfig)
    assert config.model.target is not None
    net = import_dotted(config.model.target, "model.target")
    ghost_size = config.regularization.ghost_batch_size
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


def _advice(config: ResNetConfig, num_classes: int, image_size: int) -> str:
    """Name the largest width of this shape that fits.

    Bisect over the width, then step down to the first that fits. Stepping starts a little above:
    where two widths become equal a shortcut falls away, so the cost can dip.
    """
    full = config.base_width or max(config.stage_widths())

    def cost_at(width: int) -> Cost | None:
        try:
            return resnet_cost(_scaled(config, width, full), num_classes, image_size)
        except ConfigError:  # `pad` shortcuts from a fixed stem_width or first_width
            return None

    fits, over = 0, full
    while over - fits > 1:
        middle = (fits + over) // 2
        cost = cost_at(middle)
        if cost is None or _fits(cost, config):
            fits = middle
        else:
            over = middle
    for width in range(min(fits + 8, full - 1), 0, -1):
        cost = cost_at(width)
        if cost is not None and _fits(cost, config):
            shown = _shown(_scaled(config, width, full), cost)
            return f"the largest of this shape that fits: {shown}"
    costs = ((width, cost_at(width)) for width in range(1, full + 1))
    smallest, cost = next((width, cost) for width, cost in costs if cost is not None)
    fixed = [name for name in ("stem_width", "first_width") if getattr(config, name) is not None]
    others = "".join(f" or a smaller model.{name}" for name in fixed)
    shown = _shown(_scaled(config, smallest, full), cost)
    return f"no width fits, not even {shown}: use fewer blocks{others}"


def _scaled(config: ResNetConfig, width: int, full: int) -> ResNetConfig:
    """Return the shape with this base_width, or with this in place of the largest width, `full`.

    stem_width and first_width stay: wide networks widen the stages behind them.
    """
    if config.base_width is not None:
        return replace(config, base_width=width)
    widths = config.stage_widths()
    return replace(config, widths=[max(1, round(each * width / full)) for each in widths])


def _shown(config: ResNetConfig, cost: Cost) -> str:
    """Return the override that gives this width, and what it costs."""
    widths = f"widths=[{','.join(map(str, config.stage_widths()))}]"
    override = widths if config.base_width is None else f"base_width={config.base_width}"
    text = f"{cost.num_params:,} parameters"
    if config.max_multiply_adds is not None:
        text += f", {cost.multiply_adds:,} multiply-adds"
    return f"model.{override} ({text})"
