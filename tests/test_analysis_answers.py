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

from resnet_sweep.analysis.summary import Summary


def take(answers: list[str], pattern: str) -> re.Match[str]:
    """Return the one answer of this form, and take it off the list."""
    found = [(answer, re.fullmatch(pattern, answer, re.S)) for answer in answers]
    matches = [(answer, match) for answer, match in found if match]
    assert len(matches) == 1, (pattern, answers)
    answers.remove(matches[0][0])
    match = matches[0][1]
    assert match is not None
    return match


def check_importance(answers: list[str], means: list[float], chosen: list[dict[str, Any]]) -> None:
    """Check the effects and p values of the F-tests against least squares written out."""
    logs = ("optimizer.lr@sgd", "optimizer.lr@adamw", "train.batch_size")
    names = list(dict.fromkeys(name for params in chosen for name in params))
    columns: dict[str, list[Any]] = {}
    for name in names:
        values = [params.get(name) for params in chosen]
        values = ["+".join(v) if isinstance(v, list) else v for v in values]
        columns[name] = [math.log10(v) if v and name in logs else v for v in values]
    effects = raw.partial_effects(columns, means)
    adjusted = raw.holm({name: p for name, (_, p) in effects.items()})
    found = take(
        answers,
        r"What matters among (\d+) configurations of sweep s, with .* corrected for (\d+) tests by "
        r"Holm's method: (.*)\.",
    )
    assert (int(found[1]), int(found[2])) == (len(chosen), len(effects))
    told = re.findall(r"(\S+) \(([\d.]+), p = ([\d.e-]+)\)", found[3])
    assert [name for name, _, _ in told][:1] in (["optimizer.lr@sgd"], ["optimizer.lr@adamw"])
    for name, effect, p in told:
        assert float(effect) == pytest.approx(effects[name][0], abs=0.0051)
        assert float(p) == pytest.approx(adjusted[name], rel=0.06, abs=1e-13) and float(p) < 0.05
    rest = take(answers, r"Cannot tell: (.*)\.")[1].split(", ")
    assert sorted([name for name, _, _ in told] + rest) == sorted(effects)
    assert "regularization.dropout" in rest


def check_coverage(answers: list[str], chosen: list[dict[str, Any]], total: int) -> None:
    take(answers, r"The sampler \(tpe\) chose most trials where it expected good ones: .*")
    for answer in [each for each in answers if "in only" in each]:
        answers.remove(answer)
        name, _, remark = answer.partition(": ")
        for level, few, of in re.findall(r"(\S+) in only (\d+) of (\d+) configurations", remark):
            values = [str(params[name]) for params in chosen if name in params]
            assert (values.count(level), len(values)) == (int(few), int(of))


