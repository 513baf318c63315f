"""Parameters that set a field by way of another quantity.

- `a.b[i]`: entry i of a list; of the model's lists, one entry for each stage.
- `model.num_stages`: cuts the model's lists, or repeats their last entry.
- `a.one_minus_b`: b = 1 - value, so that a logarithmic range works near 1.
- `scheduler.warmup_fraction`: scheduler.warmup_epochs = value * train.epochs.
- `model.kwargs.x`: an argument of a network of one's own, whether its option names it or not.
"""

from __future__ import annotations

import re

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
