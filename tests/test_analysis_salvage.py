"""What is left of a sweep whose record is damaged in the middle, or lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from generated_runs import write_run, write_sweep

from resnet_sweep.analysis import figures, load_runs
from resnet_sweep.analysis.summary.summarize import Options, Summary, summarize
from resnet_sweep.records.sweep_folder import (
    PLANNED_RUNS,
    SETTINGS,
    SWEEP,
    TRIALS,
    read_sweep,
    salvage_sweep,
)

TRIALS_IN_ALL, LOST = 30, 10


@pytest.fixture(autouse=True)
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FIGURES", figures.FIGURES[:1])


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
    assert runs["sweep"].isna().sum() == 1
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


def test_fixed_runs_are_no_sweep_that_lost_its_record(tmp_path: Path) -> None:
    write_run(tmp_path / "study" / "runs" / "0")
    (tmp_path / "study" / SETTINGS).write_text("{}")
    (tmp_path / "study" / PLANNED_RUNS).touch()
    assert summarize(Options(tmp_path, tmp_path / "summary")).problems == []
