"""Known experiments as the first trials of a sweep: the draws that would give them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict
from resnet_sweep.config.errors import ConfigError, UserError, did_you_mean
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.scheduler import ONE_CYCLE_WARMUP
from resnet_sweep.records.identity import TEACHER, changes, with_teacher_at
from resnet_sweep.records.run_folder import CONFIG, read_config_values
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.space import (
    Parameter,
    SearchSpace,
    describe_distribution,
    every_value,
    extremes,
)
from resnet_sweep.search.space_parsing import (
    NUM_STAGES,
    WARMUP_FRACTION,
    WIDTHS,
    is_one_minus,
    members,
    split_item,
    target,
    to_text,
    to_value,
)
from resnet_sweep.workers.status import Say, say_some

# Tried where nothing is named; what lies outside the space is left out.
DEFAULT_SOURCES = ("source",)
# An experiment is trained anew, with the sweep's own values of these.
_OF_THE_SWEEP = ("data.", "train.epochs", "seed")


@dataclass(frozen=True)
class Start:
    """A known experiment as a first trial.

    Args:
        params: for `study.enqueue_trial`.
        notes: what the sweep fixes otherwise than the experiment, a line each.
    """

    source: str
    params: dict[str, Any]
    notes: list[str]


def find_starts(
    space: SearchSpace, composer: Composer, sources: list[str] | None, say: Say
) -> list[Start]:
    """Return the known experiments that a sweep begins with, as trials of its space.

    Args:
        sources: names of conf/experiment, or run folders; null: DEFAULT_SOURCES.

    Raises:
        UserError: there is no such experiment.
        OutsideSpace: one that was named has a value outside the space.
    """
    starts = []
    for source in DEFAULT_SOURCES if sources is None else sources:
        try:
            config = _read_source(space, composer, source)
            params, differences = find_params(space, composer, config)
        except OutsideSpace as error:
            outside = OutsideSpace(f"hydra.sweeper.start_from={source}: {error}")
            if sources is not None:
                raise outside from error
            say(f"not a first trial: {outside}")
            continue
        notes = [
            f"{source}: {path} is {to_text(theirs)} there and {to_text(ours)} in this sweep"
            for path, theirs, ours in differences
            if not path.startswith(_OF_THE_SWEEP)
        ]
        starts.append(Start(source, params, notes))
    return starts


def teachers(space: SearchSpace, composer: Composer) -> list[str]:
    """Return the folders of the teachers that a sweep names."""
    swept = (p.distribution for p in space.parameters if p.key == TEACHER)
    drawn = [to_value(value) for each in swept for value in every_value(each) or []]
    return [str(each) for each in (composer.value({}, TEACHER), *drawn) if each is not None]


def _read_source(space: SearchSpace, composer: Composer, source: str) -> Config:
    if (Path(source) / CONFIG).is_file():
        values = read_config_values(Path(source))
        return from_dict(with_teacher_at(values, teachers(space, composer)) or values)
    known = composer.groups.get("experiment", [])
    if source not in known:
        hint = did_you_mean(source, known)
        raise UserError(f"hydra.sweeper.start_from={source}: no experiment or run folder; {hint}")
    return Composer(composer.files, []).config({"experiment": source}, None)


def enqueue_starts(study: optuna.Study, starts: list[Start], say: Say) -> None:
    for start in starts:
        study.enqueue_trial(start.params)
        say(f"a first trial: {start.source}")
        say_some(start.notes, say)


_LR_SCALING = ("optimizer", "optimizer.lr_scaling")


class OutsideSpace(UserError):
    """A configuration that the search space cannot draw."""


def find_params(
    space: SearchSpace, composer: Composer, config: Config
) -> tuple[dict[str, Any], list[tuple[str, Any, Any]]]:
    """Return the draws that give a configuration.

    Returns:
        values by study parameter, and what the space fixes otherwise: path, value there, value in
        the sweep.

    Raises:
        OutsideSpace: a value lies outside its range, is no choice, or does not go together with
            what the space fixes.
    """
    widths = _find_widths(space, composer, config)
    params: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    for parameter in space.parameters:
        if space.is_active(parameter.condition, drawn):
            key = parameter.key
            if key == "optimizer.lr":
                value: Any = _unscaled_lr(composer, drawn, config)
            else:
                value = widths[key] if key in widths else _read(config, key)
            params[parameter.name] = drawn[key] = _fit(parameter, value)
    try:
        ours = composer.config(space.complete(drawn), config.seed)
    except ConfigError as error:
        raise OutsideSpace(str(error)) from error
    return params, changes(config, ours)


def _read(config: Config, key: str) -> Any:
    """Return the value that a parameter would have had to take."""
    if key == "augmentation":
        return [name for name, value in vars(config.augmentation).items() if value is not None]
    if key == NUM_STAGES:
        return len(_model(config, key).blocks)
    if key == WARMUP_FRACTION:
        warmup = config.scheduler.warmup_epochs
        return ONE_CYCLE_WARMUP if warmup is None else warmup / config.train.epochs
    field, index = split_item(target(key))
    value: Any = config
    for name in field.split("."):
        value = getattr(value, name, None)
    if hasattr(value, "name"):  # a group, known by its option
        return value.name
    if index is not None:
        items = _stage_values(config, field) or value
        value = items[index] if items is not None and index < len(items) else None
    if value is None and (index is not None or is_one_minus(key)):
        raise OutsideSpace(f"{key}: the configuration has none")
    return round(1 - value, 12) if is_one_minus(key) else value


def _stage_values(config: Config, field: str) -> list[int] | None:
    if not isinstance(config.model, ResNetConfig):
        return None
    model = config.model
    return {
        "model.widths": model.stage_widths(),
        "model.kernel_size": model.stage_kernel_sizes(),
        "model.shortcut_kernel_size": model.stage_shortcut_kernel_sizes(),
        "model.strides": model.stage_strides(),
    }.get(field)


def _model(config: Config, key: str) -> ResNetConfig:
    if not isinstance(config.model, ResNetConfig):
        raise OutsideSpace(f"{key}: model={config.model.name} has none")
    return config.model


def _unscaled_lr(composer: Composer, drawn: dict[str, Any], config: Config) -> float:
    """Return the learning rate that the sweep's lr_scaling turns into the configuration's."""
    choices = {key: value for key, value in drawn.items() if key in _LR_SCALING}
    scaling = composer.value(choices, "optimizer.lr_scaling")
    batch_size = config.train.batch_size
    scale = replace(config.optimizer, lr=1.0, lr_scaling=scaling).peak_lr(batch_size)
    lr = config.optimizer.peak_lr(batch_size) / scale
    return float(f"{lr:.15g}")


def _find_widths(space: SearchSpace, composer: Composer, config: Config) -> dict[str, Any]:
    """Return base_width, width_factor and first_width that give the same widths."""
    swept = {p.key: p.distribution for p in space.parameters if p.key in WIDTHS}
    if not swept:
        return {}
    model = _model(config, next(iter(swept)))
    for values in _candidate_widths(swept, model, composer):
        named = {key.partition(".")[2]: value for key, value in values.items()}
        if replace(model, **named).stage_widths() == model.stage_widths():
            return values
    shown = to_text(model.stage_widths())
    raise OutsideSpace(f"model.widths={shown}: no {', '.join(swept)} of the space gives these")


def _candidate_widths(
    swept: dict[str, BaseDistribution], model: ResNetConfig, composer: Composer
) -> Iterator[dict[str, Any]]:
    def values(name: str) -> list[Any]:
        distribution = swept.get(f"model.{name}")
        if distribution is None:
            return [composer.value({}, f"model.{name}")]
        drawn = every_value(distribution) or extremes(distribution)
        return [getattr(model, name), *map(to_value, drawn)]

    widths = model.stage_widths()
    for first, factor in product(values("first_width"), values("width_factor")):
        base_width = widths[0 if first is None else min(1, len(widths) - 1)]
        yield dict(zip(WIDTHS, (base_width, factor, first), strict=True))


def _fit(parameter: Parameter, value: Any) -> Any:
    """Return a value as the study holds it.

    Raises:
        OutsideSpace: the distribution cannot draw it.
    """
    distribution = parameter.distribution
    if isinstance(value, list) and value and value.count(value[0]) == len(value):
        alternatives = [value, value[0]]  # one kernel size for all stages
    else:
        alternatives = [value]
    for each in alternatives:
        for drawn in _drawn_as(distribution, each):
            return drawn
    raise OutsideSpace(
        f"{parameter.key}={to_text(value)}: lies outside {describe_distribution(distribution)}"
    )


def _drawn_as(distribution: BaseDistribution, value: Any) -> Iterator[Any]:
    """Yield the value as it would be drawn, or nothing."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            yield from (choice for choice in choices if _is_same(choice, value))
        case IntDistribution(low=low, high=high) | FloatDistribution(low=low, high=high):
            if not _is_number(value):
                return
            step = distribution.step
            near = value if step is None else low + round((value - low) / step) * step
            near = min(max(near, low), high)
            if math.isclose(near, value, rel_tol=1e-9, abs_tol=1e-12):
                yield int(near) if isinstance(distribution, IntDistribution) else float(near)


def _is_same(choice: Any, value: Any) -> bool:
    meant = to_value(choice)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return set(members(choice)) - {"none"} == set(value)
    if _is_number(meant) and _is_number(value):  # a field of numbers holds choice(0, 1) as 0.0, 1.0
        return math.isclose(meant, value, rel_tol=1e-9)
    return type(meant) is type(value) and bool(meant == value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
