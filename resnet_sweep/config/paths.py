"""Fields of a command that hold paths."""

from __future__ import annotations

import os
from typing import Any

from resnet_sweep.config.errors import ConfigError, require


def list_of(field: str, value: Any) -> list[str]:
    """Return the texts of a field that holds one of them or a list.

    Raises:
        ConfigError: it is null, empty or holds something else.
    """
    values = value if isinstance(value, list) else [value]
    for item in values:
        if not isinstance(item, (str, int, float)) or isinstance(item, bool) or item == "":
            raise ConfigError(field, value, "must be one or a list of them: [a,b]")
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
