"""Data that lie elsewhere now: their fingerprint decides whether a run or a sweep goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np
import pytest
from confirmable import write_untrained_sweep
from conftest import make_tiny_config, train_here
from hydra.types import HydraContext
from omegaconf import OmegaConf
from optuna.trial import TrialState
from stub_sweep import FIXED, make_settings, make_sweep, open_stub_study
from stub_worker import result_of, stub_run_trial

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir, from_dict
from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.config.data import ArraysConfig, DigitsConfig
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.config.workers import WorkersConfig
from resnet_sweep.confirmation.planning import (
    choose_runs,
    make_plan,
    moved_plan,
    over_promise_runs,
    runs_on_test_set,
)
from resnet_sweep.data.registry import load_dataset
from resnet_sweep.records.identity import changes, known_teacher, signature
from resnet_sweep.records.run_folder import (
    MODEL,
    as_recorded,
    read_config_values,
    read_metrics,
    read_result,
    write_config,
    write_result,
)
from resnet_sweep.records.run_lock import holding_run
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposals import DataShape, base_config
from resnet_sweep.search.settings import base_values, found_changes, read_settings, write_settings
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.trial_attributes import PLANNED
from resnet_sweep.sweep.extension import find_extension
from resnet_sweep.sweep.first_trials import find_starts
from resnet_sweep.system.atomic import write_text
from resnet_sweep.training.loop import Interrupted
from resnet_sweep.training.run import run_training
from resnet_sweep.workers.launchers import BASIC_LAUNCHER
from resnet_sweep.workers.planned import PlannedRun, WorkerPool, prepare_planned
from resnet_sweep.workers.worker import work


def make_arrays(folder: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for part, count in (("train", 48), ("test", 8)):
        images = rng.integers(0, 255, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(folder / f"{part}.npz", images=images, labels=np.arange(count) % 2)
    return folder


def config_on(root: Path) -> Config:
    tiny = make_tiny_config()
    data = ArraysConfig(root=str(root), val_size=8)
    train = replace(tiny.train, batch_size=16, checkpoint_interval_seconds=0.0)
    return replace(tiny, data=data, train=train)


def interrupt(config: Config, run_dir: Path) -> None:
    def stop(_metrics: object) -> None:
        raise Interrupted

    assert run_training(config, run_dir, stop).status == "interrupted"


def test_a_run_goes_on_where_its_data_lie_now(tmp_path: Path) -> None:
    interrupt(config_on(make_arrays(tmp_path / "old")), tmp_path / "run")
    first = read_metrics(tmp_path / "run")
    (tmp_path / "old").rename(tmp_path / "new")
    found = train_here("resume=run", f"data.root={tmp_path}/new", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    rows = read_metrics(tmp_path / "run")
    assert [row.epoch for row in rows] == [1, 2]
    assert rows[0].train_loss == first[0].train_loss


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    interrupt(config_on(make_arrays(tmp_path / "old")), tmp_path / "run")
    shutil.rmtree(tmp_path / "old")
    make_arrays(tmp_path / "new", seed=1)
    found = train_here("resume=run", f"data.root={tmp_path}/new", cwd=tmp_path)
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert "run" in line and "data have changed" in line


def test_a_sweep_may_go_on_where_its_data_lie_now() -> None:
    config = config_on(Path("old"))
    moved = replace(config, data=replace(config.data, root="new"))
    other = replace(config, data=replace(config.data, split_seed=9))
    first, second, third = (make_settings(base=base_values(c)) for c in (config, moved, other))
    assert found_changes(first, second) == []
    assert ["data.split_seed" in line for line in found_changes(first, third)] == [True]


@pytest.mark.parametrize(("fingerprint", "kind"), [("0", "done"), ("ff", "user_error")])
def test_a_sweep_goes_on_only_with_its_own_data(
    tmp_path: Path, fingerprint: str, kind: str
) -> None:
    make_sweep(tmp_path, n_trials=1)
    run_dir = tmp_path / RUNS / "7"
    run_dir.mkdir(parents=True)
    result = replace(result_of(make_tiny_config(), "completed"), data_fingerprint="0")
    write_result(run_dir, result)
    ended = work(tmp_path, 0, stub_run_trial, lambda _: DataShape(10, 32, fingerprint))
    assert ended.kind == kind
    if kind == "user_error":
        assert all(word in ended.message for word in ("data=digits", "ff", "0"))


def test_a_planned_run_is_trained_with_what_lies_elsewhere_now(tmp_path: Path) -> None:
    """What waits is planned anew; what has ended stays as it was."""
    old, new = make_teacher(tmp_path / "old"), tmp_path / "new"
    config = taught_by(config_on(Path("before")), old)
    runs = [PlannedRun("a", replace(config, seed=seed)) for seed in range(2)]
    study = prepare_planned(tmp_path / "runs", "val_accuracy", runs, make_pool())
    study.tell(study.ask(), 0.5)
    old.rename(new)
    moved = taught_by(config_on(Path("now")), new)
    again = [PlannedRun("a", replace(moved, seed=seed)) for seed in range(2)]
    trials = prepare_planned(tmp_path / "runs", "val_accuracy", again, make_pool()).get_trials()
    ended, waiting = (from_dict(trial.user_attrs[PLANNED]) for trial in trials)
    assert (ended.data.root, ended.regularization.distill_from) == ("before", str(old))
    assert waiting == as_recorded(again[1].config)
    with patch.object(study._storage.__class__, "set_trial_user_attr") as written:
        prepare_planned(tmp_path / "runs", "val_accuracy", again, make_pool())
    assert not [call for call in written.call_args_list if PLANNED in call.args]
    make_teacher(old, seed=1)
    other = [PlannedRun("a", taught_by(run.config, old)) for run in runs]
    with pytest.raises(UserError, match="distill_from"):
        prepare_planned(tmp_path / "runs", "val_accuracy", other, make_pool())


@pytest.mark.slow
@pytest.mark.parametrize("is_same", [True, False])
def test_a_sweep_takes_over_trials_by_their_data(tmp_path: Path, is_same: bool) -> None:
    data = make_arrays(tmp_path / "now")
    fixed = ["data=arrays", "data.val_size=8", "train.batch_size=16"]
    old = tmp_path / "sweep"
    old_settings = make_sweep(old, *fixed, "data.root=before", "optimizer.lr=interval(0.01,1)")
    space = SearchSpace.from_json(old_settings.space)
    study = open_stub_study(old)
    trial = study.ask()
    composer = Composer(conf_dir(), space.fixed_overrides)
    config = composer.config(space.suggest(trial), 0)
    study.tell(trial, 0.5)
    run_dir = old / RUNS / "0"
    run_dir.mkdir(parents=True)
    write_config(run_dir, config)
    print_of = load_dataset(replace(config.data, root=str(data))).fingerprint
    result = result_of(config, "completed")
    write_result(run_dir, replace(result, data_fingerprint=print_of if is_same else "beef"))
    settings = make_settings(*fixed, f"data.root={data}", "optimizer.lr=interval(0.001,2)")
    new_space = SearchSpace.from_json(settings.space)
    new_composer = Composer(conf_dir(), new_space.fixed_overrides)
    assert base_config(new_space, new_composer).data.root == str(data)
    found = find_extension(new_space, new_composer, old, ["val_accuracy"], [])
    assert [t.state for t in found.trials] == [TrialState.COMPLETE] * is_same
    assert len(found.left_out) == (not is_same)
    assert all("beef" in line and "data" in line for line in found.left_out)
    assert read_result(run_dir).objective_name == "val_accuracy"


@pytest.mark.slow
def test_a_confirmation_reads_the_data_where_they_lie_now(tmp_path: Path) -> None:
    """Planned before and after they were moved; other data are refused there, too."""
    root = make_arrays(tmp_path / "old")
    config = config_on(root)
    sweep = write_untrained_sweep(tmp_path / "s")
    fingerprint = load_dataset(config.data).fingerprint
    for number in range(3):
        run_dir = sweep / f"runs/{number}"
        changed = replace(config, optimizer=replace(config.optimizer, lr=0.1 * (number + 1)))
        (run_dir / "config.json").unlink()
        write_config(run_dir, changed)
        write_result(run_dir, replace(read_result(run_dir), data_fingerprint=fingerprint, epochs=2))
    write_settings(sweep, replace(read_settings(sweep), base=base_values(config)))
    options = ConfirmConfig(sweep=str(sweep), top_k=1, baseline=None)
    before = make_plan(sweep, options)
    root.rename(tmp_path / "new")
    with pytest.raises(UserError, match="data_root"):
        make_plan(sweep, options)
    options = replace(options, data_root=str(tmp_path / "new"))
    after = make_plan(sweep, options)
    assert after == moved_plan(before, options)
    assert after.questions == before.questions
    planned = [*choose_runs(after), *over_promise_runs(after)]
    planned += runs_on_test_set(after, after.candidates[0])
    assert {run.config.data.root for run in planned} == {str(tmp_path / "new")}
    other = replace(options, data_root=str(make_arrays(tmp_path / "other", seed=1)))
    with pytest.raises(UserError, match="data have changed"):
        make_plan(sweep, other)


def make_teacher(folder: Path, seed: int = 0) -> Path:
    """Write what a digest is taken of; nothing loads it."""
    folder.mkdir()
    (folder / MODEL).write_bytes(bytes([seed]))
    return folder


def taught_by(config: Config, teacher: Path) -> Config:
    regularization = RegularizationConfig(distill_from=str(teacher))
    return replace(config, regularization=regularization)


def make_pool() -> WorkerPool:
    config = OmegaConf.create({"hydra": {"launcher": {"_target_": BASIC_LAUNCHER}}})
    return WorkerPool(WorkersConfig(n_jobs=1), config, HydraContext(Mock(), Mock()), "")


def test_a_sweep_goes_on_with_the_same_teacher_elsewhere(tmp_path: Path) -> None:
    old, other = make_teacher(tmp_path / "old"), make_teacher(tmp_path / "other", seed=1)
    began = make_settings(base=base_values(taught_by(make_tiny_config(), old)))
    copy = Path(shutil.copytree(old, tmp_path / "copy"))
    shutil.rmtree(old)
    for teacher, is_same in ((copy, True), (other, False)):
        now = make_settings(base=base_values(taught_by(make_tiny_config(), teacher)))
        assert (found_changes(began, now) == []) == is_same
    make_teacher(old, seed=2)  # the same folder with another net
    now = make_settings(base=base_values(taught_by(make_tiny_config(), old)))
    (change,) = found_changes(began, now)
    assert "distill_from" in change


def test_a_run_without_a_checkpoint_knows_its_teacher(tmp_path: Path) -> None:
    old, other = make_teacher(tmp_path / "old"), make_teacher(tmp_path / "other", seed=1)
    with holding_run(tmp_path / "run", taught_by(make_tiny_config(), old)):
        pass
    old.rename(tmp_path / "new")
    with holding_run(tmp_path / "run", taught_by(make_tiny_config(), tmp_path / "new")):
        pass
    with (
        pytest.raises(UserError, match="distill_from"),
        holding_run(tmp_path / "run", taught_by(make_tiny_config(), other)),
    ):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("is_drawn", [False, True])
@pytest.mark.parametrize("fate", ["moved", "other", "replaced", "spelled otherwise"])
def test_a_sweep_takes_over_trials_by_their_teacher(
    tmp_path: Path, fate: str, is_drawn: bool
) -> None:
    """Its folder is fixed or one of several; it has moved, or lies there with another net."""
    before, second = make_teacher(tmp_path / "before"), make_teacher(tmp_path / "second", seed=2)
    lr = "optimizer.lr=interval(0.01,1)"

    def words(teacher: Path | str) -> list[str]:
        drawn = f"choice({teacher},{second})" if is_drawn else teacher
        return [*FIXED, lr, f"regularization.distill_from={drawn}"]

    old = tmp_path / "sweep"
    old_settings = make_sweep(old, *words(before))
    space = SearchSpace.from_json(old_settings.space)
    study = open_stub_study(old)
    if is_drawn:
        study.enqueue_trial({"regularization.distill_from": str(before)})
    trial = study.ask()
    composer = Composer(conf_dir(), space.fixed_overrides)
    config = composer.config(space.suggest(trial), 0)
    assert config.regularization.distill_from == str(before)
    study.tell(trial, 0.5)
    run_dir = old / RUNS / "0"
    run_dir.mkdir(parents=True)
    write_config(run_dir, config)
    write_result(run_dir, result_of(config, "completed"))
    known = known_teacher(read_config_values(run_dir))
    now = tmp_path / "now"
    if fate == "moved":
        before.rename(now)
    else:
        shutil.rmtree(before)
        now = make_teacher(now if fate == "other" else before, seed=1)
    settings = make_settings(*words(f"{now}/" if fate == "spelled otherwise" else now))
    new_space = SearchSpace.from_json(settings.space)
    new_composer = Composer(conf_dir(), new_space.fixed_overrides)
    found = find_extension(new_space, new_composer, old, ["val_accuracy"], [])
    assert len(found.trials) == (fate == "moved")
    assert ["distill_from" in line for line in found.left_out] == [True] * (fate != "moved")
    if fate == "replaced":
        (start,) = find_starts(new_space, new_composer, [str(run_dir)], print)
        assert [f"distill_from is {known}" in note for note in start.notes] == [True]
    if fate == "moved" and is_drawn:
        assert found.trials[0].params["regularization.distill_from"] == str(now)
        (start,) = find_starts(new_space, new_composer, [str(run_dir)], print)
        assert start.params["regularization.distill_from"] == str(now)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [None, "group", "teacher"])
def test_one_damaged_run_does_not_end_an_extension(tmp_path: Path, damage: str | None) -> None:
    """A record without a group; one that is older than the field has its default."""
    old = tmp_path / "sweep"
    words = (*FIXED, "optimizer.lr=interval(0.01,1)")
    space = SearchSpace.from_json(make_sweep(old, *words).space)
    composer = Composer(conf_dir(), space.fixed_overrides)
    study = open_stub_study(old)
    for number in range(2):
        trial = study.ask()
        config = composer.config(space.suggest(trial), 0)
        study.tell(trial, 0.5)
        run_dir = old / RUNS / str(number)
        run_dir.mkdir(parents=True)
        write_config(run_dir, config)
        write_result(run_dir, result_of(config, "completed"))
    values = json.loads((run_dir / "config.json").read_bytes())
    if damage == "group":
        del values["regularization"]
    elif damage == "teacher":
        del values["regularization"]["distill_from"]
    write_text(run_dir / "config.json", json.dumps(values))
    found = find_extension(space, composer, old, ["val_accuracy"], [])
    assert len(found.trials) == 2 - (damage == "group")
    assert ["regularization" in line for line in found.left_out] == [True] * (damage == "group")
    if damage == "group":
        with pytest.raises(UserError, match="regularization"):
            find_starts(space, composer, [str(run_dir)], print)


@pytest.mark.slow
def test_a_confirmation_takes_the_teacher_where_it_lies_now(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path / "old")
    config = taught_by(replace(make_tiny_config(), data=DigitsConfig()), teacher)
    sweep = write_untrained_sweep(tmp_path / "s")
    for number in range(3):
        run_dir = sweep / f"runs/{number}"
        (run_dir / "config.json").unlink()
        changed = replace(config, optimizer=replace(config.optimizer, lr=0.1 * (number + 1)))
        write_config(run_dir, changed)
    write_settings(sweep, replace(read_settings(sweep), base=base_values(config)))
    options = ConfirmConfig(sweep=str(sweep), top_k=1, baseline=None)
    before = make_plan(sweep, options)
    teacher.rename(tmp_path / "new")
    for plan_again in (lambda o: make_plan(sweep, o), lambda o: moved_plan(before, o)):
        with pytest.raises(UserError, match="distill_from=FOLDER"):
            plan_again(options)
        here = replace(options, distill_from=str(tmp_path / "new"))
        after = plan_again(here)
        planned = [*choose_runs(after), *over_promise_runs(after)]
        planned += runs_on_test_set(after, after.candidates[0])
        places = {run.config.regularization.distill_from for run in planned}
        assert places == {str(tmp_path / "new")}
    make_teacher(tmp_path / "other", seed=1)
    nobody = replace(ConfirmConfig(sweep="untaught"), distill_from=str(tmp_path / "other"))
    untaught = write_untrained_sweep(tmp_path / "untaught")
    with pytest.raises(UserError, match=r"distill_from=.*must be null"):
        make_plan(untaught, nobody)
    with pytest.raises(UserError, match="must hold the net"):
        make_plan(sweep, replace(options, distill_from=str(tmp_path / "other")))


@pytest.mark.slow
def test_each_candidate_of_a_confirmation_takes_its_own_teacher(tmp_path: Path) -> None:
    """Of two teachers first one has moved, then both; the baseline's stays where it is."""
    places = [make_teacher(tmp_path / name, seed) for seed, name in enumerate("ab")]
    config = replace(make_tiny_config(), data=DigitsConfig())
    sweep = write_untrained_sweep(tmp_path / "s")
    for number in range(3):
        run_dir = sweep / f"runs/{number}"
        (run_dir / "config.json").unlink()
        changed = replace(config, optimizer=replace(config.optimizer, lr=0.1 * (number + 1)))
        write_config(run_dir, taught_by(changed, places[number]) if number < 2 else changed)
        if number == 2:  # of a version before this field
            values = json.loads((run_dir / "config.json").read_bytes())
            del values["regularization"]["distill_from"]
            write_text(run_dir / "config.json", json.dumps(values))
    write_settings(sweep, replace(read_settings(sweep), base=base_values(config)))
    own = make_teacher(tmp_path / "own", seed=2)
    recipe = (sweep / "conf/experiment/source.yaml").read_text()
    recipe += f"\nregularization:\n  distill_from: {own}\n"
    (sweep / "conf/experiment/taught.yaml").write_text(recipe)
    options = ConfirmConfig(sweep=str(sweep), top_k=3, baseline="taught")
    before = make_plan(sweep, options)
    assert before.baseline is not None
    given: list[Path] = []
    for index, name in enumerate(("new_a", "new_b")):
        places[index] = places[index].rename(tmp_path / name)
        given.append(places[index])
        here = replace(options, distill_from=[str(place) for place in given])
        for plan_again in (lambda o: make_plan(sweep, o), lambda o: moved_plan(before, o)):
            with pytest.raises(UserError, match="distill_from=FOLDER"):
                plan_again(options)
            after = plan_again(here)
            lie = [from_dict(each.config).regularization.distill_from for each in after.candidates]
            assert lie == [*map(str, places), None]
            assert after.baseline == before.baseline
        if index == 0:
            assert make_plan(sweep, replace(options, distill_from=str(given[0]))) == after
    with pytest.raises(UserError, match="must hold the net"):
        make_plan(sweep, replace(options, distill_from=[*map(str, given), str(own)]))


@pytest.mark.slow
def test_a_teacher_is_what_its_net_is_wherever_it_lies(tmp_path: Path) -> None:
    assert run_training(make_tiny_config(), tmp_path / "old").status == "completed"
    assert (
        run_training(replace(make_tiny_config(), seed=5), tmp_path / "other").status == "completed"
    )

    def student(name: str) -> Config:
        tiny = make_tiny_config()
        train = replace(tiny.train, checkpoint_interval_seconds=0.0)
        return taught_by(replace(tiny, train=train), tmp_path / name)

    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    assert signature(student("old")) == signature(student("copy"))
    assert changes(student("old"), student("copy")) == []
    assert signature(student("old")) != signature(student("other"))
    interrupt(student("old"), tmp_path / "run")
    shutil.rmtree(tmp_path / "old")
    for name, status in (("other", 2), ("copy", 0)):
        teacher = f"regularization.distill_from={tmp_path}/{name}"
        found = train_here("resume=run", teacher, cwd=tmp_path)
        assert found.returncode == status, found.stderr
    assert [row.epoch for row in read_metrics(tmp_path / "run")] == [1, 2]
