"""The errors that a user can cause, and the checks that raise them."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Collection, Iterable
from typing import Any

# Fields that went, and what the command line takes in their place.
RETIRED = {
    "train.tensorboard": (
        "is no field any more: write tracker=tensorboard, or tracker=none for false; in the "
        "defaults of a file `override /tracker: tensorboard`"
    )
}


class UserError(ValueError):
    """A mistake that the user can mend: printed as one line, exit status 2."""


class RunFolderError(UserError):
    """A run folder that cannot be used, whatever the configuration.

    Where the system is to blame, its OSError is the __cause__.
    """


class DataError(UserError):
    """Data that cannot be read: no other configuration would mend it."""


class ConfigError(UserError):
    """A field with a value that is not allowed.

    Args:
        field: dotted path of the field, as on the command line.
        value: what was given.
        allowed: what would have been right.
    """

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        super().__init__(f"{field}={'null' if value is None else value}: {allowed}")
        self.field = field


def one_line(error: BaseException) -> str:
    """Return type and message; of an OSError its number as well: `OSError: [Errno 28] No space`."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def why(error: BaseException) -> str:
    """Return the message of an error's cause, or its own, in one line; its type if it is empty."""
    source = error.__cause__ or error
    return " ".join(str(source).split()) or type(source).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the known name that was meant, or all of them, as the end of a message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(names) or 'none'}"


def no_such_field(path: str, known: Iterable[str]) -> str:
    """Return what to say of a dotted path whose last name is not among the known ones."""
    name = path.rpartition(".")[2]
    return RETIRED.get(path) or f"there is no such field; {did_you_mean(name, known)}"


def require(condition: bool, field: str, value: Any, allowed: str) -> None:
    """Raise ConfigError unless `condition` holds."""
    if not condition:
        raise ConfigError(field, value, allowed)


def require_one_of(
    field: str, value: Any, allowed: Collection[Any], *, or_null: bool = False
) -> None:
    if value not in allowed and not (or_null and value is None):
        raise ConfigError(field, value, f"must be one of {', '.join(map(str, allowed))}")


def require_int(
    field: str, value: Any, low: int, high: int | None = None, *, or_null: bool = False
) -> None:
    """Raise ConfigError unless `value` is an integer in [low, high], or null where that may be."""
    if or_null and value is None:
        return
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if not is_int or value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(field, value, f"must be an integer, {bounds}")


def require_number(
    field: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
    or_null: bool = False,
) -> None:
    """Raise ConfigError unless `value` is a finite number between `low` and `high`."""
    if or_null and value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_finite = is_number and math.isfinite(value)
    above = is_finite and (value > low if open_low else value >= low)
    below = is_finite and (value < high if open_high else value <= high)
    if not above or not below:
        low_text = f"more than {low:g}" if open_low else f"at least {low:g}"
        high_text = f" and less than {high:g}" if open_high else f" and at most {high:g}"
        allowed = f"must be a finite number, {low_text}{high_text if high < math.inf else ''}"
        raise ConfigError(field, value, allowed)


def require_ints(field: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise ConfigError unless `value` is a non-empty list of integers in [low, high]."""
    require(isinstance(value, list) and len(value) > 0, field, value, "must be a list of integers")
    for item in value:
        require_int(field, item, low, high)


def list_of(field: str, value: Any) -> list[str]:
    """Return the texts of a field that holds one of them or a list.

    Raises:
        ConfigError: it is null, empty or holds something else.
    """
    values = value if isinstance(value, list) else [value]
    for item in values:
        if not isinstance(item, (str, int, float)) or isinstance(item, bool) or item == "":
            raise ConfigError(field, value, "must be one name, or a list of names: [a,b]")
    return [str(item) for item in values]


def distinct_paths(field: str, value: Any, allowed: str) -> list[str]:
    """Return the paths of a field that holds one of them or a list, all to different places.

    Args:
        allowed: what each must be.

    Raises:
        ConfigError: there is none, one is no path, or two lead to the same place.
    """
    try:
        paths = list_of(field, value)
        require(len(paths) > 0, field, value, allowed)
    except ConfigError:
        raise ConfigError(field, value, allowed) from None
    places: dict[str, str] = {}
    for path in paths:
        place = os.path.realpath(os.path.expanduser(path))
        if place in places:
            raise ConfigError(field, value, f"{places[place]} and {path} are the same; {allowed}")
        places[place] = path
    return paths
