"""Whether a proposal is worth a worker's time, decided without data, device or torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import ModelConfig, ResNetConfig
from resnet_sweep.model.budget import Cost, measure_cost

# Fields that change where and how fast a run goes, what it shows, or only a name.
_WITHOUT_EFFECT = {
    "": ("resume", "evaluate_test"),
    "train": (
        "name",
        "device",
        "compile",
        "channels_last",
        "deterministic",
        "checkpoint_interval_seconds",
        "num_threads",
        "progress",
        "tensorboard",
        "figures",
    ),
    "model": ("max_params", "max_multiply_adds"),
    "data": ("download", "cache_dir"),
    "regularization": ("name",),
}
_WIDTHS = ("widths", "base_width", "width_factor", "first_width")


@dataclass(frozen=True)
class Verdict:
    """What is to become of a proposal.

    Args:
        reason: `over_budget` (parameters), `over_multiply_adds`, `unbuildable`, or None.
        num_params, multiply_adds: None where it cannot be built.
        excess: how far it is over its limit, as a fraction of the limit.
    """

    accepted: bool
    reason: str | None
    num_params: int | None
    multiply_adds: int | None
    excess: float | None = None


UNBUILDABLE = Verdict(False, "unbuildable", None, None)


def judge(config: Config, num_classes: int, image_size: int) -> Verdict:
    """Compare a network with its budget; a proposal that cannot be built is no error."""
    try:
        cost = measure_cost(config, num_classes, image_size)
    except UserError:
        return UNBUILDABLE
    return compare_with_budget(cost, config.model)


def compare_with_budget(cost: Cost, budget: ModelConfig) -> Verdict:
    reason, excess, cap = None, None, budget.max_multiply_adds
    if cost.num_params > budget.max_params:
        reason, excess = "over_budget", cost.num_params / budget.max_params - 1
    elif cap is not None and cost.multiply_adds > cap:
        reason, excess = "over_multiply_adds", cost.multiply_adds / cap - 1
    return Verdict(reason is None, reason, cost.num_params, cost.multiply_adds, excess)


def signature(config: Config) -> str:
    """Return a digest of everything that decides how a run ends, its seed included.

    Two ways to write one net have one signature; so do a learning rate before and after scaling.
    """
    text = json.dumps(outcome_fields(config), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def outcome_fields(config: Config) -> dict[str, Any]:
    """Return the values that decide how a run ends, by dotted path, in one spelling."""
    values = to_dict(config)
    for group, names in _WITHOUT_EFFECT.items():
        node = values[group] if group else values
        for name in names:
            node.pop(name, None)
    _spell_lr(values, config)
    _spell_ingredients(values, config)
    if isinstance(config.model, ResNetConfig):
        _spell_net(values["model"], config.model)
    return _flat(values)


def _spell_lr(values: dict[str, Any], config: Config) -> None:
    optimizer = values["optimizer"]
    for name in ("lr_scaling", "implementation"):
        del optimizer[name]
    peak = config.optimizer.peak_lr(config.train.batch_size)
    optimizer["lr"] = _ten_digits(peak)
    if "others_lr" in optimizer:  # follows lr
        optimizer["others_lr"] *= peak / config.optimizer.lr


def _spell_ingredients(values: dict[str, Any], config: Config) -> None:
    """Drop ingredients that are off, so that runs from before they existed keep their digest."""
    if config.train.start_image_size is None:
        for name in ("start_image_size", "full_size_from"):
            del values["train"][name]
    if config.augmentation.ricap is None:
        del values["augmentation"]["ricap"]
    crop_flip = values["augmentation"]["crop_flip"]
    if crop_flip is not None and not crop_flip["alternate_flip"]:
        del crop_flip["alternate_flip"]
    if config.optimizer.lookahead_steps is None:
        for name in ("lookahead_steps", "lookahead_alpha"):
            del values["optimizer"][name]
    regularization = values["regularization"]
    if config.regularization.distill_from is None:
        for name in ("distill_from", "distill_weight", "distill_temperature"):
            del regularization[name]
    regularization["sam_rho"] = config.regularization.sam_radius()
    ghost_size = regularization["ghost_batch_size"]
    if ghost_size is not None and ghost_size >= config.train.batch_size:
        regularization["ghost_batch_size"] = None  # one slice is the whole batch
    for name in ("sam", "sam_rho", "ghost_batch_size", "swa_start"):
        if regularization[name] is None:
            del regularization[name]


def _spell_net(model: dict[str, Any], config: ResNetConfig) -> None:
    """Write widths, kernels and strides as lists, and drop what is not used."""
    for name in ("name", *_WIDTHS):
        del model[name]
    model["widths"] = config.stage_widths()
    model["stem_width"] = config.stem_width or config.stage_widths()[0]
    model["kernel_size"] = config.stage_kernel_sizes()
    model["strides"] = config.stage_strides()
    model["shortcut_kernel_size"] = config.stage_shortcut_kernel_sizes()
    if config.shortcut != "conv":
        del model["shortcut_kernel_size"]
    if not config.additive_widths:
        del model["additive_widths"]
    if not config.whitened_stem:
        del model["whitened_stem"]
    if not config.squeeze_excitation:
        del model["squeeze_ratio"]


def _flat(values: dict[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{path}{name}.")
        else:
            flat[f"{path}{name}"] = _ten_digits(value)
    return flat


def _ten_digits(value: Any) -> Any:
    """Round what went through 1 - x or a scaling, so that equal values are equal."""
    if isinstance(value, list):
        return [_ten_digits(item) for item in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value
