"""Runs that are being written, rungs, splits and nested sweeps: each counted as what it is."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import scipy.stats
from generated_runs import make_config, write_run, write_sweep

from resnet_sweep.analysis import figures, load_epochs, load_runs
from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.analysis.summary.summarize import Options, Summary, summarize
from resnet_sweep.config.errors import RunFolderError
from resnet_sweep.records import run_lock
from resnet_sweep.records.confirmation import Candidate, Plan, write_plan
from resnet_sweep.records.run_folder import read_config_values
from resnet_sweep.records.run_lock import holding_run, is_held
from resnet_sweep.records.sweep_folder import (
    SweepTrial,
    read_sweep,
    rung_of,
    write_sweep_record,
    write_sweep_trials,
)
from resnet_sweep.workers.trial import rung_dir


@contextmanager
def training(run_dir: Path, epochs: int = 2) -> Iterator[None]:
    """Play a run of 100 epochs that a process has brought to `epochs`."""
    write_run(run_dir, epochs=epochs)
    (run_dir / "result.json").unlink()
    with holding_run(run_dir, make_config()):
        yield


def summary_of(root: Path, **options: str) -> Summary:
    return summarize(Options(root=root, output=root / "summary", **options))  # type: ignore[arg-type]


# ---- being written ----


def test_a_run_that_is_being_written_says_how_far_it_is(tmp_path: Path) -> None:
    write_run(tmp_path / "done")
    with training(tmp_path / "now"):
        runs = load_runs(tmp_path).set_index("run")
        epochs = load_epochs(tmp_path)
    assert runs["status"].to_dict() == {"done": "completed", "now": "running"}
    assert runs.loc["now", ["reason", "epochs"]].tolist() == ["epoch 2 of 100", 2]
    assert pd.isna(runs.at["now", "val_accuracy"])
    assert epochs["run"].value_counts().to_dict() == {"done": 3, "now": 2}


def test_a_run_before_its_first_epoch_runs_too(tmp_path: Path) -> None:
    with training(tmp_path / "now"):
        (tmp_path / "now" / "metrics.csv").unlink()
        runs = load_runs(tmp_path)
    assert runs[["status", "reason"]].values.tolist() == [["running", "epoch 0 of 100"]]


def test_a_running_run_with_a_damaged_file_is_unreadable(tmp_path: Path) -> None:
    with training(tmp_path / "now"):
        path = tmp_path / "now" / "metrics.csv"
        path.write_bytes(path.read_bytes()[:-4])
        runs = load_runs(tmp_path)
    assert runs["status"].tolist() == ["unreadable"] and "cut off" in runs["reason"].iloc[0]


@pytest.mark.slow
@pytest.mark.usefixtures("one_figure")
def test_what_was_running_and_is_killed_is_read_anew(tmp_path: Path) -> None:
    """No file changes when a process is killed: neither cache nor manifest may stand."""
    write_run(tmp_path / "done")
    with training(tmp_path / "now"):
        found = summary_of(tmp_path)
        assert found.counts == {"completed": 1, "running": 1}
        report = (tmp_path / "summary" / "report.html").read_text()
        assert "Being written (1)" in report and "epoch 2 of 100" in report
        assert "Unreadable (" not in report
        assert summary_of(tmp_path).num_read == 0
    again = summary_of(tmp_path)
    assert again.counts == {"completed": 1, "unreadable": 1} and again.num_read == 1
    report = (tmp_path / "summary" / "report.html").read_text()
    assert "killed after epoch 2 of 100" in report and "Being written" not in report


def test_looking_disturbs_nobody_who_wants_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run")
    with open(tmp_path / "run" / "config.json", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # an observer
        waits: list[float] = []

        def look_no_longer(seconds: float) -> None:
            waits.append(seconds)
            fcntl.flock(file, fcntl.LOCK_UN)

        monkeypatch.setattr(run_lock, "time", SimpleNamespace(sleep=look_no_longer))
        with holding_run(tmp_path / "run", make_config()):
            assert waits == [0.05]
            monkeypatch.undo()
            assert is_held(tmp_path / "run")
            refusal = pytest.raises(RunFolderError, match="another process is training")
            with refusal, holding_run(tmp_path / "run", make_config()):
                pass
    assert not is_held(tmp_path / "run") and not is_held(tmp_path / "nothing")


# ---- rungs ----


@pytest.fixture
def rungs(tmp_path: Path) -> Path:
    """A sweep under rungs: trial 0 went the whole way, 1 was pruned, 2 is at its first."""
    sweep = tmp_path / "s"
    write_sweep(sweep, trials=0)
    write_run(sweep / "runs/0", 0.7, {"optimizer.lr": 0.1}, epochs=6)
    for trial, accuracy in ((0, 0.6), (1, 0.9)):
        lr = {"optimizer.lr": 0.1 + trial}
        write_run(sweep / f"runs/{trial}/rung_2", accuracy, lr, epochs=2)
    write_run(tmp_path / "rung_2", 0.5, {"optimizer.lr": 0.5})  # a name alone makes no rung
    records = [
        SweepTrial(0, "completed", values=[0.7], run_dir="runs/0"),
        SweepTrial(1, "pruned", intermediate_values={2: 0.9}, run_dir="runs/1"),
        SweepTrial(2, "running", run_dir="runs/2"),
        SweepTrial(3, "waiting"),
    ]
    write_sweep_trials(sweep, records)
    return tmp_path


def test_a_rung_belongs_to_its_trial(rungs: Path) -> None:
    with training(rungs / "s/runs/2/rung_2", epochs=1):
        runs = load_runs(rungs).set_index("run")
    assert runs["rung"].dropna().to_dict() == {
        "s/runs/0/rung_2": 2,
        "s/runs/1/rung_2": 2,
        "s/runs/2/rung_2": 2,
    }
    assert runs.at["s/runs/1/rung_2", "trial"] == 1
    assert runs.at["s/runs/1/rung_2", "trial_state"] == "pruned"
    assert pd.isna(runs.at["rung_2", "trial"]) and pd.isna(runs.at["rung_2", "sweep"])


@pytest.mark.usefixtures("one_figure")
def test_a_rung_is_not_ranked_and_its_trial_counts_once(rungs: Path) -> None:
    with training(rungs / "s/runs/2/rung_2", epochs=1):
        found = summary_of(rungs)
    assert found.counts == {"completed": 2, "pruned": 1, "running": 1, "waiting": 1}
    names = [row[found.leaderboard.columns.index("run")] for row in found.leaderboard.rows]
    assert names == ["s/runs/0", "rung_2"]


def test_pruned_rungs_are_drawn_as_pruned(rungs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [s for s in figures.FIGURES if s.stem == "history"]
    monkeypatch.setattr(figures, "FIGURES", tuple(specs))
    summary_of(rungs)
    assert "pruned (1), last epoch" in (rungs / "summary/figures/history.svg").read_text()


def test_a_rungs_folder_is_called_as_sweeps_call_it(tmp_path: Path) -> None:
    assert rung_of(rung_dir(Path("s/runs/7"), 10).as_posix()) == ("s/runs/7", 10)
    assert rung_of("s/runs/7") is None and rung_of("rung_x") is None


# ---- splits and confirmations ----


@pytest.fixture
def confirmed(tmp_path: Path) -> Path:
    """A sweep's best trial, reseeded on its own split, on a fresh one and on all images."""
    write_sweep(tmp_path / "s", trials=30)
    runs = load_runs(tmp_path)
    done = runs[(runs["status"] == "completed") & runs["repeat_of"].isna()]
    best = tmp_path / done.sort_values("val_accuracy")["run"].iloc[-1]
    folder = tmp_path / "s" / "confirm"
    for seed in range(11, 14):
        write_again(best, folder / "own" / str(seed), seed, {})
        write_again(best, folder / "fresh" / str(seed), seed, {"val_size": 100.0, "split_seed": 7})
        write_again(best, folder / "test/runs" / str(seed - 11), seed, {"val_size": 0.0})
    write_plan(folder, make_plan(read_config_values(best), range(11, 14)))
    return tmp_path


