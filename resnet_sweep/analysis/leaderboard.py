"""The best configurations as a table, with the settings that tell its rows apart."""

from __future__ import annotations

from typing import Any

import pandas as pd

from resnet_sweep.analysis.filters import TEST_COLUMNS
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.runs import text_of
from resnet_sweep.analysis.view import View
from resnet_sweep.config.errors import UserError
from resnet_sweep.reporting.tables import Table, printable
from resnet_sweep.system.console import duration

SORTS = ("num_params", "multiply_adds", "train_seconds", "epochs", "n")
TERMINAL_SETTINGS = 6
NOTE = (
    "One row a configuration: the mean over its n seeds, ordered by validation alone unless "
    "another column was asked for; the test set orders nothing. ± is half the 95% t interval. The "
    "run named is the best of the seeds by validation; parameters and epochs are its own. The run "
    "by which a sweep or a person chose a configuration is one of its seeds and flatters the mean: "
    "fresh seeds alone are the fair estimate."
)
TARGET = "model.target"  # names a user's own net, whose other fields no other net has
WIDTHS = "model.widths"
Rows = dict[str, dict[str, str]]
Pairs = list[tuple[str, str]]  # of a setting and its value as text


def make_leaderboard(
    view: View, top: int, sort: str | None = None, max_settings: int | None = None
) -> Table:
    """Return the best configurations, or the first ones by another column.

    Args:
        max_settings: so many of the settings in which the rows differ, the most important ones.

    Raises:
        UserError: `sort` names no column, or the test set.
    """
    total = len(view.configurations.table)
    table = _sorted(view.configurations.table, view.objective, sort).head(top)
    has_test = table["test_mean"].notna().any()
    settings, shared = shown_settings(view, table["run"].tolist(), max_settings)
    columns = ["#", view.objective.column, "± 95%", "n", "behind best", "parameters", "epochs"]
    columns += ["time", *(["test", "val - test"] if has_test else []), "run", "id", "settings"]
    rows = []
    for place, row in enumerate(table.to_dict("records")):
        half_width = "" if row["n"] < 2 else f"{row['high'] - row['mean']:.2g}"
        cells = [str(place + 1), view.objective.show(row["mean"]), half_width, str(row["n"])]
        cells += [_behind(row, view.objective), f"{int(row['num_params']):,}", str(row["epochs"])]
        cells.append(duration(float(row["train_seconds"])))
        if has_test:
            cells += [_fixed(row["test_mean"], "{:.4f}"), _fixed(row["gap"], "{:+.4f}")]
        cells += [str(row["run"]), str(row["configuration"]), _joined(settings[str(row["run"])])]
        rows.append([printable(cell) for cell in cells])
    remarks = []
    if len(table) < total:
        remarks.append(f"{len(table)} of {total} configurations; --top shows more")
    if shared:
        remarks.append(printable(f"alike in all of them: {_joined(shared)}"))
    return Table(columns, rows, len(columns) - 3, remarks)


def _sorted(table: pd.DataFrame, objective: Objective, sort: str | None) -> pd.DataFrame:
    if sort is None or sort == objective.column:
        return table
    if sort in TEST_COLUMNS:
        raise UserError(f"sort={sort}: the test set is only reported, it never orders")
    if sort not in SORTS:
        raise UserError(f"sort={sort}: must be one of {', '.join((objective.column, *SORTS))}")
    return table.sort_values(sort, ascending=sort != "n", kind="stable")


def _behind(row: dict[Any, Any], objective: Objective) -> str:
    if row["difference"] == 0:
        return ""
    text = f"{row['difference']:+.4f}" if objective.is_accuracy else f"{row['difference']:+.3g}"
    noise = row["within_noise"]
    return text if pd.isna(noise) else f"{text} {'within noise' if noise else 'beyond noise'}"


def _fixed(value: float, form: str) -> str:
    return "" if pd.isna(value) else form.format(value)


def shown_settings(
    view: View, runs: list[str], count: int | None = None
) -> tuple[dict[str, Pairs], Pairs]:
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
    return {run: _pairs(row, names) for run, row in rows.items()}, _pairs(first, in_all)


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
    names = dict.fromkeys([*view.differing, WIDTHS])  # widths differ where some count for nothing
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _differs(name: str, rows: Rows) -> bool:
    values = {row[name] for row in rows.values() if name in row}
    if name == TARGET:
        return any(values) and (len(values) > 1 or any(name not in row for row in rows.values()))
    return len(values) > 1


def _pairs(row: dict[str, str], names: list[str]) -> Pairs:
    return [(name, row[name]) for name in names if row.get(name)]


def _joined(pairs: Pairs) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)
