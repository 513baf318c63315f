"""The first screen: the best configuration, what is known of it, and the counts by status."""

from __future__ import annotations

import math
from html import escape

from resnet_sweep.analysis.leaderboard import shown_settings
from resnet_sweep.analysis.view import View
from resnet_sweep.reporting.numbers import cut_to_fractions
from resnet_sweep.reporting.tables import printable
from resnet_sweep.system.console import duration

SHOWN_SETTINGS = 8
COMPARED = 10  # the settings are those in which so many of the best differ


def counts(numbers: dict[str, int]) -> str:
    """Return the runs and proposals by status."""
    return "".join(
        f'<div data-status="{escape(status)}"><dt>{escape(status.replace("_", " "))}</dt>'
        f"<dd>{number:,}</dd></div>"
        for status, number in numbers.items()
    )


def best_card(view: View) -> str:
    """Return the best configuration: objective, interval, seeds, test where read, settings."""
    table = view.configurations.table
    if table.empty:
        column = escape(view.objective.column)
        return f'<p class="absent">No run has completed with a {column}.</p>'
    best = table.iloc[0]
    return "".join(
        (
            f'<p class="value">{escape(view.objective.show(best["mean"]))}</p>',
            f'<p class="measure">{escape(view.objective.label)}</p>',
            f'<dl class="facts">{"".join(_facts(view))}</dl>',
            f'<p><button type="button" class="run" data-run="{_text(best["run"])}">'
            f"{_text(best['run'])}</button></p>",
            f'<dl class="settings">{_settings(view)}</dl>',
        )
    )


def _facts(view: View) -> list[str]:
    best, objective = view.configurations.table.iloc[0], view.objective
    n = int(best["n"])
    facts = []
    if n > 1 and not math.isnan(best["low"]):
        low, high = best["low"], best["high"]
        if objective.is_accuracy:
            low, high = cut_to_fractions(low, high)
        facts.append(("95% interval", f"{objective.show(low)} to {objective.show(high)}"))
    facts.append(("seeds", f"{n}" if n > 1 else "1: promises too much until it is confirmed"))
    if not math.isnan(best["test_mean"]):
        facts.append(("test accuracy", f"{best['test_mean']:.4f}"))
    facts.append(("parameters", f"{int(best['num_params']):,} of {view.budget:,}"))
    facts += [
        ("epochs", str(best["epochs"])),
        ("time of a run", duration(float(best["train_seconds"]))),
    ]
    return [f"<div><dt>{name}</dt><dd>{_text(text)}</dd></div>" for name, text in facts]


def _settings(view: View) -> str:
    runs = view.configurations.table["run"].head(COMPARED).tolist()
    settings, _ = shown_settings(view, runs, SHOWN_SETTINGS)
    pairs = settings[runs[0]]
    return "".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in pairs)


def _text(value: object) -> str:
    return escape(printable(str(value)))
