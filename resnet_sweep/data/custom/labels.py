"""Labels and IDs of a custom set, checked one by one."""

from __future__ import annotations

import difflib
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError

MAX_SHOWN = 40
MAX_BITS = 64


def find_key(content: Container[Any], names: Sequence[Any]) -> Any:
    """Return the first of these names that there is."""
    return next((name for name in names if name in content), None)


def read_labels(
    values: Any, where: str, num_images: int, class_names: Sequence[str]
) -> NDArray[np.int64]:
    """Return labels, given as places in `class_names` or as names, as places.

    Args:
        values: an array [N] or [N, 1], or a list, of integers or of text.
        where: file and field, for messages.

    Raises:
        UserError: names the first position that is wrong.
    """
    column = _as_column(values, where, num_images, "label")
    if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
        return _check_range(column, where, class_names)
    places = {name: place for place, name in enumerate(class_names)}
    labels = np.empty(num_images, np.int64)
    for index, value in enumerate(column):
        plain = _plain(value)
        if isinstance(plain, str):
            plain = find_class(plain, places, f"{where}[{index}]")
        elif not isinstance(plain, int):
            raise UserError(
                f"{where}[{index}]: must be an integer or a class name, not {_shown(value)}"
            )
        if not 0 <= plain < len(class_names):
            raise _out_of_range(where, index, plain, class_names)
        labels[index] = plain
    return labels


def find_class(name: str, places: dict[str, int], where: str) -> int:
    """Return the place of a class name.

    Raises:
        UserError: the net does not know the class.
    """
    if name in places:
        return places[name]
    close = difflib.get_close_matches(name, places, n=1)
    known = ", ".join(list(places)[:12]) + (", ..." if len(places) > 12 else "")
    hint = f"did you mean {close[0]}?" if close else f"it knows {known}"
    raise UserError(f"{where}: the net has no class {_shown(name)}; {hint}")


def read_ids(values: Any, where: str, num_images: int) -> tuple[str, ...]:
    """Return IDs as text.

    Raises:
        UserError: names the first position that is no integer or text, or repeats another.
    """
    ids = []
    for index, value in enumerate(_as_column(values, where, num_images, "ID")):
        plain = _plain(value)
        if not isinstance(plain, (int, str)):
            raise UserError(f"{where}[{index}]: must be an integer or text, not {_shown(value)}")
        ids.append(str(plain))
    check_distinct(ids, where)
    return tuple(ids)


def check_distinct(ids: Sequence[str], where: str) -> None:
    first: dict[str, int] = {}
    for index, each in enumerate(ids):
        if first.setdefault(each, index) != index:
            raise UserError(f"{where}[{index}]: repeats the ID {_shown(each)} of [{first[each]}]")


def _as_column(values: Any, where: str, num_images: int, what: str) -> Sequence[Any]:
    """Return an array or a list with one entry an image; nested lists are not looked into."""
    if isinstance(values, np.ndarray):
        flat = values.ravel() if values.ndim == 2 and values.shape[1] == 1 else values
        if flat.ndim != 1 or flat.dtype.kind not in "iuUS":
            allowed = f"must be integers or text [N], one {what} for each image"
            raise UserError(f"{where}: {allowed}; found {values.dtype} {list(values.shape)}")
        column: Sequence[Any] = np.asarray(flat)  # type: ignore[assignment]
    elif isinstance(values, (list, tuple)):
        column = values
    else:
        raise UserError(f"{where}: must be a list or an array, not {type(values).__name__}")
    if len(column) != num_images:
        found = f"has {len(column)} for {num_images} images"
        raise UserError(f"{where}: must have one {what} for each image; {found}")
    return column


def _check_range(column: NDArray[Any], where: str, class_names: Sequence[str]) -> NDArray[np.int64]:
    bad = np.flatnonzero((column < 0) | (column >= len(class_names)))
    if len(bad):
        raise _out_of_range(where, int(bad[0]), int(column[bad[0]]), class_names)
    return column.astype(np.int64)


def _out_of_range(where: str, index: int, label: int, class_names: Sequence[str]) -> UserError:
    return UserError(
        f"{where}[{index}]: label must be from 0 to {len(class_names) - 1}, is {label}"
    )


def _plain(value: Any) -> Any:
    """Return Python's own integer or text of a scalar; anything else as it is."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    if not isinstance(value, (str, bytes, int, float)):
        return type(value).__name__
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return f"one of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
