"""What a confirmation says in sentences, each with its n and its interval."""

from __future__ import annotations

import math

from resnet_sweep.confirmation.candidates import ACCURACY
from resnet_sweep.confirmation.findings import Choice, Findings, Rival, Seeds
from resnet_sweep.records.confirmation import Candidate, Plan
from resnet_sweep.reporting.all_pairs import detectable_difference
from resnet_sweep.reporting.numbers import number, with_interval
from resnet_sweep.reporting.statistics import SIGNIFICANCE, Noise

MORE_SEEDS = (5, 10, 20)


def about_selection(plan: Plan) -> list[str]:
    """Return which configurations these are, and what was left out."""
    candidates = ", ".join(candidate.label for candidate in plan.candidates)
    kept = f"{len(plan.candidates)} distinct configurations of {plan.num_trained} trained trials"
    return [
        f"The best {kept}, ordered by {plan.ranking}: {candidates}.",
        *map(_sentence, plan.notes),
    ]


def about_choice(findings: Findings) -> list[str]:
    choice, plan = findings.choice, findings.plan
    best, interval = choice.chosen, choice.chosen.seeds.interval
    said = [
        f"Chosen by the mean on a fresh split (data.split_seed={plan.split_seed}, {plan.num_val:,} "
        f"images, {plan.shared_val:.0%} of them also in the sweep's validation part): "
        f"{best.candidate.label}, {with_interval(interval.mean, interval.low, interval.high)}, "
        f"n = {interval.n}.{_as_the_highest(len(choice.rivals))}"
    ]
    return [*said, *_tied(choice), *_power_of_choice(choice)]


def _as_the_highest(num_means: int) -> str:
    if num_means == 1:
        return ""
    return f" As the highest of {num_means} means it may promise a little too much itself."


def _tied(choice: Choice) -> list[str]:
    if len(choice.rivals) == 1:
        return []
    names = ", ".join(rival.candidate.label for rival in choice.tied)
    small = choice.smallest
    size = f"{small.candidate.num_params:,} parameters"
    return [
        f"Cannot be told apart from the best ({_test(choice)}): {names}.",
        f"The smallest net among them: {small.candidate.label}, {size}, mean "
        f"{number(small.seeds.interval.mean)}, n = {small.seeds.interval.n}{_behind(small)}.",
        *_what_to_do(choice),
    ]


def _what_to_do(choice: Choice) -> list[str]:
    """Return what a reader can do where the seeds do not tell the best from another."""
    if len(choice.tied) == 1:
        return []
    n = next((n for n in (10, 20) if n > choice.chosen.seeds.interval.n), None)
    which = "All of them" if len(choice.tied) == len(choice.rivals) else "These"
    more = "more seeds" if n is None else f"more seeds: num_seeds={n} name=confirm_{n}"
    return [f"{which} may be equally good: take the smallest, or confirm again with {more}."]


def _test(choice: Choice) -> str:
    tests = [rival.comparison.test for rival in choice.rivals if rival.comparison is not None]
    if not tests:
        return "too few seeds to test"
    every = ", the chance that any of equal ones is called behind" if len(choice.rivals) > 2 else ""
    return f"{tests[0]}, {SIGNIFICANCE:.0%} level{every}"


def _behind(rival: Rival) -> str:
    """Return how far a tied net may lie behind: seeds that scatter widely tie with anything."""
    found = rival.comparison
    if found is None:
        return ""
    return f", behind by {with_interval(found.difference, found.low, found.high, '+.4f')}"


def _power_of_choice(choice: Choice) -> list[str]:
    if len(choice.rivals) == 1:
        return []
    planned = choice.chosen.seeds.interval.n
    groups = max(2, choice.num_compared)
    return [power("two configurations", choice.noise, planned, planned, groups)]


def power(what: str, noise: Noise, n_first: int, n_second: int, num_groups: int = 2) -> str:
    """Return what these numbers of seeds can find, and what more would."""
    least = detectable_difference(noise.sd, n_first, n_second, num_groups)
    if math.isnan(least):
        return f"The noise between seeds cannot be measured here: {what} cannot be compared."
    more = [n for n in MORE_SEEDS if n > max(n_first, n_second)]
    finer = ", ".join(f"{n}: {detectable_difference(noise.sd, n, n, num_groups):.4f}" for n in more)
    return (
        f"With {_seeds(n_first, n_second)} and a standard deviation between seeds of "
        f"{noise.sd:.4f} ({noise.degrees} degrees of freedom), a difference between {what} is "
        f"found four times in five where it is {least:.4f} (by this test); smaller "
        "ones are found less often, so that not told apart does not mean equal."
        f"{f' With more seeds each: {finer}.' if finer else ''}"
    )


