"""The tables of a confirmation, for the terminal and for Markdown."""

from __future__ import annotations

from resnet_sweep.confirmation.findings import Choice, Findings, OverPromise, Seeds
from resnet_sweep.reporting.numbers import bounds, number
from resnet_sweep.reporting.statistics import Interval
from resnet_sweep.reporting.tables import Table


def choice_table(choice: Choice) -> Table:
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
    return Table(columns, rows, len(columns) - 2)


def over_promise_table(found: list[OverPromise]) -> Table:
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
    return Table(columns, rows, len(columns) - 1)


def test_table(findings: Findings) -> Table:
    """Return test accuracies: of the chosen configuration and of the baseline."""
    test = findings.test
    columns = ["mean", "sd", "n", "failed", "95% interval", "configuration"]
    groups = [seeds for seeds in (test.chosen, test.baseline) if seeds is not None]
    rows = [[*_seed_cells(seeds), seeds.label] for seeds in groups]
    return Table(columns, rows, len(columns) - 1)


def _seed_cells(seeds: Seeds) -> list[str]:
    interval: Interval = seeds.interval
    cells = [number(interval.mean), number(interval.sd), str(interval.n), str(seeds.num_failed)]
    return [*cells, bounds(interval.low, interval.high)]
