"""Folders that version 0.1.0 made are read, resumed, extended and predicted from.

They were made with
    T="model=resnet20 model.widths=[4,8] model.blocks=[1,1] model.strides=[2,2]
       train.batch_size=32 scheduler=one_cycle augmentation=none data=digits
       data.train_subset=200 train.figures=false train.tensorboard=false"
    train $T optimizer.lr=0.02 train.epochs=2                     run/completed
    the same with train.epochs=40, SIGTERM after an epoch         run/interrupted
    a sweep of three trials, study_name=night, and its confirmation with top_k=2, num_seeds=2
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from conftest import run_here, train_here
from stub_sweep import open_stub_study

from resnet_sweep.analysis import load_runs
from resnet_sweep.records.confirmation import read_plan
from resnet_sweep.records.identity import changes, configuration_id
from resnet_sweep.records.run_folder import (
    read_config,
    read_config_values,
    read_metrics,
    read_result,
)
from resnet_sweep.records.sweep_folder import read_sweep
from resnet_sweep.search.settings import frozen_composer, read_settings
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.sweep.extension import find_extension
from resnet_sweep.workers.study import StudyProgress

ARCHIVE = Path(__file__).parent / "version_0_1_0_folders.tar.xz"
SWEEP = "sweeps/night"
MADE_BY = [
    *("model=resnet20", "model.widths=[4,8]", "model.blocks=[1,1]", "model.strides=[2,2]"),
    *("train.batch_size=32", "scheduler=one_cycle", "augmentation=none", "data=digits"),
    *("data.train_subset=200", "train.figures=false", "tracker=none", "train.epochs=2"),
    *("model.max_params=100000", "search_space=[]", "optimizer.lr=tag(log,interval(0.003,0.1))"),
    *("hydra/sweeper=optuna", "hydra/sweeper/pruner=none", "hydra.sweeper.start_from=[]"),
    *("hydra.sweeper.study_name=night", "hydra.sweeper.folder=sweeps"),
    "hydra.sweeper.sampler.seed=1",
]


@pytest.fixture
def older(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_every_run_and_trial_is_in_the_table(older: Path) -> None:
    runs = load_runs(older).set_index("run")
    assert runs["status"].value_counts().to_dict() == {"completed": len(runs) - 1, "interrupted": 1}
    trials = runs[runs["sweep"] == "night"]
    recorded = {t.number: t.values for t in read_sweep(older / SWEEP).trials}
    assert {int(n): [v] for n, v in zip(trials["trial"], trials["val_accuracy"], strict=True)} == (
        recorded
    )
    assert set(runs["objective_name"].dropna()) == {"val_accuracy"}
    # The seeds of a confirmed configuration and its trial are one configuration.
    for candidate in read_plan(older / SWEEP / "confirm").candidates:
        fingerprint = read_plan(older / SWEEP / "confirm").data_fingerprint
        name = configuration_id(candidate.config, 4, fingerprint)
        same = runs[runs["configuration"] == name]
        assert f"{SWEEP}/runs/{candidate.trial}" in same.index
        assert any("confirm/choose" in run for run in same.index)


@pytest.mark.slow
def test_a_configuration_is_read_with_the_fields_that_came_later(older: Path) -> None:
    for path in older.rglob("config.json"):
        values = read_config_values(path.parent)
        assert changes(values, read_config(path.parent)) == []


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_its_end(older: Path) -> None:
    first = read_metrics(older / "run/interrupted")
    found = train_here("resume=run/interrupted", cwd=older)
    assert found.returncode == 0, found.stderr
    rows = read_metrics(older / "run/interrupted")
    assert [row.epoch for row in rows] == list(range(1, 41))
    assert rows[: len(first)] == first
    result = read_result(older / "run/interrupted")
    assert (result.status, result.objective) == ("completed", result.val_accuracy)


def test_a_sweep_knows_what_it_has_trained(older: Path) -> None:
    progress = StudyProgress(open_stub_study(older / SWEEP), older / SWEEP)
    progress.refresh()
    assert progress.trained == 3
    assert sorted(progress.signatures.values()) == [0, 1, 2]


def test_its_trials_are_taken_over(older: Path) -> None:
    settings = read_settings(older / SWEEP)
    space = SearchSpace.from_json(settings.space)
    composer = frozen_composer(older / SWEEP, settings)
    found = find_extension(space, composer, older / SWEEP, ["val_accuracy"], [])
    assert (len(found.trials), found.left_out) == (3, [])


@pytest.mark.slow
def test_a_sweep_goes_on_with_one_more_trial(older: Path) -> None:
    before = read_sweep(older / SWEEP).trials
    found = train_here("-m", *MADE_BY, "hydra.sweeper.n_trials=4", cwd=older)
    assert found.returncode == 0, found.stderr
    after = read_sweep(older / SWEEP).trials
    assert after[:3] == before
    assert [trial.state for trial in after] == ["completed"] * 4
    result = read_result(older / SWEEP / "runs/3")
    assert (result.objective, result.objective_name) == (result.val_accuracy, "val_accuracy")


def test_a_confirmation_is_read_again_without_a_training(older: Path) -> None:
    logs = {path: path.read_bytes() for path in older.rglob("confirm/*/runs/*/train.log")}
    words = (f"sweep={SWEEP}", "top_k=2", "num_seeds=2", "baseline=null")
    found = run_here("confirm", *words, cwd=older)
    assert found.returncode == 0, found.stderr
    assert logs and all(path.read_bytes() == text for path, text in logs.items())
    assert set(logs) == set(older.rglob("confirm/*/runs/*/train.log"))


def test_a_run_is_predicted_from(older: Path) -> None:
    images = older / "images"
    images.mkdir()
    from PIL import Image

    for number in range(3):
        Image.new("RGB", (32, 32), (80 * number,) * 3).save(images / f"{number}.png")
    words = ("run=run/completed", "input=images", "output=answers", "figures=false")
    found = run_here("predict", *words, cwd=older)
    assert found.returncode == 0, found.stderr
    (table,) = (older / "answers").glob("*.csv")
    assert len(table.read_text().splitlines()) == 4
