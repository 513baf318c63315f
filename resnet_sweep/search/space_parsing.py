"""What keys and values of a search space mean: Hydra's sweep syntax, and keys beyond plain fields.

Some keys set a field by way of another quantity:

- `a.b[i]`: entry i of a list; of the model's lists, one entry for each stage.
- `model.num_stages`: cuts the model's lists, or repeats their last entry.
- `a.one_minus_b`: b = 1 - value, so that a logarithmic range works near 1.
- `scheduler.warmup_fraction`: scheduler.warmup_epochs = value * train.epochs.
- `model.kwargs.x`: an argument of a network of one's own, whether its option names it or not.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
    Sweep,
)
from hydra.errors import HydraException
from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override
from optuna.distributions import BaseDistribution, CategoricalDistribution

from resnet_sweep.config.errors import ConfigError, why
from resnet_sweep.system.console import quoted

SYNTAX = "must be a value or a sweep: choice(a, b), range(1, 5), interval(0.1, 1.0), tag(log, ...)"


def parse_override(line: str) -> Override:
    """Return one override as Hydra reads it.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return OverridesParser.create().parse_override(line)
    except HydraException as error:
        key, _, value = line.partition("=")
        raise ConfigError(key, value, f"{SYNTAX} ({why(error)})") from error


def to_distribution(override: Override) -> BaseDistribution:
    """Return what a sweep override draws from.

    Raises:
        UserError: nothing can be drawn from it.
    """
    key, text = override.key_or_group, shown_value(override)
    _check_sweep(override, text)
    try:
        distribution = create_optuna_distribution_from_override(override)
    except (ValueError, AssertionError, NotImplementedError) as error:
        reason = why(error) if str(error) else "it is no choice, range or interval"
        raise ConfigError(key, text, f"{SYNTAX} ({reason})") from error
    if not isinstance(distribution, BaseDistribution):
        raise ConfigError(key, text, "must be a sweep, such as choice(a, b); fix values in `fixed`")
    if isinstance(distribution, CategoricalDistribution):
        return CategoricalDistribution([*map(_without_needless_quotes, distribution.choices)])
    return distribution


def _without_needless_quotes(choice: Any) -> Any:
    """Return `sgd` for `'sgd'`, by which conditions know it; `'1'` is text and stays so."""
    value = to_value(choice)
    return value if isinstance(value, str) and to_value(value) == value else choice


def _check_sweep(override: Override, text: str) -> None:
    """Refuse bounds that are none, and a tag over which Optuna would pass.

    Without its `log`, be it misspelt, the space would be linear.
    """
    value = override.value()
    if isinstance(value, IntervalSweep):
        unknown, allowed = sorted(value.tags - {"log"}), "an interval takes log alone"
    else:
        unknown = sorted(value.tags) if isinstance(value, Sweep) else []
        allowed = "only an interval takes one, log"
    if unknown:
        raise ConfigError(override.key_or_group, text, f"has the tag {unknown[0]}: {allowed}")
    if not isinstance(value, (IntervalSweep, RangeSweep)):
        return
    end = value.end if isinstance(value, IntervalSweep) else value.stop
    assert value.start is not None and end is not None
    low, high = float(value.start), float(end)
    if not math.isfinite(high - low):
        raise ConfigError(override.key_or_group, text, "must have finite bounds")
    is_falling = isinstance(value, RangeSweep) and value.step < 0
    if low < high if is_falling else low > high:
        first = "upper bound first: its step is negative" if is_falling else "lower bound first"
        raise ConfigError(override.key_or_group, text, f"must have the {first}")
    low = min(low, high)
    if "log" in value.tags and low <= 0:
        raise ConfigError(override.key_or_group, text, "needs a lower bound above 0: it is log")


def shown_value(override: Override) -> str:
    """Return the right-hand side as it was written."""
    return str(override.input_line).partition("=")[2].strip()


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    try:
        override = parse_override(f"value={text}")
    except ConfigError:  # quoted in a choice(...), from which Hydra takes the quotes
        return text
    value = override.value()
    is_quoted = isinstance(override._value, QuotedString)
    if is_quoted or isinstance(value, (list, dict, type(None), bool, int, float)):
        return value
    return text


def to_value(drawn: Any) -> Any:
    """Return what a drawn value stands for: Optuna holds lists and null as text."""
    value = _parsed(drawn) if isinstance(drawn, str) else drawn
    return list(value) if isinstance(value, list) else value  # the cache's own stays as it is


def to_text(value: Any) -> str:
    """Return a value as the command line spells it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(to_text, value))}]"
    return str(value)


def to_argument(value: Any) -> str:
    """Return a value as the command line spells it, in quotes where it would be misread."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(to_argument, value))}]"
    if isinstance(value, str):
        return value if _reads_as_itself(value) else quoted(value)
    return to_text(value)


def _reads_as_itself(text: str) -> bool:
    try:
        override = parse_override(f"value={text}")
    except ConfigError:
        return False
    return not override.is_sweep_override() and override.value() == text


def members(choice: Any) -> list[str]:
    """Return the entries of a choice such as `[crop_flip,cutout]`, or the choice itself."""
    text = to_text(choice)
    inner = text[1:-1] if text.startswith("[") else text
    return [part.strip() for part in inner.split(",") if part.strip()]


NUM_STAGES = "model.num_stages"
WARMUP_FRACTION = "scheduler.warmup_fraction"
ONE_MINUS = "one_minus_"
ARGUMENTS = "model.kwargs"
STAGE_LISTS = ("blocks", "widths", "kernel_size", "shortcut_kernel_size", "strides")
WIDTHS = ("model.base_width", "model.width_factor", "model.first_width")
_TARGETS = {NUM_STAGES: "model.blocks", WARMUP_FRACTION: "scheduler.warmup_epochs"}
_ITEM = re.compile(r"(.+)\[(\d+)\]")


def target(key: str) -> str:
    """Return the field that a key sets, with its entry."""
    if key in _TARGETS:
        return _TARGETS[key]
    if is_argument(key):
        return key
    group, _, name = key.rpartition(".")
    return f"{group}.{name.removeprefix(ONE_MINUS)}" if group else key


def is_one_minus(key: str) -> bool:
    return key.rpartition(".")[2].startswith(ONE_MINUS) and not is_argument(key)


def is_argument(field: str) -> bool:
    """Return whether a field is what only a network of one's own knows: it may be new."""
    return field.startswith(f"{ARGUMENTS}.")


def split_item(field: str) -> tuple[str, int | None]:
    """Return the list and the index of `a.b[1]`; of another field the field and None."""
    match = _ITEM.fullmatch(field)
    return (match[1], int(match[2])) if match else (field, None)


def replaced_by(key: str, other: str) -> bool:
    """Return whether setting `other` leaves nothing for `key` to set."""
    if other == "model.widths" and key in WIDTHS:
        return True
    field = target(key)
    same = field == target(other) and other != NUM_STAGES
    return key == other or same or split_item(field)[0] == other
