"""The tables of a confirmation, for the terminal and for Markdown."""

from __future__ import annotations

import math

from resnet_sweep.confirmation.findings import Choice, Findings, OverPromise, Seeds
from resnet_sweep.reporting.statistics import Interval, cut_to_fractions
from resnet_sweep.reporting.terminal import Leaderboard


def number(value: float, form: str = ".4f") -> str:
    return "" if math.isnan(value) else format(value, form)


def bounds(low: float, high: float, form: str = ".4f") -> str:
    """Return the ends of an interval, of an accuracy (no sign in `form`) cut to [0, 1]."""
    if math.isnan(low):
        return ""
    if not form.startswith("+"):
        low, high = cut_to_fractions(low, high)
    return f"{low:{form}} to {high:{form}}"


def with_interval(mean: float, low: float, high: float, form: str = ".4f") -> str:
    """Return `0.9100 (95% interval 0.9080 to 0.9120)`."""
    interval = bounds(low, high, form) or "unknown"
    return f"{number(mean, form)} (95% interval {interval})"


def choice_table(choice: Choice) -> Leaderboard:
    """Return the candidates on the fresh split, best first."""
    columns = ["mean", "sd", "n", "failed", "95% interval", "behind", "p", "parameters"]
    rows = []
    for rival in choice.rivals:
        cells = _seed_cells(rival.seeds)
        found = rival.comparison
        behind = ["", ""] if found is None else [f"{found.difference:+.4f}", f"{found.p_value:.3f}"]
        cells += behind
        cells += [f"{rival.candidate.num_params:,}", f"{rival.candidate.promised:.4f}"]
        verdict = "chosen" if rival is choice.chosen else "cannot be told apart"
        verdict = verdict if rival.is_tied else "behind" if rival.is_candidate else "runs failed"
        rows.append([*cells, rival.candidate.label, verdict])
    columns += ["in the sweep", "configuration", "verdict"]
    return Leaderboard(columns, rows, len(columns) - 2)


def over_promise_table(found: list[OverPromise]) -> Leaderboard:
    """Return what the sweep promised and what fresh seeds gave on its own split."""
    columns = ["in the sweep", "mean", "sd", "n", "failed", "95% interval", "promised too much"]
    columns += ["95% interval of that", "configuration"]
    rows = [
        [
            f"{each.candidate.promised:.4f}",
            *_seed_cells(each.seeds),
            number(each.difference, "+.4f"),
            bounds(each.low, each.high, "+.4f"),
            each.candidate.label,
        ]
        for each in found
    ]
    return Leaderboard(columns, rows, len(columns) - 1)


def test_table(findings: Findings) -> Leaderboard:
    """Return test accuracies: of the chosen configuration and of the baseline."""
    test = findings.test
    columns = ["mean", "sd", "n", "failed", "95% interval", "configuration"]
    groups = [seeds for seeds in (test.chosen, test.baseline) if seeds is not None]
    rows = [[*_seed_cells(seeds), seeds.label] for seeds in groups]
    return Leaderboard(columns, rows, len(columns) - 1)


def _seed_cells(seeds: Seeds) -> list[str]:
    interval: Interval = seeds.interval
    cells = [number(interval.mean), number(interval.sd), str(interval.n), str(seeds.num_failed)]
    return [*cells, bounds(interval.low, interval.high)]
