"""Which settings tell the rows of a leaderboard apart, and how they read."""

from __future__ import annotations

from typing import Any

from resnet_sweep.analysis.runs import text_of
from resnet_sweep.analysis.view import View

TARGET = "model.target"  # names a user's own net, whose other fields no other net has
WIDTHS = "model.widths"
Rows = dict[str, dict[str, str]]


def shown_settings(
    view: View, runs: list[str], count: int | None = None
) -> tuple[dict[str, str], str]:
    """Return each run's settings in which these runs differ, and those of the sweep all share.

    The settings that matter most come first. A setting that only some runs have counts where
    those differ: the others chose an option without it, and that choice is told.

    Args:
        count: the first ones only.
    """
    rows = {run: _as_built(view.archive.records[run]["settings"]) for run in runs}
    names = [name for name in _ordered(view) if _differs(name, rows)][:count]
    varied = dict.fromkeys(each.name.split("@")[0] for each in view.population.parameters)
    alike = [name for name in varied if not _differs(name, rows)]
    first = next(iter(rows.values()), {})
    in_all = [name for name in alike if all(row.get(name) for row in rows.values())]
    return {run: _assignments(row, names) for run, row in rows.items()}, _assignments(first, in_all)


def _as_built(settings: dict[str, Any]) -> dict[str, str]:
    """Return settings as texts, without those that have no say beside `base_width`."""
    texts = {name: text_of(value) for name, value in settings.items()}
    if texts.get("model.base_width"):
        texts[WIDTHS] = ""
    else:
        texts.pop("model.width_factor", None)
    return texts


def _ordered(view: View) -> list[str]:
    order = [test.parameter.name.split("@")[0] for test in view.importance.tests]
    ranks = {name: place for place, name in reversed(list(enumerate(order)))}
    names = dict.fromkeys([*view.differing, WIDTHS])  # widths differ where some count for nothing
    return sorted(names, key=lambda name: ranks.get(name, len(order)))


def _differs(name: str, rows: Rows) -> bool:
    values = {row[name] for row in rows.values() if name in row}
    if name == TARGET:
        return any(values) and (len(values) > 1 or any(name not in row for row in rows.values()))
    return len(values) > 1


def _assignments(row: dict[str, str], names: list[str]) -> str:
    return " ".join(f"{name}={row[name]}" for name in names if row.get(name))
