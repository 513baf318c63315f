"""What a confirmation leaves: confirmation.json, .md, .csv, .png, .svg, and its last words.

Each sentence comes with its n and its interval.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resnet_sweep.confirmation.candidates import ACCURACY
from resnet_sweep.confirmation.figure import draw
from resnet_sweep.confirmation.findings import Choice, Findings, Seeds, Tested
from resnet_sweep.records.confirmation import STEM, Plan, confirmation_values
from resnet_sweep.reporting.all_pairs import detectable_difference
from resnet_sweep.reporting.numbers import bounds, number, with_interval
from resnet_sweep.reporting.report import Report, Section, print_report, write_report
from resnet_sweep.reporting.statistics import SIGNIFICANCE, Comparison, Noise
from resnet_sweep.reporting.tables import Table

MORE_SEEDS = (5, 10, 20)


def report_confirmation(folder: Path, findings: Findings, command: str, again: str) -> None:
    """Write every file and print what they say.

    Args:
        command: of the confirmation.
        again: trains the best configuration again.

    Raises:
        UserError: a file cannot be written.
    """
    runs = [{"stage": stage, **asdict(run)} for stage, own in findings.runs.items() for run in own]
    sections = [
        Section("Selected", None, _about_selection(findings.plan)),
        Section("Chosen", _choice_table(findings.choice), about_choice(findings)),
        Section("Over-promise", _over_promise_table(findings), about_over_promise(findings)),
        Section("Test", _test_table(findings.test), about_test(findings)),
        Section("Runs", None, about_failures(findings)),
        Section("Again", commands=[again]),
    ]
    title = f"Confirmation of {findings.plan.study_name}"
    values = confirmation_values({**_values(findings), "runs": runs, "command": again})
    report = Report(STEM, title, command, sections, runs, values)
    print_report(report, write_report(folder, report, draw(findings)))


def _about_selection(plan: Plan) -> list[str]:
    """Return which configurations these are, and what was left out."""
    candidates = ", ".join(candidate.label for candidate in plan.candidates)
    kept = f"{len(plan.candidates)} distinct configurations of {plan.num_trained} trained trials"
    notes = [f"{note[:1].upper()}{note[1:]}." for note in plan.notes]
    return [f"The best {kept}, ordered by {plan.ranking}: {candidates}.", *notes]


def _choice_table(choice: Choice) -> Table:
    """Return the candidates on the fresh split, best first."""
    columns = ["mean", "sd", "n", "failed", "95% interval", "behind", "p", "parameters"]
    columns += ["in the sweep", "configuration", "verdict"]
    rows = []
    for rival in choice.rivals:
        candidate, found = rival.candidate, rival.comparison
        behind = ["", ""]
        if found is not None:
            p_value = "" if math.isnan(found.p_value) else f"{found.p_value:.3f}"
            behind = [f"{found.difference:+.4f}", p_value]
        size, promised = f"{candidate.num_params:,}", f"{candidate.promised:.4f}"
        named = [candidate.label, choice.verdict(rival)]
        rows.append([*_seed_cells(rival.seeds), *behind, size, promised, *named])
    return Table(columns, rows, len(columns) - 2)


def about_choice(findings: Findings) -> list[str]:
    choice, plan = findings.choice, findings.plan
    interval, num_means = choice.chosen.seeds.interval, len(choice.rivals)
    said = (
        f"Chosen by the mean on a fresh split (data.split_seed={plan.split_seed}, {plan.num_val:,} "
        f"images, {plan.shared_val:.0%} of them also in the sweep's validation part): "
        f"{choice.chosen.candidate.label}, "
        f"{with_interval(interval.mean, interval.low, interval.high)}, n = {interval.n}."
    )
    if num_means == 1:
        return [said]
    tied = [r.candidate.label for r in choice.tied if r is not choice.chosen]
    names = ", ".join(tied) or "none of the others"
    return [
        f"{said} As the highest of {num_means} means it may promise a little too much itself.",
        f"Cannot be told apart from the best ({_test(choice)}): {names}.",
        *_what_to_do(choice),
        _power(
            "two configurations", choice.noise, interval.n, interval.n, max(2, choice.num_compared)
        ),
    ]


def _difference(found: Comparison) -> str:
    return with_interval(found.difference, found.low, found.high, "+.4f")


def _test(choice: Choice) -> str:
    tests = [rival.comparison.test for rival in choice.rivals if rival.comparison is not None]
    if not tests:
        return "too few seeds to test"
    every = ", the chance that any of equal ones is called behind" if len(choice.rivals) > 2 else ""
    return f"{tests[0]}, {SIGNIFICANCE:.0%} level{every}"


def _what_to_do(choice: Choice) -> list[str]:
    """Return what a reader can do where the seeds do not tell the best from another."""
    if len(choice.tied) == 1:
        return []
    which = "All of them" if len(choice.tied) == len(choice.rivals) else "These"
    n = next((n for n in (10, 20) if n > choice.chosen.seeds.interval.n), None)
    more = "more seeds" if n is None else f"more seeds: num_seeds={n} name=confirm_{n}"
    equal, again = f"{which} may be equally good", f"or confirm again with {more}"
    if len({rival.candidate.num_params for rival in choice.tied}) == 1:
        return [f"{equal}: take any of them, as their sizes are equal, {again}."]
    small = choice.smallest
    behind = ""  # seeds that scatter widely tie with anything
    if small.comparison is not None:
        behind = f", behind by {_difference(small.comparison)}"
    return [
        f"The smallest net among them: {small.candidate.label}, {small.candidate.num_params:,} "
        f"parameters, mean {number(small.seeds.interval.mean)}, n = {small.seeds.interval.n}"
        f"{behind}.",
        f"{equal}: take the smallest, {again}.",
    ]


def _power(what: str, noise: Noise, n_first: int, n_second: int, num_groups: int = 2) -> str:
    """Return what these numbers of seeds can find, and what more would."""
    least = detectable_difference(noise.sd, n_first, n_second, num_groups)
    if math.isnan(least):
        return f"The noise between seeds cannot be measured here: {what} cannot be compared."
    seeds = f"{n_first} seeds each" if n_first == n_second else f"{n_first} and {n_second} seeds"
    more = [n for n in MORE_SEEDS if n > max(n_first, n_second)]
    finer = ", ".join(f"{n}: {detectable_difference(noise.sd, n, n, num_groups):.4f}" for n in more)
    return (
        f"With {seeds} and a standard deviation between seeds of "
        f"{noise.sd:.4f} ({noise.degrees} degrees of freedom), a difference between {what} is "
        f"found four times in five where it is {least:.4f} (by this test); smaller "
        "ones are found less often, so that not told apart does not mean equal."
        f"{f' With more seeds each: {finer}.' if finer else ''}"
    )


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


def about_over_promise(findings: Findings) -> list[str]:
    said = []
    is_promise = findings.plan.ranking == ACCURACY
    for each in findings.over_promises:
        accuracy, n = f"{each.candidate.promised:.4f}", f"(n = {len(each.candidate.trials)})"
        label = each.candidate.label
        if is_promise:
            promised = f"The sweep promised {accuracy} for {label} {n}"
        else:  # one that ranked by something else promised no accuracy
            ranked = f"was ranked by {findings.plan.ranking} in the sweep, where its accuracy was"
            promised = f"{label.capitalize()} {ranked} {accuracy} {n}"
        if not each.seeds.values:
            unknown = "how much too much" if is_promise else "the difference"
            said.append(f"{promised}; {_nothing(each.seeds)}: {unknown} is unknown.")
            continue
        said.append(
            f"{promised}; fresh seeds on the same split gave "
            f"{number(each.seeds.interval.mean)}, n = {each.seeds.interval.n}: "
            f"{'it promised too much by' if is_promise else 'the difference is'} "
            f"{with_interval(each.difference, each.low, each.high, '+.4f')}."
        )
    mean = findings.mean_over_promise
    if mean.num_configurations > 1:
        amount = with_interval(mean.mean, mean.low, mean.high, "+.4f")
        said.append(f"On average over these {mean.num_configurations} configurations: {amount}.")
    said.append(
        "Only the seeds differ there. What the selection owes to the choice of validation images "
        "is not in it; the fresh split shows that, mixed with how hard its images are."
    )
    return said


def _nothing(seeds: Seeds) -> str:
    return f"all {seeds.num_failed} runs with fresh seeds failed (see Runs)"


def _test_table(test: Tested) -> Table:
    """Return test accuracies: of the chosen configuration and of the baseline."""
    columns = ["mean", "sd", "n", "failed", "95% interval", "configuration"]
    rows = [[*_seed_cells(seeds), seeds.label] for seeds in test.groups]
    return Table(columns, rows, len(columns) - 1)


def about_test(findings: Findings) -> list[str]:
    test, plan = findings.test, findings.plan
    own, chosen = test.chosen.interval, findings.choice.chosen.candidate
    subset, images = chosen.config["data"]["train_subset"], "all training images (data.val_size=0)"
    if subset is not None and not plan.questions["all_data"]:
        where = "(data.val_size=0, the sweep's data.train_subset)"
        images = f"{subset:,} of all training images {where}"
    sampling = ""
    if test.chosen.values:
        half = 1.96 * math.sqrt(own.mean * (1 - own.mean) / plan.num_test)
        sampling = (
            f" The interval is over seeds; another test set of this size adds about ±{half:.4f}."
        )
    said = [
        f"{test.chosen.label} trained on {images}: {_test_accuracy(test.chosen)}, "
        f"on {plan.num_test:,} images. No other run of the confirmation has read the test set."
        f"{sampling}"
    ]
    name = plan.questions["baseline"]
    if name is None:
        return said
    if test.baseline is None:
        return [*said, f"It is {name} itself at this length: there is nothing to compare."]
    epochs = int(chosen.config["train"]["epochs"])
    said.append(
        f"{name}: {_test_accuracy(test.baseline)}. "
        f"It is conf/experiment/{name}.yaml's recipe on the same images, its schedule "
        f"compressed into the chosen one's {epochs} epochs: not what it reaches at full length."
    )
    if test.comparison is None:
        return [*said, "Too few runs completed to compare the two."]
    return [
        *said,
        f"{test.chosen.label} minus {name}: {_difference(test.comparison)}, {_p(test.comparison)}.",
        _power("the two", test.noise, own.n, test.baseline.interval.n),
    ]


def _p(comparison: Comparison) -> str:
    if math.isnan(comparison.p_value):
        return "whose seeds show no noise to judge it by"
    return f"Welch's t test over seeds, p = {comparison.p_value:.3g}"


def _test_accuracy(seeds: Seeds) -> str:
    if not seeds.values:
        return f"test accuracy unknown, as {_nothing(seeds)}"
    found = seeds.interval
    return f"test accuracy {with_interval(found.mean, found.low, found.high)}, n = {found.n}"


def about_failures(findings: Findings) -> list[str]:
    """Return every run that did not complete."""
    count = sum(map(len, findings.runs.values()))
    if not findings.failed:
        return [f"All {count} runs completed."]
    said = [f"{len(findings.failed)} of {count} runs did not complete; they have no accuracy:"]
    for run in findings.failed:
        error = f": {run.error}" if run.error else ""
        name = f"{run.run_dir} ({run.configuration}, seed {run.seed})"
        said.append(f"{name} {run.state}, {run.reason}{error}.")
    rest = [r.candidate.label for r in findings.choice.rivals if r.seeds.num_failed]
    if rest:
        said.append(f"Not chosen while others completed all of their runs: {', '.join(rest)}.")
    return said


def _seed_cells(seeds: Seeds) -> list[str]:
    interval = seeds.interval
    cells = [number(interval.mean), number(interval.sd), str(interval.n), str(seeds.num_failed)]
    return [*cells, bounds(interval.low, interval.high)]


def _values(findings: Findings) -> dict[str, Any]:
    """Return what confirmation.json holds beside the runs and the command."""
    plan, choice, test = findings.plan, findings.choice, findings.test
    n, sizes = len(choice.chosen.seeds.values), [len(seeds.values) for seeds in test.groups]
    return {
        "study_name": plan.study_name,
        "questions": plan.questions,
        "ranking": plan.ranking,
        "notes": plan.notes,
        "chosen": choice.chosen.candidate.trial,
        "tied": [rival.candidate.trial for rival in choice.tied],
        "smallest": choice.smallest.candidate.trial,
        "choose": {
            "split_seed": plan.split_seed,
            "shared_val": plan.shared_val,
            "configurations": [
                {
                    "trial": rival.candidate.trial,
                    "trials": rival.candidate.trials,
                    "num_params": rival.candidate.num_params,
                    "multiply_adds": rival.candidate.multiply_adds,
                    "promised": rival.candidate.promised,
                    **_seed_values(rival.seeds),
                    "comparison": _comparison_values(rival.comparison),
                    "is_tied": rival.is_tied,
                }
                for rival in choice.rivals
            ],
            "noise": asdict(choice.noise),
            "detectable_difference": detectable_difference(
                choice.noise.sd, n, n, max(2, choice.num_compared)
            ),
        },
        "over_promise": {
            "configurations": [
                {
                    "trial": each.candidate.trial,
                    "promised": each.candidate.promised,
                    **_seed_values(each.seeds),
                    "over_promise": each.difference,
                    "over_promise_low": each.low,
                    "over_promise_high": each.high,
                }
                for each in findings.over_promises
            ],
            "mean": asdict(findings.mean_over_promise),
        },
        "test": {
            "chosen": _seed_values(test.chosen),
            "baseline": None if test.baseline is None else _seed_values(test.baseline),
            "comparison": _comparison_values(test.comparison),
            "noise": asdict(test.noise),
            "detectable_difference": detectable_difference(test.noise.sd, sizes[0], sizes[-1]),
            "n": sizes,
        },
        "num_failed": len(findings.failed),
    }


def _seed_values(seeds: Seeds) -> dict[str, Any]:
    return {"label": seeds.label, "num_failed": seeds.num_failed, **asdict(seeds.interval)}


def _comparison_values(found: Comparison | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