def test_every_number_of_the_answers(
    checked_root: Path,
    checked: Summary,
    raw_runs: dict[str, Any],
    raw_ranked: dict[str, Any],
    raw_groups: list[dict[int, list[str]]],
    raw_trials: list[dict[str, Any]],
) -> None:
    answers = list(checked.answers)
    values = [raw.seed_means(raw_ranked, seeds, "val_accuracy") for seeds in raw_groups]
    sd, degrees = noise_of(raw_ranked, raw_groups)

    found = take(answers, r"Only runs on .* (\d+) runs on other data and (\d+) judged by other .*")
    assert (int(found[1]), int(found[2])) == (1, 6)  # elsewhere; other and all

    mean, low, high = (f"{v:.4f}" for v in raw.interval(values[0]))
    found = take(answers, r"Best of (\d+) configurations: .*")
    assert int(found[1]) == len(raw_groups)
    assert f"val_accuracy {mean} over 4 seeds (95% t interval {low} to {high})" in found[0]

    fresh = [raw_runs[f"fresh/{seed}"]["result"]["val_accuracy"] for seed in (31, 32, 33)]
    mean, low, high = (f"{v:.4f}" for v in raw.interval(fresh))
    own = max(v for v in values[0] if v not in fresh)
    found = take(answers, r"Its run in the sweep reached .*")
    assert (
        f"reached {own:.4f}, its other 3 seeds {mean} (95% t interval {low} to {high})" in found[0]
    )

    found = take(
        answers,
        r"(It .*|This one training .*) the second, (\S+): difference (\S+) points \(95% interval "
        r"(\S+) to (\S+)\), p = (\S+) \(McNemar's exact test over validation images, n = (\d+)\); "
        r"(within|beyond) the seed noise \(two single runs differ by (\S+) points\)\.",
    )
    top = [name for names in raw_groups[0].values() for name in names]
    first = max(top, key=lambda name: raw_ranked[name]["result"]["val_accuracy"])
    difference, p, n = raw.mcnemar(checked_root / first, checked_root / found[2])
    least = raw.t_quantile(degrees) * sd * math.sqrt(2)
    assert float(found[3]) == pytest.approx(100 * difference, abs=0.006)
    assert float(found[6]) == pytest.approx(p, rel=0.06) and int(found[7]) == n
    assert float(found[9]) == pytest.approx(100 * least, rel=0.06)
    assert found[8] == ("within" if abs(difference) <= least else "beyond")
    middle = (float(found[4]) + float(found[5])) / 2
    assert middle == pytest.approx(100 * difference, abs=0.3)

    found = take(answers, r"Seeds differ by (\S+) \(standard deviation, (\d+) degrees of freedom, (.*)\): (\d+) of the other (\d+) .*")  # fmt: skip  # noqa: E501
    assert float(found[1]) == pytest.approx(sd, rel=0.06) and int(found[2]) == degrees
    several = [v for v in values if len(v) > 1]
    assert sorted(map(len, several)) == [4, 5]
    spreads = [f"{np.std(v, ddof=1):.2g} at {np.mean(v):.4f} (n = {len(v)})" for v in several]
    assert found[3] == f"pooled over 2 configurations with 4 to 5 seeds: {', '.join(spreads)}"
    behind = [np.mean(values[0]) - np.mean(v) for v in values[1:]]
    limits = [least / math.sqrt(2) * math.sqrt(1 / 4 + 1 / len(v)) for v in values[1:]]
    close = sum(b <= limit for b, limit in zip(behind, limits, strict=True))
    assert (int(found[4]), int(found[5])) == (close, len(raw_groups) - 1)

    by_dir = {f"s/{t['run_dir']}": t for t in raw_trials if t["run_dir"]}
    sweep = {n: run for n, run in raw_ranked.items() if n in by_dir}
    of_sweep = list(raw.configurations(sweep).values())
    firsts = [
        min((n for names in seeds.values() for n in names), key=lambda n: by_dir[n]["number"])
        for seeds in of_sweep
    ]
    means = [float(np.mean(raw.seed_means(sweep, s, "val_accuracy"))) for s in of_sweep]
    chosen = [by_dir[name]["params"] for name in firsts]
    check_importance(answers, means, chosen)
    found = take(answers, r"The (\d+) pruned trials have no final value .*")
    assert int(found[1]) == sum(trial["state"] == "pruned" for trial in raw_trials)
    check_coverage(answers, chosen, len(raw_trials))

    seconds: dict[str, float] = {}
    for run in raw_runs.values():
        status = run["result"]["status"]
        seconds[status] = seconds.get(status, 0) + run["result"]["train_seconds"]
    total = sum(seconds.values())
    found = take(answers, r"Training took (.*) in all: (.*)\.")
    assert found[1] == duration(total)
    for percent, status in re.findall(r"(\d+)% (\w+)", found[2]):
        assert int(percent) == round(100 * seconds[status] / total)

    tests = [raw_runs[f"fresh/{s}"]["result"]["test_accuracy"] for s in (31, 32, 33)]
    gap = np.mean([v - t for v, t in zip(fresh, tests, strict=True)])
    found = take(answers, r"The best configuration's test accuracy is (\S+), (\S+) points .*")
    assert found[1] == f"{np.mean(tests):.4f}" and found[2] == f"{100 * gap:+.2f}"

    for place, field, words in (
        ("other", "val_accuracy", "judged by val_size=0.2 split_seed=9"),
        ("all", "test_accuracy", "trained on all training images"),
    ):
        numbers = [raw_runs[f"{place}/{s}"]["result"][field] for s in (31, 32, 33)]
        mean, low, high = (f"{v:.4f}" for v in raw.interval(numbers))
        found = take(answers, rf"\w+, {words}: .*")
        assert f"{field} {mean} (95% t interval {low} to {high}) over 3 seeds." in found[0]
    assert answers == [], "an answer that nothing here has checked"
