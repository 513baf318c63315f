"""What a confirmation leaves: confirmation.json, .md, .csv, .png, .svg, and its last words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from resnet_sweep.confirmation import statements
from resnet_sweep.confirmation.candidates import ACCURACY
from resnet_sweep.confirmation.figure import draw
from resnet_sweep.confirmation.findings import (
    Choice,
    Findings,
    OverPromise,
    Rival,
    Seeds,
    Tested,
)
from resnet_sweep.records.confirmation import STEM, confirmation_values
from resnet_sweep.reporting.all_pairs import detectable_difference
from resnet_sweep.reporting.numbers import bounds, number
from resnet_sweep.reporting.report import Report, Section, print_report, write_report
from resnet_sweep.reporting.statistics import Comparison, Interval
from resnet_sweep.reporting.tables import Table


def report_confirmation(folder: Path, findings: Findings, command: str, again: str) -> None:
    """Write every file and print what they say.

    Args:
        command: of the confirmation.
        again: trains the best configuration again.

    Raises:
        UserError: a file cannot be written.
    """
    report = Report(
        STEM,
        f"Confirmation of {findings.plan.study_name}",
        command,
        _sections(findings, again),
        [asdict(run) for run in findings.runs],
        confirmation_values(_values(findings, again)),
    )
    print_report(report, write_report(folder, report, draw(findings)))


def _sections(findings: Findings, again: str) -> list[Section]:
    choice = findings.choice
    return [
        Section("Selected", None, statements.about_selection(findings.plan)),
        Section("Chosen", _choice_table(choice), statements.about_choice(findings)),
        Section(
            "Over-promise", _over_promise_table(findings), statements.about_over_promise(findings)
        ),
        Section("Test", _test_table(findings), statements.about_test(findings)),
        Section("Runs", None, statements.about_failures(findings)),
        Section("Again", commands=[again]),
    ]


def _choice_table(choice: Choice) -> Table:
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


def _over_promise_table(findings: Findings) -> Table:
    """Return the accuracy in the sweep and what fresh seeds gave on its own split."""
    is_promise = findings.plan.ranking == ACCURACY
    difference = "promised too much" if is_promise else "difference"
    columns = ["in the sweep", "mean", "sd", "n", "failed", "95% interval", difference]
    columns += ["95% interval of that", "configuration"]
    rows = [
        [
            f"{each.candidate.promised:.4f}",
            *_seed_cells(each.seeds),
            number(each.difference, "+.4f"),
            bounds(each.low, each.high, "+.4f"),
            each.candidate.label,
        ]
        for each in findings.over_promises
    ]
    return Table(columns, rows, len(columns) - 1)


def _test_table(findings: Findings) -> Table:
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


def _values(findings: Findings, again: str) -> dict[str, Any]:
    choice = findings.choice
    return {
        "study_name": findings.plan.study_name,
        "questions": findings.plan.questions,
        "ranking": findings.plan.ranking,
        "notes": findings.plan.notes,
        "chosen": choice.chosen.candidate.trial,
        "tied": [rival.candidate.trial for rival in choice.tied],
        "smallest": choice.smallest.candidate.trial,
        "choose": _chosen_values(findings),
        "over_promise": {
            "configurations": list(map(_over_promise, findings.over_promises)),
            "mean": asdict(findings.mean_over_promise),
        },
        "test": _test_values(findings.test),
        "num_failed": len(findings.failed),
        "runs": [asdict(run) for run in findings.runs],
        "command": again,
    }


def _chosen_values(findings: Findings) -> dict[str, Any]:
    choice = findings.choice
    return {
        "split_seed": findings.plan.split_seed,
        "shared_val": findings.plan.shared_val,
        "configurations": list(map(_rival, choice.rivals)),
        "noise": asdict(choice.noise),
        "detectable_difference": _detectable_choice(choice),
    }


def _over_promise(each: OverPromise) -> dict[str, Any]:
    return {
        "trial": each.candidate.trial,
        "promised": each.candidate.promised,
        **_seeds(each.seeds),
        "over_promise": each.difference,
        "over_promise_low": each.low,
        "over_promise_high": each.high,
    }


def _test_values(test: Tested) -> dict[str, Any]:
    sizes = [len(seeds.values) for seeds in (test.chosen, test.baseline) if seeds is not None]
    return {
        "chosen": _seeds(test.chosen),
        "baseline": None if test.baseline is None else _seeds(test.baseline),
        "comparison": _comparison(test.comparison),
        "noise": asdict(test.noise),
        "detectable_difference": _detectable_test(test),
        "n": sizes,
    }


def _detectable_choice(choice: Choice) -> float:
    n = len(choice.chosen.seeds.values)
    return detectable_difference(choice.noise.sd, n, n, max(2, choice.num_compared))


def _detectable_test(test: Tested) -> float:
    second = test.chosen if test.baseline is None else test.baseline
    return detectable_difference(test.noise.sd, len(test.chosen.values), len(second.values))


def _rival(rival: Rival) -> dict[str, Any]:
    candidate = rival.candidate
    return {
        "trial": candidate.trial,
        "trials": candidate.trials,
        "num_params": candidate.num_params,
        "multiply_adds": candidate.multiply_adds,
        "promised": candidate.promised,
        **_seeds(rival.seeds),
        "comparison": _comparison(rival.comparison),
        "is_tied": rival.is_tied,
    }


def _seeds(seeds: Seeds) -> dict[str, Any]:
    interval: Interval = seeds.interval
    return {"label": seeds.label, "num_failed": seeds.num_failed, **asdict(interval)}


def _comparison(found: Comparison | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