def _seeds(n_first: int, n_second: int) -> str:
    return f"{n_first} seeds each" if n_first == n_second else f"{n_first} and {n_second} seeds"


def about_over_promise(findings: Findings) -> list[str]:
    said = []
    promises = findings.plan.ranking == ACCURACY
    for each in findings.over_promises:
        promised = _promised(findings.plan, each.candidate)
        if not each.seeds.values:
            unknown = "how much too much" if promises else "the difference"
            said.append(f"{promised}; {_nothing(each.seeds)}: {unknown} is unknown.")
            continue
        amount = with_interval(each.difference, each.low, each.high, "+.4f")
        said.append(
            f"{promised}; fresh seeds on the same split gave "
            f"{number(each.seeds.interval.mean)}, n = {each.seeds.interval.n}: "
            f"{'it promised too much by' if promises else 'the difference is'} {amount}."
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


def _promised(plan: Plan, candidate: Candidate) -> str:
    """Return what the sweep held out; one that ranked by something else promised no accuracy."""
    accuracy, n = f"{candidate.promised:.4f}", f"(n = {len(candidate.trials)})"
    if plan.ranking == ACCURACY:
        return f"The sweep promised {accuracy} for {candidate.label} {n}"
    ranked = f"was ranked by {plan.ranking} in the sweep, where its accuracy was {accuracy}"
    return f"{candidate.label.capitalize()} {ranked} {n}"


def _nothing(seeds: Seeds) -> str:
    return f"all {seeds.num_failed} runs with fresh seeds failed (see Runs)"


def about_test(findings: Findings) -> list[str]:
    test, plan = findings.test, findings.plan
    own, chosen = test.chosen.interval, findings.choice.chosen.candidate
    said = [
        f"{test.chosen.label} trained on {_images(plan, chosen)}: {_test_accuracy(test.chosen)}, "
        f"on {plan.num_test:,} images. No other run of the confirmation has read the test set."
        f"{_sampling(own.mean, plan.num_test)}"
    ]
    name = plan.questions["baseline"]
    if name is None:
        return said
    if test.baseline is None:
        return [*said, f"It is {name} itself at this length: there is nothing to compare."]
    epochs = int(chosen.config["train"]["epochs"])
    other = test.baseline.interval
    said.append(
        f"{name}: {_test_accuracy(test.baseline)}. "
        f"It is conf/experiment/{name}.yaml's recipe on the same images, its schedule "
        f"compressed into the chosen one's {epochs} epochs: not what it reaches at full length."
    )
    if test.comparison is None:
        return [*said, "Too few runs completed to compare the two."]
    found = test.comparison
    amount = with_interval(found.difference, found.low, found.high, "+.4f")
    said.append(
        f"{test.chosen.label} minus {name}: {amount}, Welch's t test over seeds, "
        f"p = {found.p_value:.3g}."
    )
    return [*said, power("the two", test.noise, own.n, other.n)]


def _test_accuracy(seeds: Seeds) -> str:
    if not seeds.values:
        return f"test accuracy unknown, as {_nothing(seeds)}"
    found = seeds.interval
    return f"test accuracy {with_interval(found.mean, found.low, found.high)}, n = {found.n}"


def _images(plan: Plan, chosen: Candidate) -> str:
    subset = chosen.config["data"]["train_subset"]
    if plan.questions["all_data"] or subset is None:
        return "all training images (data.val_size=0)"
    return f"{subset:,} of all training images (data.val_size=0, the sweep's data.train_subset)"


def _sampling(accuracy: float, num_images: int) -> str:
    if math.isnan(accuracy):
        return ""
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / num_images)
    return f" The interval is over seeds; another test set of this size adds about ±{half:.4f}."


def about_failures(findings: Findings) -> list[str]:
    """Return every run that did not complete."""
    failed = findings.failed
    if not failed:
        return [f"All {len(findings.runs)} runs completed."]
    said = [f"{len(failed)} of {len(findings.runs)} runs did not complete; they have no accuracy:"]
    for run in failed:
        error = f": {run.error}" if run.error else ""
        name = f"{run.run_dir} ({run.configuration}, seed {run.seed})"
        said.append(f"{name} {run.state}, {run.reason}{error}.")
    rest = [r for r in findings.choice.rivals if r.seeds.num_failed]
    if rest:
        names = ", ".join(rival.candidate.label for rival in rest)
        said.append(f"Not chosen while others completed all of their runs: {names}.")
    return said


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
