"""What a confirmation concludes, against SciPy, simulation and cases worked out by hand."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from resnet_sweep.confirmation import report
from resnet_sweep.confirmation.findings import (
    Choice,
    Findings,
    choose,
    conclude,
    evaluate_test,
    mean_over_promise,
    over_promises,
)
from resnet_sweep.confirmation.report import report_confirmation
from resnet_sweep.records.confirmation import STAGES, Candidate, Plan
from resnet_sweep.records.sweep_folder import EndedRun

VALUES = {
    3: [0.910, 0.914, 0.912],
    5: [0.909, 0.913, 0.908],
    8: [0.850, 0.853, 0.849],
    9: [0.880, 0.884, 0.879],
}
SIZES = {3: 4_000_000, 5: 1_000_000, 8: 500_000, 9: 900_000}
TEST = [0.900, 0.904, 0.902, 0.899, 0.905], [0.890, 0.893, 0.888, 0.891, 0.894]


def _plan(values: dict[int, list[float]] | None = None) -> Plan:
    candidates = [
        Candidate(
            trial, [trial], [0.92 - 0.001 * i], SIZES[trial], 10, 1.0,
            {"train": {"epochs": 3}, "data": {"train_subset": None}},
        )
        for i, trial in enumerate(values or VALUES)
    ]  # fmt: skip
    return Plan(
        questions={"baseline": "source", "all_data": True},
        study_name="s",
        num_trained=12,
        candidates=candidates,
        split_seed=1,
        shared_val=0.1,
        choose_seeds=[],
        over_promise_seeds=[[1, 2, 3], [4, 5, 6]],
        test_seeds=[],
        baseline_seeds=[],
        baseline=None,
        data_fingerprint="f00d",
        num_val=5000,
        num_test=10_000,
        notes=[],
        ranking="val_accuracy",
    )


def _runs(stage: str, values: dict[str, list[float | None]]) -> list[EndedRun]:
    """Return runs with these accuracies; one without has diverged."""
    pairs = [(label, value) for label, each in values.items() for value in each]
    return [
        EndedRun(
            label, seed, "failed" if value is None else "completed",
            "diverged" if value is None else None, None, value, 1.0, f"{stage}/runs/{seed}",
        )
        for seed, (label, value) in enumerate(pairs)
    ]  # fmt: skip


def _chosen(values: dict[int, list[float | None]]) -> Choice:
    runs = _runs("choose", {f"trial {trial}": each for trial, each in values.items()})
    return choose(_plan({trial: [] for trial in values}), runs)


def test_the_choice_agrees_with_scipy() -> None:
    choice = _chosen({trial: list(values) for trial, values in VALUES.items()})
    assert [rival.candidate.trial for rival in choice.rivals] == [3, 5, 9, 8]
    order = [rival.candidate.trial for rival in choice.rivals]
    expected = stats.tukey_hsd(*(VALUES[trial] for trial in order), equal_var=False)  # Games-Howell
    interval = expected.confidence_interval(0.95)
    for place, rival in enumerate(choice.rivals[1:], 1):
        found = rival.comparison
        assert found is not None
        assert found.p_value == pytest.approx(expected.pvalue[0, place], abs=1e-9)
        bounds = interval.low[0, place], interval.high[0, place]
        assert (found.low, found.high) == pytest.approx(bounds, rel=1e-3)
    assert [rival.candidate.trial for rival in choice.tied] == [3, 5]
    assert choice.smallest.candidate.trial == 5


def test_intervals_agree_with_scipy() -> None:
    choice = _chosen({trial: list(values) for trial, values in VALUES.items()})
    for rival in choice.rivals:
        values = VALUES[rival.candidate.trial]
        interval = rival.seeds.interval
        expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (interval.low, interval.high) == pytest.approx(expected)
        assert (interval.mean, interval.sd) == pytest.approx(
            (np.mean(values), np.std(values, ddof=1))
        )
    residuals = np.concatenate([np.array(v) - np.mean(v) for v in VALUES.values()])
    assert choice.noise.sd == pytest.approx(math.sqrt((residuals**2).sum() / 8))


def test_a_configuration_that_diverges_is_not_chosen_while_another_never_does() -> None:
    choice = _chosen({3: [0.99, 0.99, None], 5: [0.90, 0.91, 0.92]})
    assert choice.chosen.candidate.trial == 5
    assert [rival.candidate.trial for rival in choice.tied] == [5]
    other = choice.rivals[1]
    assert (other.seeds.num_failed, other.seeds.interval.n, other.is_candidate) == (1, 2, False)
    assert _chosen({3: [0.99, 0.98, None], 5: [0.9, None, None]}).chosen.candidate.trial == 3


def test_one_seed_alone_cannot_be_told_apart() -> None:
    choice = _chosen({3: [0.9, None, None], 5: [0.1, None, None]})
    assert [rival.candidate.trial for rival in choice.tied] == [3, 5]
    assert choice.num_compared == 0


def test_the_over_promise_is_the_sweeps_value_minus_the_mean_of_fresh_seeds() -> None:
    fresh = {"trial 3": [0.910, 0.914, 0.912], "trial 5": [0.907, 0.909, 0.905]}
    plan = _plan()
    found = over_promises(plan, _runs("over_promise", {k: list(v) for k, v in fresh.items()}))
    assert [each.difference for each in found] == pytest.approx([0.92 - 0.912, 0.919 - 0.907])
    low, high = stats.t.interval(0.95, 2, 0.912, stats.sem(fresh["trial 3"]))
    assert (found[0].low, found[0].high) == pytest.approx((0.92 - high, 0.92 - low))
    mean = mean_over_promise(found)
    assert mean.mean == pytest.approx(0.010) and mean.num_configurations == 2
    # The mean of two independent means of three, with the variance pooled over both.
    pooled = np.mean([np.var(values, ddof=1) for values in fresh.values()])
    half = stats.t.ppf(0.975, 4) * math.sqrt(pooled * (1 / 3 + 1 / 3)) / 2
    assert mean.high - mean.mean == pytest.approx(half)


def test_the_test_set_compares_the_chosen_one_with_the_baseline() -> None:
    own, other = TEST
    runs = _runs("test", {"trial 3": list(own), "source": list(other)})
    found = evaluate_test(_plan(), runs, "trial 3").comparison
    expected = stats.ttest_ind(own, other, equal_var=False)
    assert found is not None and found.difference == pytest.approx(np.mean(own) - np.mean(other))
    assert found.p_value == pytest.approx(expected.pvalue)
    alone = evaluate_test(_plan(), runs[:5], "trial 3")
    assert alone.baseline is None and alone.comparison is None


def test_the_advice_names_the_smallest_only_where_sizes_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def about(values: dict[str, list[float | None]]) -> str:
        return "\n".join(report.about_choice(_findings(choose=values)))

    equal: dict[str, list[float | None]] = {"trial 3": [0.91, 0.92], "trial 5": [0.92, 0.91]}
    assert "take the smallest" in about(equal)
    monkeypatch.setitem(SIZES, 5, SIZES[3])
    assert "smallest" not in about(equal) and "equally good" in about(equal)
    clear: dict[str, list[float | None]] = {"trial 3": [0.91, 0.911], "trial 5": [0.52, 0.521]}
    assert "equally good" not in about(clear)


@pytest.mark.slow
def test_the_report_tells_every_failure_and_every_n(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, list[float | None]] = {f"trial {t}": list(v) for t, v in VALUES.items()}
    values["trial 9"][1] = None
    promises = {"trial 3": [0.91, 0.92, None], "trial 5": [None, None, None]}
    test = {"trial 3": list(TEST[0]), "source": [*TEST[1][:4], None]}
    findings = _findings(choose=values, over_promise=promises, test=test)
    report_confirmation(tmp_path, findings, "python -m confirm", "python -m it")
    printed = capsys.readouterr().out
    text = (tmp_path / "confirmation.md").read_text()
    for part in ("6 of 28 runs did not complete", "choose/runs/10 (trial 9, seed 10)", "n = 4"):
        assert part in statements_of(findings) or part in printed
    unknown = "all 3 runs with fresh seeds failed (see Runs): how much too much is unknown."
    assert f"for trial 5 (n = 1); {unknown}" in printed and "n = 0" not in printed
    assert _tables(text) == {"Chosen": 4, "Over-promise": 2, "Test": 2}
    # A binomial share of 0.902 over 10,000 images, by SciPy.
    low, high = stats.binom(10_000, 0.902).interval(0.95)
    sampling = re.search(r"adds about ±([\d.]+)\.", printed)
    assert sampling and float(sampling[1]) == pytest.approx((high - low) / 2 / 10_000, rel=0.02)
    assert "python -m it" in text and "diverged" in text
    advice = "take the smallest, or confirm again with more seeds: num_seeds=10 name=confirm_10"
    assert (advice in printed) == (len(findings.choice.tied) > 1)
    for suffix in ("json", "csv", "png", "svg"):
        assert (tmp_path / f"confirmation.{suffix}").stat().st_size > 0
    assert len((tmp_path / "confirmation.csv").read_text().splitlines()) == 1 + 28


@pytest.mark.slow
@pytest.mark.parametrize("ranking", ["val_accuracy", "val_loss"])
def test_a_sweep_that_ranked_by_loss_has_promised_no_accuracy(
    ranking: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, list[float | None]] = {f"trial {t}": list(v) for t, v in VALUES.items()}
    test = {"trial 3": list(TEST[0]), "source": list(TEST[1])}
    found = _findings(choose=values, over_promise={"trial 3": [0.91, 0.92, 0.9]}, test=test)
    found = replace(found, plan=replace(found.plan, ranking=ranking))
    report_confirmation(tmp_path, found, "python -m confirm", "python -m it")
    printed = capsys.readouterr().out
    assert ("val_loss" in printed) == (ranking == "val_loss")
    promises = " promised " in printed.partition("Only the seeds differ")[0]
    assert promises == (ranking == "val_accuracy")
    failed = _findings(choose=values, over_promise={"trial 3": [None]})
    failed = replace(failed, plan=replace(failed.plan, ranking=ranking))
    said = report.about_over_promise(failed)[0]
    assert ("too much" in said) == (ranking == "val_accuracy")
    assert json.loads((tmp_path / "confirmation.json").read_text())["ranking"] == ranking


def test_a_test_stage_without_any_accuracy_is_said_to_have_none() -> None:
    values: dict[str, list[float | None]] = {f"trial {t}": list(v) for t, v in VALUES.items()}
    findings = _findings(choose=values, test={"trial 3": [None], "source": [None]})
    said = "\n".join(report.about_test(findings))
    assert said.count("test accuracy unknown, as all 1 runs with fresh seeds failed") == 2
    assert "n = 0" not in said and "±" not in said


def _findings(**values: dict[str, list[float | None]]) -> Findings:
    """Return what runs with these accuracies say, by stage."""
    return conclude(_plan(), {stage: _runs(stage, values.get(stage, {})) for stage in STAGES})


def _tables(text: str) -> dict[str, int]:
    """Return how many rows the table of each section of a Markdown text has."""
    sections = [section.partition("\n") for section in text.split("\n## ")[1:]]
    rows = {name: sum(line.startswith("|") for line in s.splitlines()) for name, _, s in sections}
    return {name: count - 2 for name, count in rows.items() if count}


def statements_of(findings: Findings) -> str:
    said = [*report.about_test(findings), *report.about_failures(findings)]
    return "\n".join(said)
