"""How numbers and intervals read in every report; what is not known is a dash."""

from __future__ import annotations

import math

UNKNOWN = "-"


def number(value: float, form: str = ".4f") -> str:
    """Return a number, or a dash for NaN; what rounds to zero has no minus."""
    form = form.replace(".", "z.", 1)  # "+.2f" -> "+z.2f", PEP 682
    return UNKNOWN if math.isnan(value) else format(value, form)


def points(value: float, form: str = "+.2f") -> str:
    """Return a fraction of 1 in points (hundredths)."""
    return number(100 * value, form)


def cut_to_fractions(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an accuracy's interval as they are shown: none lies beyond 0 or 1."""
    return max(low, 0.0), min(high, 1.0)


def bounds(low: float, high: float, form: str = ".4f", scale: float = 1.0) -> str:
    """Return the ends of an interval; those of an accuracy (no sign in `form`) are cut to [0, 1].

    Args:
        scale: 100 shows points.
    """
    if math.isnan(low):
        return UNKNOWN
    if not form.startswith("+"):
        low, high = cut_to_fractions(low, high)
    return f"{number(scale * low, form)} to {number(scale * high, form)}"


def point_bounds(low: float, high: float, form: str = "+.2f") -> str:
    """Return the ends of an interval of fractions in points."""
    return bounds(low, high, form, scale=100)


def with_interval(mean: float, low: float, high: float, form: str = ".4f") -> str:
    """Return `0.9100 (95% interval 0.9080 to 0.9120)`."""
    ends = "unknown" if math.isnan(low) else bounds(low, high, form)
    return f"{number(mean, form)} (95% interval {ends})"
