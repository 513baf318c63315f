"""The first screen: the best configuration, what is known of it, and the counts by status."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

import pandas as pd

from resnet_sweep.analysis.archive import NO_SPLIT
from resnet_sweep.analysis.leaderboard import shown_settings
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.analysis.view import View
from resnet_sweep.records.confirmation import is_test_of_chosen
from resnet_sweep.reporting.statistics import Interval, mean_interval
from resnet_sweep.reporting.tables import printable
from resnet_sweep.system.console import duration

SHOWN_SETTINGS = 8
TEST = Objective("test_accuracy", 1)
Row = dict[Any, Any]  # of the table of configurations
Facts = Iterator[tuple[str, str]]
Tested = dict[str, Interval]  # by configuration
COMPARED = 10  # the settings are those in which so many of the best differ


def counts(numbers: dict[str, int]) -> str:
    """Return the runs and proposals by status."""
    return "".join(
        f'<div data-status="{escape(status)}"><dt>{escape(status.replace("_", " "))}</dt>'
        f"<dd>{number:,}</dd></div>"
        for status, number in numbers.items()
    )


def best_card(view: View) -> str:
    """Return the best configuration: objective, interval, seeds, test where read, settings.

    Below it those that confirmations chose, where they are others.
    """
    table = view.configurations.table
    if table.empty:
        column = escape(view.objective.column)
        return f'<p class="absent">No run has completed with a {column}.</p>'
    best = table.head(1).to_dict("records")[0]
    tested = _tested(view)
    return "".join(
        (
            f'<p class="value">{escape(view.objective.show(best["mean"]))}</p>',
            f'<p class="measure">{escape(view.objective.label)}</p>',
            _facts([*_seeds(best, view.objective), *_test(best, tested), *_size(best, view)]),
            _run_button(best),
            f'<dl class="settings">{_settings(view)}</dl>',
            "".join(_confirmed(view)),
        )
    )


def _seeds(row: Row, objective: Objective) -> Facts:
    """Return how sure a configuration's mean is."""
    n = int(row["n"])
    if n > 1 and not math.isnan(row["low"]):
        yield "95% interval", objective.interval(row["low"], row["high"])
    yield "seeds", f"{n}" if n > 1 else "1: promises too much until it is confirmed"


def _test(row: Row, tested: Tested) -> Facts:
    """Return the test accuracy: of runs on all training images, else of those ranked."""
    found = tested.get(row["configuration"])
    if found is not None:
        yield "test accuracy", _mean(TEST, found.mean, found.low, found.high, found.n)
    elif not math.isnan(row["test_mean"]):
        yield "test accuracy", TEST.show(row["test_mean"])


def _mean(objective: Objective, mean: float, low: float, high: float, n: int) -> str:
    ends = "" if math.isnan(low) else f" ({objective.interval(low, high)})"
    return f"{objective.show(mean)}{ends}, n = {n}"


def _size(row: Row, view: View) -> Facts:
    yield "parameters", f"{int(row['num_params']):,} of {view.budget:,}"
    yield "epochs", str(row["epochs"])
    yield "time of a run", duration(float(row["train_seconds"]))


def _confirmed(view: View) -> Iterator[str]:
    """Yield what each confirmation chose, by its own record, if that is not the best."""
    table = view.configurations.table
    tested = _intervals(_runs_of_chosen(view))
    names = table["configuration"].tolist()
    places = [place for place, name in enumerate(names) if place and name in tested]
    rows = table.iloc[places].to_dict("records")
    for place, row in zip(places, rows, strict=True):
        value = _mean(view.objective, row["mean"], row["low"], row["high"], row["n"])
        yield f"<h3>Confirmed: {place + 1} of {len(table)}</h3>"
        yield _facts([(view.objective.column, value), *_test(row, tested)])
        yield _run_button(row)


def _runs_of_chosen(view: View) -> pd.DataFrame:
    """Return the runs by which confirmations tested what they had chosen."""
    runs = view.runs[(view.runs["status"] == "completed") & view.runs[TEST.column].notna()]
    paths = view.archive.paths
    is_of_chosen = runs["run"].map(lambda run: is_test_of_chosen(paths[run])).astype(bool)
    chosen: pd.DataFrame = runs[is_of_chosen]
    return chosen


def _tested(view: View) -> Tested:
    """Return the test accuracy of configurations trained with several seeds on all images."""
    runs = view.runs[(view.runs["status"] == "completed") & (view.runs["split"] == NO_SPLIT)]
    return {name: interval for name, interval in _intervals(runs).items() if interval.n > 1}


def _intervals(runs: pd.DataFrame) -> Tested:
    """Return the test accuracy over seeds; a seed that was trained twice counts once."""
    groups = runs.groupby(["configuration", "seed"])[TEST.column].mean().dropna()
    return {
        str(name): mean_interval(values.to_numpy(float))
        for name, values in groups.groupby(level="configuration", sort=False)
    }


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<div><dt>{name}</dt><dd>{_text(text)}</dd></div>" for name, text in facts)
    return f'<dl class="facts">{rows}</dl>'


def _run_button(row: Row) -> str:
    name = _text(row["run"])
    return f'<p><button type="button" class="run" data-run="{name}">{name}</button></p>'


def _settings(view: View) -> str:
    runs = view.configurations.table["run"].head(COMPARED).tolist()
    settings, _ = shown_settings(view, runs, SHOWN_SETTINGS)
    pairs = settings[runs[0]]
    return "".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in pairs)


def _text(value: object) -> str:
    return escape(printable(str(value)))