def make_plan(config: dict[str, Any], seeds: Iterable[int]) -> Plan:
    """Return the plan of a confirmation of one candidate, with these seeds at each stage."""
    each = list(seeds)
    return Plan(
        questions={}, study_name="s", num_trained=30,
        candidates=[Candidate(0, [0], [0.8], 100, 100, 1.0, config)],
        split_seed=7, shared_val=0.1, choose_seeds=[each], over_promise_seeds=[each],
        test_seeds=each, baseline_seeds=[], baseline=None, data_fingerprint="f00d",
        num_val=100, num_test=100, notes=[],
    )  # fmt: skip


def write_again(run: Path, target: Path, seed: int, data: dict[str, float]) -> None:
    """Write a run of the same configuration on other data; without validation, its test."""
    accuracy = 0.8 + 0.001 * seed
    write_run(target, accuracy)
    config = json.loads((run / "config.json").read_text()) | {"seed": seed}
    config["data"] |= data
    (target / "config.json").write_text(json.dumps(config))
    result = json.loads((target / "result.json").read_text()) | {"seed": seed}
    if data.get("val_size") == 0:
        result |= {"val_accuracy": None, "objective": None, "test_accuracy": accuracy}
    (target / "result.json").write_text(json.dumps(result))


def test_other_splits_share_the_configuration_and_are_told_apart(confirmed: Path) -> None:
    runs = load_runs(confirmed).set_index("run")
    rows = runs[runs.index.str.startswith("s/confirm")]
    assert rows["configuration"].nunique() == 1
    assert rows["split"].value_counts().to_dict() == {
        "val_size=287 split_seed=0": 3,
        "val_size=100 split_seed=7": 3,
        "none": 3,
    }
    assert runs.loc[runs["trial"].notna(), "split"].unique().tolist() == [
        "val_size=287 split_seed=0"
    ]


