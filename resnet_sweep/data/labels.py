"""Labels, class names and IDs as users write them, checked one by one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_sweep.config.errors import UserError

MAX_SHOWN = 40
MAX_BITS = 64
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_LOOSE_INTEGER = re.compile(r"([+-]?\d{1,18})(\.0*)?")


def find_key(content: Container[Any], names: Sequence[Any]) -> Any:
    """Return the first of these names that there is."""
    return next((name for name in names if name in content), None)


def read_labels(
    values: Any, where: str, num_images: int, class_names: Sequence[str]
) -> tuple[NDArray[np.int64], str]:
    """Read labels: class names, or their places in `class_names`.

    Where all class names are integers, an integer is the name of its class: folders are sorted as
    text, so that class 10 has place 2. Where only some are, as 0 to 10 beside "other", an integer
    that names one class and is the place of another is refused.

    Args:
        values: an array [N] or [N, 1], or a list, of integers or of text.
        where: file and field, for messages.

    Returns:
        places: int64 [N].
        reading: how they were read, where they could have been meant otherwise; or empty.

    Raises:
        UserError: names the first position that is wrong.
    """
    column = as_column(values, where, num_images, "label")
    places = {name: place for place, name in enumerate(class_names)}
    are_names = describe_number_order(class_names) is not None
    named: dict[int, int] = {}
    if are_names:  # a number that two names have, as 1 and 01, has no place
        known = _read_numbers(class_names)
        numbers = {n: place for place, n in enumerate(known) if known.count(n) == 1}
    else:
        numbers = {place: place for place in places.values()}
        # Names that a person reads as an integer: +1, 2.0, 3.
        found = ((_LOOSE_INTEGER.fullmatch(name.strip()), p) for p, name in enumerate(class_names))
        named = {int(match[1]): place for match, place in found if match}
    labels = np.empty(num_images, np.int64)
    reading = ""
    for index, value in enumerate(column):
        plain, here = _plain(value), f"{where}[{index}]"
        if isinstance(plain, str):
            labels[index] = find_class(plain, places, here)
        elif not isinstance(plain, int):
            allowed = "must be an integer or a class name"
            raise UserError(f"{here}: {allowed}, not {_shown(value)}")
        elif named.get(plain, plain) != plain:
            raise _two_readings(plain, here, class_names, named[plain])
        elif plain in numbers:
            labels[index] = numbers[plain]
            reading = " (its numbers are class names, not places)" if are_names else ""
        else:
            raise _wrong_number(plain, here, class_names, are_names)
    return labels, reading


def describe_number_order(class_names: Sequence[str]) -> str | None:
    """Return a line where class names are integers that differ from their places."""
    numbers = _read_numbers(class_names)
    place = next((place for place, number in enumerate(numbers) if number != place), None)
    if place is None:
        return None
    order = "class names are numbers in the order of text"
    return f"{order}: the class at place {place}, counted from 0, is {class_names[place]}"


def _read_numbers(class_names: Sequence[str]) -> list[int]:
    """Return all class names as integers, or nothing where one is none."""
    are_numbers = all(_INTEGER.fullmatch(name) for name in class_names)
    return [int(name) for name in class_names] if are_numbers else []


def _two_readings(number: int, where: str, class_names: Sequence[str], place: int) -> UserError:
    by_name = f"label {number} is the name of class {class_names[place]} (at place {place})"
    is_place = 0 <= number < len(class_names)
    by_place = f" and the place of class {class_names[number]}" if is_place else ""
    return UserError(f"{where}: {by_name}{by_place}; give class names")


def _wrong_number(
    number: int, where: str, class_names: Sequence[str], are_names: bool
) -> UserError:
    top = len(class_names) - 1
    if not are_names:
        return UserError(f"{where}: label must be from 0 to {top}, is {_shown(number)}")
    shown = ", ".join(class_names[:12]) + (", ..." if top >= 12 else "")
    as_place = f"; as a place it would be class {class_names[number]}" if 0 <= number <= top else ""
    problem = f"label {_shown(number)} is not the number of one class ({shown}){as_place}"
    return UserError(f"{where}: {problem}; give class names")


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
    for index, value in enumerate(as_column(values, where, num_images, "ID")):
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


def flatten_column(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array [N, 1], which Keras users have, as [N]; any other as it is."""
    return values.ravel() if values.ndim == 2 and values.shape[1] == 1 else values


def as_column(values: Any, where: str, num_images: int, what: str) -> Sequence[Any]:
    """Return an array or a list with one entry an image; nested lists are not looked into."""
    if isinstance(values, np.ndarray):
        flat = flatten_column(values)
        if flat.ndim != 1 or flat.dtype.kind not in "iuUS":
            allowed = f"must be integers or text [N], one {what} for each image"
            raise UserError(f"{where}: {allowed}; found {values.dtype} {list(values.shape)}")
        column: Sequence[Any] = flat.tolist()
    elif isinstance(values, (list, tuple)):
        column = values
    else:
        raise UserError(f"{where}: must be a list or an array, not {type(values).__name__}")
    if len(column) != num_images:
        found = f"has {len(column)} for {num_images} images"
        raise UserError(f"{where}: must have one {what} for each image; {found}")
    return column


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
