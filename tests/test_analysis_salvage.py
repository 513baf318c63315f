"""What is left of a sweep whose record is damaged in the middle, or lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from generated_runs import write_run, write_sweep

from resnet_sweep.analysis import load_runs
from resnet_sweep.analysis.summary.summarize import Options, Summary, summarize
from resnet_sweep.records.sweep_folder import (
    PLANNED_RUNS,
    SETTINGS,
    SWEEP,
    SWEEP_LOCK,
    TRIALS,
    SweepTrial,
    read_sweep,
    salvage_sweep,
    write_sweep_trials,
)
from resnet_sweep.system.locks import FileLock

pytestmark = pytest.mark.usefixtures("one_figure")

TRIALS_IN_ALL, LOST = 30, 10


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    write_sweep(tmp_path / "s", trials=TRIALS_IN_ALL)
    return tmp_path / "s"


def summary_of(sweep: Path) -> Summary:
    return summarize(Options(sweep.parent, sweep.parent / "summary"))


@pytest.mark.slow
@pytest.mark.parametrize("text", [b"\x00" * 40, b'{"number": 10, "sta', b"[]", b"\xff\xfe{}"])
def test_a_damaged_line_in_the_middle_costs_that_line_alone(sweep: Path, text: bytes) -> None:
    whole = read_sweep(sweep).trials
    lines = (sweep / TRIALS).read_bytes().split(b"\n")
    lines[LOST] = text
    (sweep / TRIALS).write_bytes(b"\n".join(lines))
    kept, problem = salvage_sweep(sweep)
    assert kept.trials == [trial for trial in whole if trial.number != LOST]
    assert problem is not None and f"line {LOST + 1}" in problem
    found = summary_of(sweep)
    assert found.counts["rejected"] == sum(trial.state == "rejected" for trial in whole)
    assert len(found.problems) == 1 and f"line {LOST + 1}" in found.problems[0]
    runs = load_runs(sweep.parent).set_index("run")
    assert set(runs["sweep"]) == {"s"} and runs["trial_state"].isna().sum() == 1
    assert runs.loc[f"s/runs/{LOST}", "status"] == "completed"


@pytest.mark.slow
def test_both_files_of_the_record_lost_leave_the_runs(sweep: Path) -> None:
    before = load_runs(sweep.parent)
    (sweep / SETTINGS).write_text("{}")  # a sweep has trained here
    (sweep / SWEEP).unlink()
    (sweep / TRIALS).unlink()
    after = load_runs(sweep.parent)
    assert after["run"].tolist() == before["run"].tolist()
    assert after["val_accuracy"].tolist() == before["val_accuracy"].tolist()
    assert after["sweep"].isna().all()
    found = summary_of(sweep)
    assert len(found.problems) == 1 and SWEEP in found.problems[0]
    assert found.counts["completed"] == (before["status"] == "completed").sum()


@pytest.mark.slow
def test_an_interrupted_trial_is_not_missed_in_the_record(sweep: Path) -> None:
    write_run(sweep / "runs" / "99", status="interrupted")
    assert summary_of(sweep).problems == []
    write_run(sweep / "runs" / "98", status="diverged")
    assert "lacks 1 of" in summary_of(sweep).problems[0]
    with FileLock(sweep / SWEEP_LOCK):  # it runs, and is about to record it
        assert not summary_of(sweep).problems


def test_fixed_runs_are_no_sweep_that_lost_its_record(tmp_path: Path) -> None:
    write_run(tmp_path / "study" / "runs" / "0")
    (tmp_path / "study" / SETTINGS).write_text("{}")
    (tmp_path / "study" / PLANNED_RUNS).touch()
    assert summarize(Options(tmp_path, tmp_path / "summary")).problems == []


@pytest.mark.slow
def test_a_trial_under_way_belongs_to_its_sweep_and_counts_once(sweep: Path) -> None:
    """Its record still says that it waits; a rung of it has ended."""
    trials = [*read_sweep(sweep).trials, SweepTrial(97, "waiting"), SweepTrial(98, "waiting")]
    write_sweep_trials(sweep, trials)
    before = summary_of(sweep).counts
    write_run(sweep / "runs/97", status="interrupted")
    write_run(sweep / "runs/97/rung_2", 0.99, epochs=2)
    runs = load_runs(sweep.parent).set_index("run")
    own = runs.loc[["s/runs/97", "s/runs/97/rung_2"]]
    assert own["sweep"].tolist() == ["s"] * 2 and own["trial"].tolist() == [97] * 2
    assert own["rung"].tolist()[1] == 2
    found = summary_of(sweep)
    assert found.counts["waiting"] == before["waiting"] - 1 == 1
    assert found.counts["interrupted"] == before.get("interrupted", 0) + 1
    assert "0.99" not in "\n".join(found.answers[:1])  # a rung is not ranked


@pytest.mark.slow
def test_what_another_sweep_has_trained_is_no_proposal(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=20)
    own = read_sweep(tmp_path / "s").trials
    taken = [SweepTrial(100 + n, "completed", values=[0.5]) for n in range(90)]
    before = summarize(Options(tmp_path, tmp_path / "summary")).rejection_rate
    write_sweep_trials(tmp_path / "s", [*own, *taken])
    assert summarize(Options(tmp_path, tmp_path / "summary")).rejection_rate == before