def test_a_share_and_the_count_that_it_comes_to_are_one_split(tmp_path: Path) -> None:
    """Of CIFAR-10's 50,000 training images a tenth are 5,000: the same ones."""
    write_run(tmp_path / "count")
    for name, size in {"share": 0.1, "other": 0.2}.items():
        write_again(tmp_path / "count", tmp_path / name, 1, {"val_size": size})
    splits = load_runs(tmp_path).set_index("run")["split"]
    assert splits["count"] == splits["share"] != splits["other"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_figure")
def test_other_splits_are_never_ranked_as_if_the_same(confirmed: Path) -> None:
    found = summary_of(confirmed)
    name = load_runs(confirmed).set_index("run").at["s/confirm/own/11", "configuration"]
    ids = [row[found.leaderboard.columns.index("id")] for row in found.leaderboard.rows]
    assert ids.count(name) <= 1
    text = "\n".join(found.answers)
    assert "be compared. 6 runs judged by other images are left out" in text
    assert (
        f"{name}, judged by val_size=100 split_seed=7: val_accuracy 0.8120 (95% t interval" in text
    )
    assert f"{name}, trained without validation images: test_accuracy 0.8120 (95%" in text


@pytest.mark.slow
@pytest.mark.usefixtures("one_figure")
def test_the_first_screen_shows_what_was_confirmed(confirmed: Path) -> None:
    """Not the baseline, nor what a comparison tested, though these rank higher."""
    board = summary_of(confirmed).leaderboard
    ranked = [row[board.columns.index("run")] for row in board.rows]
    ids = [row[board.columns.index("id")] for row in board.rows]
    runs = load_runs(confirmed).set_index("run")
    assert runs.at["s/confirm/test/runs/0", "configuration"] not in ids[:3]
    for seed in (21, 22, 23):
        whole = {"val_size": 0.0}
        baseline = confirmed / "s/confirm/test/runs" / str(seed - 18)
        write_again(confirmed / ranked[1], baseline, seed, whole)
        write_again(confirmed / ranked[2], confirmed / f"other/test/runs/{seed - 21}", seed, whole)
    summary_of(confirmed)
    text = (confirmed / "summary" / "report.html").read_text()
    [card] = re.findall("<h3>Confirmed: (.*?)</section>", text, re.DOTALL)
    facts = re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", card)
    name = runs.at["s/confirm/test/runs/0", "configuration"]
    own = runs[(runs["configuration"] == name) & (runs["split"] == "val_size=287 split_seed=0")]
    values = own.groupby("seed")["val_accuracy"].mean()
    low, high = scipy.stats.t.interval(
        0.95, len(values) - 1, values.mean(), values.sem()
    )  # fmt: skip
    ends = scipy.stats.t.interval(0.95, 2, 0.812, 0.001 / 3**0.5)
    assert facts == [
        (
            "val_accuracy",
            f"{values.mean():.4f} ({low:.4f} to {min(high, 1):.4f}), n = {len(values)}",
        ),
        ("test accuracy", "0.8120 ({:.4f} to {:.4f}), n = 3".format(*ends)),
    ]


@pytest.mark.usefixtures("one_figure")
def test_the_sweeps_own_run_is_set_against_the_fresh_seeds(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=30)
    runs = load_runs(tmp_path)
    done = runs[(runs["status"] == "completed") & runs["repeat_of"].isna()]
    best = done.sort_values("val_accuracy").iloc[-1]
    for seed in (21, 22):
        target = tmp_path / "again" / str(seed)
        write_run(target, 0.9499 + 0.0001 * seed)
        for file in ("config.json", "result.json"):
            values = json.loads((tmp_path / best["run"] / file).read_text()) | {"seed": seed}
            if file == "result.json":
                accuracy = best["val_accuracy"] - 0.0001 * (seed - 20)
                values |= {"val_accuracy": accuracy, "objective": accuracy, "epochs": 3}
            (target / file).write_text(json.dumps(values))
    text = "\n".join(summary_of(tmp_path).answers)
    assert f"Its run in the sweep reached {best['val_accuracy']:.4f}, its other 2 seeds" in text
    assert "the others are the fair estimate" in text


# ---- nested sweeps ----


def test_two_sweeps_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    for place, seed in (("a/s", 0), ("a/s/confirm/s", 1), ("b/other", 2)):
        write_sweep(tmp_path / place, trials=8, seed=seed)
    runs = load_runs(tmp_path)
    assert set(runs["sweep"]) == {"a/s", "a/s/confirm/s", "other"}
    inner = runs[runs["sweep"] == "a/s/confirm/s"]
    assert inner["run"].str.startswith("a/s/confirm/s/runs/").all() and len(inner) == 8
    archive = read_archive(tmp_path / "a" / "s")
    assert set(archive.sweeps) == {"s", "confirm/s"}


@pytest.mark.slow
@pytest.mark.usefixtures("one_figure")
def test_the_larger_of_two_sweeps_of_one_name_is_looked_at(tmp_path: Path) -> None:
    write_sweep(tmp_path / "a/s", trials=12)
    write_sweep(tmp_path / "b/s", trials=60, seed=1)
    text = "\n".join(summary_of(tmp_path).answers)
    assert "of sweep b/s" in text


@pytest.mark.usefixtures("one_figure")
def test_a_damaged_sweep_leaves_its_runs_readable(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=8)
    (tmp_path / "s" / "trials.jsonl").write_text("[]\n")
    runs = load_runs(tmp_path)
    assert (runs["status"] == "completed").sum() == 7
    assert set(runs["sweep"]) == {"s"} and runs["trial_state"].isna().all()
    found = summary_of(tmp_path)
    assert found.answers[0].startswith("The record of sweep s is damaged")
    assert "trials.jsonl" in found.answers[0]


@pytest.mark.slow
def test_accuracy_orders_wherever_it_is_among_the_objectives(tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=12)
    record = read_sweep(tmp_path / "s").record
    both = replace(
        record, objectives=["num_params", "val_accuracy"], directions=["minimize", "maximize"]
    )
    write_sweep_record(tmp_path / "s", both)
    assert summary_of(tmp_path).leaderboard.columns[1] == "val_accuracy"
