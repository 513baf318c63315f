"""Types and ranges of what a record says, before somebody computes with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from types import NoneType
from typing import Any, Union, get_args, get_origin, get_type_hints

Limits = Mapping[str, tuple[float, float]]
Test = Callable[[Any], bool]
_WORDS: dict[Any, str] = {int: "an integer", float: "a number", str: "text", list: "a list"}
_WORDS |= {dict: "an object", NoneType: "null"}


def check_record(record: Any, limits: Limits) -> None:
    """Refuse a value that is not of its field's type, or outside its limits.

    Args:
        record: a dataclass of scalars, lists and dictionaries.
        limits: lowest and highest number of a field, both allowed.

    Raises:
        TypeError: names the field, its value and what is allowed.
    """
    for name, (kind, fits) in _kinds(record.__class__).items():
        value = getattr(record, name)
        bounds = limits.get(name)
        if fits(value) and (bounds is None or _is_within(value, bounds)):
            continue
        allowed = _word(kind) if bounds is None else f"from {bounds[0]} to {bounds[1]}"
        raise TypeError(f"{name} is {_shown(value)}, must be {allowed}")


def check_plain(value: Any, name: str) -> None:
    """Refuse numbers that are not finite, or too large for a float, wherever they stand.

    Raises:
        TypeError: names the place and the value.
    """
    if _is_plain([value]):
        return
    if isinstance(value, dict):
        for key, each in value.items():
            check_plain(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for each in value:
            check_plain(each, name)
    else:
        raise TypeError(f"{name} is {_shown(value)}, must be a finite number")


def _is_plain(value: Any) -> bool:
    """Return whether every number is finite: without names, in a fraction of the time."""
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, (dict, list)):
            if not _is_plain(each):
                return False
        elif isinstance(each, (int, float)) and not _is_finite(each):
            return False
    return True


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _is_within(value: Any, bounds: tuple[float, float]) -> bool:
    if isinstance(value, list):
        return all(_is_within(each, bounds) for each in value)
    return value is None or bool(bounds[0] <= value <= bounds[1])


@cache  # reading type hints takes long
def _kinds(record: type) -> dict[str, tuple[Any, Test]]:
    hints = get_type_hints(record)
    return {field.name: (hints[field.name], _test(hints[field.name])) for field in fields(record)}


@cache
def _test(kind: Any) -> Test:
    """Return what tells whether a value is of this type."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: True
    if origin is Union:
        given, nothing = inner
        assert nothing is NoneType, f"{kind} is not Optional"
        test = _test(given)
        return lambda value: value is None or test(value)
    if origin is list:
        item = _test(inner[0])
        return lambda value: isinstance(value, list) and all(map(item, value))
    if origin is dict:
        key, item = map(_test, inner)
        return lambda value: (
            isinstance(value, dict) and all(map(key, value)) and all(map(item, value.values()))
        )
    return {float: _is_number, int: _is_integer}.get(kind, lambda value: isinstance(value, kind))


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (_is_whole(value) and _is_finite(value))


def _is_integer(value: Any) -> bool:
    return _is_whole(value) and abs(value) < 2**63


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _word(kind: Any) -> str:
    if get_origin(kind) is Union:
        return " or ".join(map(_word, get_args(kind)))
    return _WORDS[get_origin(kind) or kind]


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
