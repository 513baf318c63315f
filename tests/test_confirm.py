"""The whole way on the digits: a sweep, its confirmation killed once, its report."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confirmable import (
    CONFIRM,
    NUM_RUNS,
    OPTIONS,
    SWEEP,
    results,
    run_confirm,
    run_sweep,
    run_with_workers_here,
)
from conftest import run_train
from omegaconf import OmegaConf
from scipy import stats
from signals_sent import signal_at

from resnet_sweep.analysis import load_runs
from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.confirmation import planning
from resnet_sweep.confirmation.command import OBJECTIVES
from resnet_sweep.data import device
from resnet_sweep.records.confirmation import STAGES, Plan, read_plan
from resnet_sweep.records.run_folder import read_config, read_config_values, read_result
from resnet_sweep.records.sweep_folder import read_sweep
from resnet_sweep.training.run import run_training
from resnet_sweep.workers.planned import PlannedRun, WorkerPool, prepare_planned
from resnet_sweep.workers.worker import work

pytestmark = pytest.mark.slow  # the sweep and its confirmation take most of a minute


@dataclass(frozen=True)
class Confirmed:
    """What the commands left.

    Args:
        before: the runs that had ended when everything was killed.
    """

    folder: Path
    printed: str
    before: dict[str, int]

    @property
    def plan(self) -> Plan:
        return read_plan(self.folder / CONFIRM)

    @property
    def findings(self) -> dict[str, Any]:
        return json.loads((self.folder / CONFIRM / "confirmation.json").read_text())  # type: ignore[no-any-return]

    def run_dirs(self, stage: str) -> list[Path]:
        folder = self.folder / CONFIRM / stage / "runs"
        return sorted(folder.iterdir(), key=lambda path: int(path.name))


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confirmed]:
    folder = tmp_path_factory.mktemp("confirmed")
    run_sweep(folder)
    environment = signal_at(tmp_path_factory.mktemp("kill"), "result.json", 2, signal.SIGKILL)
    assert run_confirm(*OPTIONS, cwd=folder, environment=environment).returncode == -signal.SIGKILL
    before = results(folder)
    done = run_with_workers_here("confirm", *OPTIONS, cwd=folder)
    assert done.returncode == 0, done.stderr
    yield Confirmed(folder, done.stdout, before)


def test_after_a_kill_the_same_command_goes_on_and_trains_nothing_twice(
    confirmed: Confirmed,
) -> None:
    after = results(confirmed.folder)
    assert len(confirmed.before) == 1 and len(after) == NUM_RUNS
    assert confirmed.before.items() <= after.items()
    again = run_with_workers_here("confirm", *OPTIONS, cwd=confirmed.folder)
    assert again.returncode == 0, again.stderr
    assert results(confirmed.folder) == after


def test_each_run_is_the_sweeps_configuration_with_a_fresh_seed_and_split(
    confirmed: Confirmed, tmp_path: Path
) -> None:
    plan, sweep = confirmed.plan, confirmed.folder / SWEEP
    expected: list[Config] = []
    for candidate in plan.candidates:
        config = read_config(sweep / f"runs/{candidate.trial}")
        config.data.split_seed = plan.split_seed
        expected += [config, config]
    for run_dir, config in zip(confirmed.run_dirs("choose"), expected, strict=True):
        values = to_dict(read_config(run_dir))
        values["seed"] = config.seed
        expected_values = to_dict(config)
        expected_values["train"] |= {"figures": False, "progress": False}
        expected_values["tracker"]["tensorboard"] = None
        assert values == expected_values
    best = read_config_values(sweep / f"runs/{plan.candidates[0].trial}")
    for run_dir in confirmed.run_dirs("over_promise"):
        assert read_config_values(run_dir)["data"] == best["data"]
    last = confirmed.run_dirs("choose")[-1]
    alone = run_training(read_config(last), tmp_path / "alone")
    assert alone.val_accuracy == read_result(last).val_accuracy


def test_no_seed_is_used_twice(confirmed: Confirmed) -> None:
    paths = (confirmed.folder / SWEEP).rglob("config.json")
    seeds = [read_config_values(path.parent)["seed"] for path in paths]
    swept = [trial.seed for trial in read_sweep(confirmed.folder / SWEEP).trained()]
    assert len(swept) == 3 and len(set(swept)) == 2  # two configurations shared the sweep's
    fresh = sorted(seeds)
    for seed in swept:
        fresh.remove(seed)
    assert len(set(fresh)) == len(fresh) == NUM_RUNS and not set(fresh) & set(swept)
    splits = {read_config(each).data.split_seed for each in confirmed.run_dirs("choose")}
    assert splits == {confirmed.plan.split_seed} != {0}


def test_the_test_stage_alone_has_read_the_test_set(confirmed: Confirmed) -> None:
    for stage in STAGES:
        for run_dir in confirmed.run_dirs(stage):
            config, result = read_config(run_dir), read_result(run_dir)
            is_test = stage == "test"
            assert config.evaluate_test == (result.test_accuracy is not None) == is_test
            assert (config.data.val_size == 0) == (result.val_accuracy is None) == is_test
    assert all(
        read_config(run_dir).data.train_subset is None for run_dir in confirmed.run_dirs("test")
    )


@pytest.mark.parametrize("stage", STAGES)
def test_no_other_stage_even_asks_for_the_test_images(
    confirmed: Confirmed, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = confirmed.plan
    runs = {
        "choose": planning.choose_runs(plan),
        "over_promise": planning.over_promise_runs(plan),
        "test": planning.runs_on_test_set(plan, plan.candidates[0]),
    }[stage][:1]
    asked: list[object] = []
    monkeypatch.setattr(device, "_place_test", lambda *args: asked.append(args))
    _train(confirmed.folder / SWEEP, tmp_path / "stage", stage, runs)
    assert bool(asked) == (stage == "test")


def _train(sweep: Path, place: Path, stage: str, runs: list[PlannedRun]) -> None:
    """Train a stage in this process."""
    workers = WorkerPool(ConfirmConfig(sweep=str(sweep)), OmegaConf.create({}), None, "again")
    prepare_planned(place, OBJECTIVES[stage], runs, workers)
    assert work(place, 0, run_training).kind in ("done", "user_error")


def test_the_numbers_follow_from_the_run_folders(confirmed: Confirmed) -> None:
    findings, plan = confirmed.findings, confirmed.plan
    accuracies = {
        stage: [getattr(read_result(d), OBJECTIVES[stage]) for d in confirmed.run_dirs(stage)]
        for stage in STAGES
    }
    pairs = np.array(accuracies["choose"]).reshape(2, 2)
    means = dict(zip((c.trial for c in plan.candidates), pairs.mean(axis=1), strict=True))
    assert means[findings["chosen"]] == max(means.values())
    for each in findings["choose"]["configurations"]:
        assert each["mean"] == pytest.approx(means[each["trial"]])
    compared = findings["choose"]["configurations"][1]
    welch = stats.ttest_ind(*sorted(pairs, key=np.mean, reverse=True), equal_var=False)
    assert compared["comparison"]["p_value"] == pytest.approx(welch.pvalue)
    assert compared["is_tied"] == (welch.pvalue >= 0.05)

    promise = findings["over_promise"]["configurations"][0]
    sweep = confirmed.folder / SWEEP
    seen = [read_result(sweep / f"runs/{t}").val_accuracy for t in plan.candidates[0].trials]
    fresh = accuracies["over_promise"]
    assert promise["over_promise"] == pytest.approx(np.mean(seen) - np.mean(fresh))
    low, high = stats.t.interval(0.95, 1, np.mean(fresh), stats.sem(fresh))
    bounds = promise["over_promise_low"], promise["over_promise_high"]
    assert bounds == pytest.approx((np.mean(seen) - high, np.mean(seen) - low))

    own, other = accuracies["test"][:5], accuracies["test"][5:]
    test = stats.ttest_ind(own, other, equal_var=False)
    comparison = findings["test"]["comparison"]
    assert comparison["difference"] == pytest.approx(np.mean(own) - np.mean(other))
    interval = test.confidence_interval(0.95)
    assert (comparison["low"], comparison["high"]) == pytest.approx((interval.low, interval.high))
    for name, values in (("chosen", own), ("baseline", other)):
        expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
        assert (findings["test"][name]["low"], findings["test"][name]["high"]) == pytest.approx(
            expected
        )


def test_the_report_says_what_it_is_worth(confirmed: Confirmed) -> None:
    text = (confirmed.folder / CONFIRM / "confirmation.md").read_text().replace("\\", "")
    for part in (
        "four times in five",
        "may be equally good: take any of them, as their sizes are equal, or confirm again",
        "with more seeds: num_seeds=10",
        "Cannot be told apart from the best (Welch's t test over seeds, 5% level)",
        "promised too much by",
        "compressed into the chosen one's 2 epochs",
        f"All {NUM_RUNS} runs completed",
        "all training images (data.val_size=0)",
    ):
        assert part in text and part in confirmed.printed
    folder = confirmed.folder / CONFIRM
    assert (folder / "confirmation.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (folder / "confirmation.svg").read_text()


def test_the_baseline_is_the_experiment_at_the_sweeps_length(confirmed: Confirmed) -> None:
    config = read_config(confirmed.run_dirs("test")[-1])
    assert (config.model.name, config.scheduler.name) == ("resnet20", "one_cycle")
    assert (config.train.epochs, config.train.device, config.data.name) == (2, "cpu", "digits")


def test_the_printed_command_is_the_run_that_was_tested(confirmed: Confirmed) -> None:
    line = next(line for line in confirmed.printed.splitlines() if "experiment=best" in line)
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "resnet_sweep.train"]
    done = run_train(*words[3:], "hydra.run.dir=again", cwd=confirmed.folder)
    assert done.returncode == 0, done.stderr
    again, tested = confirmed.folder / "again", confirmed.run_dirs("test")[0]
    assert (again / "config.json").read_bytes() == (tested / "config.json").read_bytes()
    assert read_result(again).test_accuracy == read_result(tested).test_accuracy
    shutil.rmtree(again)


def test_the_analysis_reads_the_runs_as_ordinary_ones(confirmed: Confirmed) -> None:
    runs = load_runs(confirmed.folder / "outputs")
    assert len(runs) == 3 + NUM_RUNS and set(runs["status"]) == {"completed"}
    assert runs["sweep"].notna().sum() == 3
    assert read_archive(confirmed.folder / "outputs").sweep_errors == {}  # its stages are no sweeps
