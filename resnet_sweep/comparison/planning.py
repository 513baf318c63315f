"""From files and a command line to the configurations that are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from resnet_sweep.comparison.design import Design, check_size, fractional_factorial
from resnet_sweep.comparison.recipes import START, TOGETHER, Ablation, Factor, Screening
from resnet_sweep.comparison.screened import Screened
from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.errors import UserError, require
from resnet_sweep.records.identity import changes, outcome
from resnet_sweep.search.composer import Composer
from resnet_sweep.workers.planned import PlannedRun, quiet


@dataclass(frozen=True)
class ScreeningPlan:
    """What a screening trains.

    Args:
        design: int8 [configurations, factors].
        configs: one for each row.
        left_out: factors that change nothing beside the command line.
    """

    factors: list[Factor]
    design: Design
    configs: list[Config]
    left_out: list[str]


@dataclass(frozen=True)
class RecipePlan:
    """What an ablation or a follow-up trains.

    Args:
        names, configs: the start and the recipes behind it.
        left_out: changes that change nothing beside the command line.
    """

    names: list[str]
    configs: list[Config]
    left_out: list[str]


def plan_screening(screening: Screening, given: Sequence[str]) -> ScreeningPlan:
    """Return the configurations of a screening.

    Args:
        given: overrides of the command line, which win over the file's.

    Raises:
        UserError: one of them cannot be built.
    """
    low = [*screening.common, *_low(screening.factors), *given]
    base = _compose("without any of the changes", low)
    factors, left_out = [], []
    for factor in screening.factors:
        overrides = [*screening.common, *_levels(screening.factors, [factor]), *given]
        changed = _compose(factor.name, overrides)
        _check_comparable(factor.name, changed, base)
        is_same = _same(base, changed)
        left_out += [factor.name] if is_same else []
        factors += [] if is_same else [factor]
    allowed = "must have two factors or more that change something beside the command line"
    require(len(factors) > 1, "factors", screening.name, allowed)
    check_size(screening.runs, len(factors))
    # Where all combinations are fewer than the runs, each is made once: seeds repeat them.
    design = fractional_factorial(min(screening.runs, 2 ** len(factors)), len(factors))
    configs = [
        _compose(f"configuration {row}", [*screening.common, *_row(factors, levels), *given])
        for row, levels in enumerate(design)
    ]
    _check_all_differ(factors, configs)
    return ScreeningPlan(factors, design, configs, left_out)


def _check_comparable(name: str, config: Config, base: Config) -> None:
    """Refuse a change after which other images or seeds would be compared.

    Raises:
        UserError: it says which field.
    """
    for path, _, _ in changes(base, config):
        if path == "seed" or path.startswith("data."):
            problem = f"changes {path}: all runs are compared on the same images, seed by seed"
            raise UserError(f"{name}: {problem}")


def _check_all_differ(factors: list[Factor], configs: list[Config]) -> None:
    """Refuse factors of which one undoes another.

    Raises:
        UserError: two rows of the design are one recipe.
    """
    seen: dict[str, int] = {}
    for row, config in enumerate(configs):
        first = seen.setdefault(repr(outcome(config)), row)
        if first != row:
            names = ", ".join(factor.name for factor in factors)
            problem = "makes two rows of the design one recipe: two factors set the same field"
            raise UserError(f"factors={names}: {problem}, or one has no effect beside another")


def _low(factors: list[Factor]) -> list[str]:
    return _levels(factors, [])


def _levels(factors: list[Factor], high: list[Factor]) -> list[str]:
    return [o for factor in factors for o in (factor.high if factor in high else factor.low)]


def _row(factors: list[Factor], levels: Any) -> list[str]:
    pairs = zip(factors, levels, strict=True)
    return [o for factor, level in pairs for o in (factor.high if level > 0 else factor.low)]


def plan_ablation(ablation: Ablation, given: Sequence[str]) -> RecipePlan:
    """Return the configurations of an ablation, each with one change more.

    Args:
        given: overrides of the command line, which win over the file's.

    Raises:
        UserError: one of them cannot be built, or the last is not the recipe that it should be.
    """
    _check_end(ablation)
    plan = RecipePlan([START], [_compose(START, [*ablation.start, *given])], [])
    words = list(ablation.start)
    for name, overrides in ablation.steps:
        words += overrides
        _add(plan, name, _compose(name, [*words, *given]), plan.configs[-1])
    allowed = "has no step that changes something beside the command line"
    require(len(plan.names) > 1, "steps", ablation.name, allowed)
    return plan


def plan_follow_up(screened: Screened, given: Sequence[str]) -> RecipePlan:
    """Return the start, each survivor alone on top of it, and all of them together.

    They get seeds and a split of the training images that chose no survivor.

    Args:
        given: overrides of the command line, which win over the screening's.

    Raises:
        UserError: one of them cannot be built, or none changes anything.
    """
    factors, before = screened.screening.factors, screened.screening.common
    first = _compose(START, [*before, *_low(factors), *screened.given])
    fresh = [f"seed={first.seed + screened.num_seeds}"]
    fresh.append(f"data.split_seed={first.data.split_seed + 1}")
    behind = [*screened.given, *fresh, *given]
    start = _compose(START, [*before, *_low(factors), *behind])
    _check_fresh(start, first, screened.num_seeds)
    plan = RecipePlan([START], [start], [])
    chosen = [factor for factor in factors if factor.name in screened.survivors]
    for factor in chosen:
        config = _compose(factor.name, [*before, *_levels(factors, [factor]), *behind])
        _add(plan, factor.name, config, plan.configs[0])
    allowed = "none of its survivors changes something beside the command line"
    require(len(plan.names) > 1, "screening", screened.screening.name, allowed)
    if len(plan.names) > 2:
        everything = _compose(TOGETHER, [*before, *_levels(factors, chosen), *behind])
        _add(plan, TOGETHER, everything, plan.configs[0])
    return plan


def _check_fresh(config: Config, screened: Config, num_seeds: int) -> None:
    """Refuse what chose the survivors: they would seem better than they are."""
    fresh = screened.seed + num_seeds
    require(
        config.seed >= fresh, "seed", config.seed, f"must be {fresh} or more: not the screening's"
    )
    is_fresh = config.data.split_seed != screened.data.split_seed
    require(is_fresh, "data.split_seed", config.data.split_seed, "must not be the screening's")


def _add(plan: RecipePlan, name: str, config: Config, before: Config) -> None:
    """Add a recipe to a plan, unless it is the one that it changes."""
    _check_comparable(name, config, plan.configs[0])
    if _same(config, before):
        plan.left_out.append(name)
    else:
        plan.names.append(name)
        plan.configs.append(config)


def _check_end(ablation: Ablation) -> None:
    """Refuse steps that do not arrive at the experiment that they name."""
    if ablation.end is None:
        return
    words = [*ablation.start, *(o for _, overrides in ablation.steps for o in overrides)]
    wanted = _compose("end", [f"experiment={ablation.end}"])
    found = changes(_compose("last step", words), wanted)
    differences = "; ".join(f"{path} is {ours}, there {theirs}" for path, ours, theirs in found)
    allowed = f"the last step of {ablation.name} differs from it: {differences}"
    require(not found, "end", ablation.end, allowed)


def plan_measurement(experiments: Sequence[str], given: Sequence[str]) -> list[Config]:
    """Return the configuration of each experiment, with the test set.

    Raises:
        UserError: one of them cannot be built.
    """
    composed = (_built(name, [f"experiment={name}", *given]) for name in experiments)
    return [replace(config, evaluate_test=True) for config in composed]


def _built(where: str, overrides: Sequence[str]) -> Config:
    try:
        return quiet(Composer(conf_dir(), overrides).config({}, None))
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _compose(where: str, overrides: Sequence[str]) -> Config:
    config = _built(where, overrides)
    allowed = "must leave validation images, by which the runs are compared"
    require(config.data.val_size > 0, "data.val_size", config.data.val_size, allowed)
    return config


def _same(first: Config, second: Config) -> bool:
    return outcome(first) == outcome(second)


def with_seeds(names: Sequence[str], configs: Sequence[Config], num: int) -> list[PlannedRun]:
    """Return seed by seed every configuration, so that more seeds come behind those there are."""
    return [
        PlannedRun(name, replace(config, seed=config.seed + number))
        for number in range(num)
        for name, config in zip(names, configs, strict=True)
    ]
