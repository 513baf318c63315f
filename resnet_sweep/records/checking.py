"""Types and ranges of what a record says, before somebody computes with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import Any, Union, get_args, get_origin, get_type_hints

Limits = Mapping[str, tuple[float, float]]
_WORDS: dict[Any, str] = {int: "an integer", float: "a number", str: "text", list: "a list"}
_KINDS: dict[type, dict[str, Any]] = {}  # reading type hints takes long
_WORDS |= {dict: "an object", NoneType: "null"}


def check_record(record: Any, limits: Limits) -> None:
    """Refuse a value that is not of its field's type, or outside its limits.

    Args:
        record: a dataclass of scalars, lists and dictionaries.
        limits: lowest and highest number of a field, both allowed.

    Raises:
        TypeError: names the field, its value and what is allowed.
    """
    for name, kind in _kinds(type(record)).items():
        value = getattr(record, name)
        bounds = limits.get(name)
        if _fits(kind, value) and (bounds is None or _is_within(value, bounds)):
            continue
        allowed = _word(kind) if bounds is None else f"from {bounds[0]} to {bounds[1]}"
        raise TypeError(f"{name} is {_shown(value)}, must be {allowed}")


def check_plain(value: Any, name: str) -> None:
    """Refuse numbers that are not finite, or too large for a float, wherever they stand.

    Raises:
        TypeError: names the place and the value.
    """
    if isinstance(value, dict):
        for key, each in value.items():
            check_plain(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for each in value:
            check_plain(each, name)
    elif isinstance(value, (int, float)) and not _is_finite(value):
        raise TypeError(f"{name} is {_shown(value)}, must be a finite number")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _is_within(value: Any, bounds: tuple[float, float]) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(each is None or bounds[0] <= each <= bounds[1] for each in values)


def _kinds(record: type) -> dict[str, Any]:
    if record not in _KINDS:
        hints = get_type_hints(record)
        _KINDS[record] = {field.name: hints[field.name] for field in fields(record)}
    return _KINDS[record]


def _fits(kind: Any, value: Any) -> bool:
    origin = get_origin(kind)
    if kind is Any:
        return True
    if origin is Union:
        return any(_fits(each, value) for each in get_args(kind))
    if origin is list:
        return isinstance(value, list) and all(_fits(get_args(kind)[0], each) for each in value)
    if origin is dict:
        key_kind, value_kind = get_args(kind)
        pairs = value.items() if isinstance(value, dict) else [(None, None)]
        return all(_fits(key_kind, key) and _fits(value_kind, each) for key, each in pairs)
    if kind is float:
        is_integer = isinstance(value, int) and not isinstance(value, bool) and _is_finite(value)
        return is_integer or isinstance(value, float)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, kind)


def _word(kind: Any) -> str:
    if get_origin(kind) is Union:
        return " or ".join(map(_word, get_args(kind)))
    return _WORDS[get_origin(kind) or kind]


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
