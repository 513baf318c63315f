"""Every number of the answers equals the one from the raw files; none is left unchecked."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import raw_numbers as raw
from checked_summary import duration, noise_of
from raw_importance import LOGS, Chosen, holm, partial_effects

from resnet_sweep.analysis.summary.summarize import Summary

Runs = dict[str, Any]
Groups = list[dict[int, list[str]]]
FRESH = (31, 32, 33)
# What each answer looks like; a test below recomputes the numbers of each.
FORMS = {
    "ranked": r"Only runs on .* (\d+) run on other data and (\d+) runs judged by other .*",
    "best": r"Best of (\d+) configurations: .*",
    "fresh": r"Its run in the sweep reached .*",
    "second": r"(?:It|Beyond) .* the second, (\S+): difference (\S+) points \(95% "
    r"interval (\S+) to (\S+)\), p = (\S+) \(McNemar's exact test over validation images, "
    r"n = (\d+)\); (within|beyond) the seed noise \(two single runs may differ by (\S+) points "
    r"by luck alone\); of several seeds the one nearest their mean: (\S+) and (\S+)\.",
    "noise": r"Seeds differ by (\S+) \(standard deviation, (\d+) degrees of freedom, (.*)\): (\d+) "
    r"of the other (\d+) .*",
    "matters": r"What matters among (\d+) configurations of sweep s, with .* corrected for (\d+) "
    r"tests by Holm's method: (.*)\.",
    "cannot tell": r"Cannot tell: (.*)\.",
    "coding": r"Coding: numbers enter with their squares, of their logarithm for (.*); choices as "
    r"one column for each level but the first \((.*)\); name@choice is judged only .*",
    "pruned": r"The (\d+) pruned trials have no final value .*",
    "thin": r"(\S+): (.* in only .*)",
    "time": r"Training took (.*) in all: (.*)\.",
    "gap": r"The best configuration's test accuracy is (\S+), (\S+) points .*",
    "other": r"\w+, judged by val_size=287 split_seed=9: (.*)",
    "all": r"\w+, trained without validation images: (.*)",
}


def answers(checked: Summary, form: str) -> list[re.Match[str]]:
    matches = [re.fullmatch(FORMS[form], answer, re.S) for answer in checked.answers]
    return [match for match in matches if match is not None]


def answer(checked: Summary, form: str) -> re.Match[str]:
    """Return the one answer of this form."""
    matches = answers(checked, form)
    assert len(matches) == 1, (form, checked.answers)
    return matches[0]


def shown_interval(values: list[float]) -> str:
    mean, low, high = (f"{value:.4f}" for value in raw.interval(values))
    return f"{mean} (95% t interval {low} to {high})"


@pytest.mark.slow
def test_each_answer_has_a_form_that_is_checked(checked: Summary) -> None:
    for said in checked.answers:
        fitting = [form for form, text in FORMS.items() if re.fullmatch(text, said, re.S)]
        assert len(fitting) == 1, said


def test_what_is_left_out_of_the_ranking(checked: Summary) -> None:
    found = answer(checked, "ranked")
    assert (int(found[1]), int(found[2])) == (1, 6)  # elsewhere; other and all


def test_the_best(checked: Summary, raw_ranked: Runs, raw_groups: Groups) -> None:
    found = answer(checked, "best")
    mean, low, high = raw.interval(raw.seed_means(raw_ranked, raw_groups[0], "val_accuracy"))
    assert int(found[1]) == len(raw_groups)
    assert f"{mean:.4f} over 4 seeds (95% t interval {low:.4f} to {high:.4f})" in found[0]


def test_the_fresh_seeds(
    checked: Summary, raw_runs: Runs, raw_ranked: Runs, raw_groups: Groups
) -> None:
    fresh = [raw_runs[f"fresh/{seed}"]["result"]["val_accuracy"] for seed in FRESH]
    values = raw.seed_means(raw_ranked, raw_groups[0], "val_accuracy")
    own = max(value for value in values if value not in fresh)
    wanted = f"reached {own:.4f}, its other 3 seeds {shown_interval(fresh)}"
    assert wanted in answer(checked, "fresh")[0]


def test_the_best_against_the_second(
    checked_root: Path, checked: Summary, raw_ranked: Runs, raw_groups: Groups
) -> None:
    found = answer(checked, "second")
    top = [name for names in raw_groups[0].values() for name in names]
    values = {name: raw_ranked[name]["result"]["val_accuracy"] for name in top}
    first = min(top, key=lambda name: abs(values[name] - np.mean([*values.values()])))
    assert (found[9], found[10]) == (first, found[1])
    difference, p, n = raw.mcnemar(checked_root / first, checked_root / found[1])
    assert float(found[2]) == pytest.approx(100 * difference, abs=0.006)
    assert float(found[5]) == pytest.approx(p, rel=0.06) and int(found[6]) == n
    sd, degrees = noise_of(raw_ranked, raw_groups)
    least = raw.t_quantile(degrees) * sd * math.sqrt(2)
    assert float(found[8]) == pytest.approx(100 * least, rel=0.06)
    assert found[7] == ("within" if abs(difference) <= least else "beyond")


def test_the_interval_of_the_difference(checked_root: Path, checked: Summary) -> None:
    """It agrees with the normal approximation of a paired difference of shares."""
    found = answer(checked, "second")
    low, high = raw.paired_interval(checked_root / found[9], checked_root / found[1])
    width = 100 * (high - low)
    assert float(found[3]) == pytest.approx(100 * low, abs=0.05 * width)
    assert float(found[4]) == pytest.approx(100 * high, abs=0.05 * width)


@pytest.mark.slow
def test_the_seed_noise(checked: Summary, raw_ranked: Runs, raw_groups: Groups) -> None:
    found = answer(checked, "noise")
    values = [raw.seed_means(raw_ranked, seeds, "val_accuracy") for seeds in raw_groups]
    sd, degrees = noise_of(raw_ranked, raw_groups)
    assert float(found[1]) == pytest.approx(sd, rel=0.06) and int(found[2]) == degrees
    several = [v for v in values if len(v) > 1]
    assert sorted(map(len, several)) == [4, 5]
    spreads = [f"{np.std(v, ddof=1):.2g} at {np.mean(v):.4f} (n = {len(v)})" for v in several]
    assert found[3] == f"pooled over 2 configurations with 4 to 5 seeds: {', '.join(spreads)}"
    behind = [np.mean(values[0]) - np.mean(v) for v in values[1:]]
    limits = [raw.t_quantile(degrees) * sd * math.sqrt(1 / 4 + 1 / len(v)) for v in values[1:]]
    close = sum(b <= limit for b, limit in zip(behind, limits, strict=True))
    assert (int(found[4]), int(found[5])) == (close, len(raw_groups) - 1)


def test_the_effects_and_p_values(checked: Summary, raw_chosen: Chosen) -> None:
    """Least squares written out."""
    effects = partial_effects(raw_chosen.columns(), raw_chosen.means)
    adjusted = holm({name: p for name, (_, p) in effects.items()})
    found = answer(checked, "matters")
    assert (int(found[1]), int(found[2])) == (len(raw_chosen.means), len(effects))
    told = re.findall(r"(\S+) \(([\d.]+), p = ([\d.e-]+)\)", found[3])
    assert [name for name, _, _ in told][:1] in (["optimizer.lr@sgd"], ["optimizer.lr@adamw"])
    for name, effect, p in told:
        assert float(effect) == pytest.approx(effects[name][0], abs=0.0051)
        assert float(p) == pytest.approx(adjusted[name], rel=0.06, abs=1e-13) and float(p) < 0.05
    rest = answer(checked, "cannot tell")[1].split(", ")
    assert sorted([name for name, _, _ in told] + rest) == sorted(effects)
    assert "regularization.dropout" in rest


def test_how_numbers_and_choices_were_coded(checked: Summary, raw_chosen: Chosen) -> None:
    found = answer(checked, "coding")
    assert set(found[1].split(", ")) == set(LOGS)
    told = dict(part.split(": ") for part in found[2].split("; "))
    plain = raw_chosen.plain()
    for name, levels in told.items():
        assert sorted(levels.split(", ")) == sorted({v for v in plain[name] if v is not None})
    assert set(told) == {"optimizer", "augmentation"}


def test_what_was_hardly_tried(
    checked: Summary, raw_chosen: Chosen, raw_trials: list[dict[str, Any]]
) -> None:
    pruned = sum(trial["state"] == "pruned" for trial in raw_trials)
    assert int(answer(checked, "pruned")[1]) == pruned
    for name, remark in (found.groups() for found in answers(checked, "thin")):
        values = [str(params[name]) for params in raw_chosen.params if name in params]
        for level, few, of in re.findall(r"(\S+) in only (\d+) of (\d+) configurations", remark):
            assert (values.count(level), len(values)) == (int(few), int(of))


def test_where_the_time_went(checked: Summary, raw_runs: Runs) -> None:
    seconds: dict[str, float] = {}
    for run in raw_runs.values():
        status = run["result"]["status"]
        seconds[status] = seconds.get(status, 0) + run["result"]["train_seconds"]
    found = answer(checked, "time")
    assert found[1] == duration(sum(seconds.values()))
    shares = {status: int(percent) for percent, status in re.findall(r"(\d+)% (\w+)", found[2])}
    total = sum(seconds.values())
    assert shares == {status: round(100 * part / total) for status, part in seconds.items()}


def test_the_gap_to_the_test_set(checked: Summary, raw_runs: Runs) -> None:
    results = [raw_runs[f"fresh/{seed}"]["result"] for seed in FRESH]
    gap = np.mean([each["val_accuracy"] - each["test_accuracy"] for each in results])
    found = answer(checked, "gap")
    assert found[1] == f"{np.mean([each['test_accuracy'] for each in results]):.4f}"
    assert found[2] == f"{100 * gap:+.2f}"


@pytest.mark.parametrize(("place", "field"), [("other", "val_accuracy"), ("all", "test_accuracy")])
def test_what_other_images_judged(checked: Summary, raw_runs: Runs, place: str, field: str) -> None:
    numbers = [raw_runs[f"{place}/{seed}"]["result"][field] for seed in FRESH]
    wanted = f"{field} {shown_interval(numbers)} over 3 seeds."
    assert answer(checked, place)[1] == wanted
