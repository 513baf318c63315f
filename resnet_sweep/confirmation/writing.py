"""What a confirmation leaves: confirmation.json, .md, .csv, .png, .svg, and its last words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from resnet_sweep.confirmation import statements
from resnet_sweep.confirmation.figure import STEM, write_figure
from resnet_sweep.confirmation.findings import (
    Choice,
    Findings,
    OverPromise,
    Rival,
    Seeds,
    Tested,
)
from resnet_sweep.confirmation.tables import choice_table, over_promise_table, test_table
from resnet_sweep.records.confirmation import FINDINGS, write_findings
from resnet_sweep.reporting.power import detectable_difference
from resnet_sweep.reporting.statistics import Comparison, Interval
from resnet_sweep.reporting.tables import (
    Table,
    escape_markdown,
    printable,
    terminal_table,
    to_csv,
    to_markdown,
)
from resnet_sweep.system.atomic import write_text
from resnet_sweep.system.console import page, say

Section = tuple[str, Table | None, list[str]]


def write_report(folder: Path, findings: Findings, command: str) -> None:
    """Write every file and print what they say.

    Args:
        command: trains the best configuration again.
    """
    sections = _sections(findings, command)
    write_findings(folder, _values(findings, command))
    write_text(folder / f"{STEM}.md", _markdown(findings, sections))
    write_text(folder / f"{STEM}.csv", to_csv(pd.DataFrame(map(asdict, findings.runs))))
    paths = [folder / name for name in (FINDINGS, f"{STEM}.md", f"{STEM}.csv")]
    paths += write_figure(findings, folder)
    _print(sections, paths)


def _sections(findings: Findings, command: str) -> list[Section]:
    return [
        ("Selected", None, statements.about_selection(findings.plan)),
        ("Chosen", choice_table(findings.choice), statements.about_choice(findings)),
        (
            "Over-promise",
            over_promise_table(findings.over_promises),
            statements.about_over_promise(findings),
        ),
        ("Test", test_table(findings), statements.about_test(findings)),
        ("Runs", None, statements.about_failures(findings)),
        ("Again", None, [command]),
    ]


def _markdown(findings: Findings, sections: list[Section]) -> str:
    parts = [f"# Confirmation of {findings.plan.study_name}\n"]
    for title, table, said in sections:
        parts.append(f"## {title}\n")
        if table is not None:
            parts.append(to_markdown(table))
        is_command = title == "Again"
        parts += [f"    {line}\n" if is_command else f"- {escape_markdown(line)}" for line in said]
        parts.append("")
    parts.append(f"![every seed]({STEM}.png)\n")
    return "\n".join(parts)


def _print(sections: list[Section], paths: list[Path]) -> None:
    for title, table, said in sections:
        say(f"\n{title}")
        if table is not None:
            with page() as console:
                console.print(terminal_table(table))
        for line in said:
            say(f"  {printable(line)}")
    say("")
    for path in paths:
        say(printable(str(path)))


def _values(findings: Findings, command: str) -> dict[str, Any]:
    choice = findings.choice
    return {
        "study_name": findings.plan.study_name,
        "questions": findings.plan.questions,
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
        "command": command,
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
