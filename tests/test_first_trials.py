"""Known experiments and old trials in a search space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from shipped_spaces import shipped
from stub_sweep import make_sweep, open_stub_study
from stub_worker import result_of

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.records.identity import signature
from resnet_sweep.records.run_folder import EpochMetrics, write_config, write_metrics, write_result
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.settings import frozen_composer, read_settings
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_building import build_space
from resnet_sweep.sweep.extension import extend_from, find_extension
from resnet_sweep.sweep.first_trials import OutsideSpace, find_params, find_starts

Searched = tuple[SearchSpace, Composer]


def searched(name: str, *overrides: str) -> Searched:
    space = build_space(shipped(name), overrides)
    return space, Composer(conf_dir(), space.fixed_overrides)


@pytest.fixture(scope="module")
def core() -> Searched:
    return searched("core", "train.epochs=30")


@pytest.fixture(scope="module")
def full() -> Searched:
    return searched("full", "train.epochs=30")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["core", "full"])
def test_every_proposal_is_found_again(name: str, request: pytest.FixtureRequest) -> None:
    space, composer = request.getfixturevalue(name)
    study = optuna.create_study(sampler=RandomSampler(seed=4))
    for seed in range(15):
        config = composer.config(space.suggest(study.ask()), seed)
        params, differences = find_params(space, composer, config)
        assert differences == []
        again = composer.config(space.suggest(FixedTrial(params)), seed)
        assert signature(again) == signature(config)


def test_the_origin_is_a_first_trial_of_core(core: Searched) -> None:
    space, composer = core
    (start,) = find_starts(space, composer, ["source"], print)
    model = composer.config(space.assignments(start.params), 0).model
    assert isinstance(model, ResNetConfig)
    assert (model.stage_widths(), model.blocks) == ([16, 64, 128, 256], [2, 3, 4, 3])
    assert start.params["optimizer.lr@sgd"] == pytest.approx(0.2)  # 0.1 at 128 images
    assert start.params["optimizer.one_minus_momentum"] == pytest.approx(0.1)
    assert any("squeeze_excitation is false there and true" in note for note in start.notes)
    assert not any("epochs is" in note and "train.epochs" in note for note in start.notes)


def test_an_enqueued_start_is_the_first_trial(core: Searched) -> None:
    space, composer = core
    (start,) = find_starts(space, composer, ["source"], print)
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.enqueue_trial(start.params)
    trial = study.ask()
    space.suggest(trial)
    assert trial.params == start.params


def test_a_whole_number_among_choices_is_found_in_a_field_of_fractions() -> None:
    space, composer = searched("core", "train.epochs=30", "scheduler.warmup_epochs=choice(0, 1)")
    config = composer.config({"experiment": "source", "scheduler.warmup_epochs": 1}, None)
    params, _ = find_params(space, composer, config)
    assert params["scheduler.warmup_epochs"] == 1


def test_a_run_folder_is_a_source(core: Searched, tmp_path: Path) -> None:
    space, composer = core
    write_config(tmp_path, Composer(conf_dir(), []).config({"experiment": "source"}, None))
    (start,) = find_starts(space, composer, [str(tmp_path)], print)
    assert start.params["model.base_width"] == 64


def test_a_source_outside_the_space_is_refused(full: Searched) -> None:
    with pytest.raises(OutsideSpace, match=r"start_from=source: .*ema_half_life_epochs=null"):
        find_starts(*full, ["source"], print)


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=adamw", "optimizer.betas[0]=interval(0.8,0.95)"],  # source has SGD
        ["optimizer=rmsprop", "optimizer.one_minus_alpha=tag(log,interval(0.001,0.1))"],
        ["model.blocks=[1,1,1,1,1]", "model.blocks[4]=range(1,4)"],  # source has four stages
    ],
)
def test_a_source_without_what_the_space_draws_lies_outside(overrides: list[str]) -> None:
    space = build_space({}, ["train.epochs=30", *overrides])
    with pytest.raises(OutsideSpace, match="start_from=source: "):
        find_starts(space, Composer(conf_dir(), space.fixed_overrides), ["source"], print)


def test_an_unknown_source_is_refused(core: Searched) -> None:
    with pytest.raises(UserError, match="did you mean source"):
        find_starts(*core, ["sorce"], print)


def test_what_does_not_go_with_the_space_lies_outside() -> None:
    space, composer = searched("init", "model.shortcut=none")
    config = Config()
    config.init.zero_init_residual = True
    with pytest.raises(OutsideSpace, match=r"zero_init_residual=True: .*model.shortcut=none"):
        find_params(space, composer, config)


def test_widths_that_do_not_grow_evenly_lie_outside(core: Searched) -> None:
    config = Config(model=ResNetConfig(widths=[16, 64, 72, 256]))
    with pytest.raises(OutsideSpace, match=r"\[16,64,72,256\]"):
        find_params(*core, config)


def old_trials(searched: Searched, count: int) -> list[tuple[FrozenTrial, Config]]:
    space, composer = searched
    study = optuna.create_study(sampler=RandomSampler(seed=5), direction="maximize")
    configs = []
    for seed in range(count):
        trial = study.ask()
        configs.append(composer.config(space.suggest(trial), seed))
        trial.report(0.1, 1)
        study.tell(trial, seed / 100)
    return list(zip(study.trials, configs, strict=True))


@pytest.mark.slow
def test_old_trials_move_into_a_wider_space(core: Searched) -> None:
    old = old_trials(core, 6)
    space, composer = searched("core", "train.epochs=30", "optimizer.lr=interval(1e-5, 2.0)")
    moved, left_out = extend_from(space, composer, old)
    assert left_out == []
    assert [trial.value for trial in moved] == [trial.value for trial, _ in old]
    assert all(trial.intermediate_values == {1: 0.1} for trial in moved)
    assert all("optimizer.lr" in trial.params for trial in moved)
    study = optuna.create_study(direction="maximize")
    study.add_trials(moved)
    assert study.best_value == 0.05


@pytest.mark.slow
def test_old_trials_outside_a_narrower_space_are_left_out(core: Searched) -> None:
    old = old_trials(core, 12)
    space, composer = searched("core", "train.epochs=30", "optimizer=sgd")
    moved, left_out = extend_from(space, composer, old)
    sgd = [config for _, config in old if config.optimizer.name == "sgd"]
    assert 0 < len(sgd) < len(old)
    assert len(moved) == len(sgd)
    assert len(left_out) == len(old) - len(sgd)
    assert all("optimizer" in line for line in left_out)


def test_trials_of_another_length_are_not_comparable(core: Searched) -> None:
    trial, config = old_trials(core, 1)[0]
    longer = replace(config, train=replace(config.train, epochs=60))
    longer = replace(longer, scheduler=replace(config.scheduler, warmup_epochs=0.0))
    moved, left_out = extend_from(*core, [(trial, longer)])
    assert moved == []
    assert "train.epochs was 60 and is 30 now" in left_out[0]


def judged_by_accuracy(folder: Path) -> None:
    """Write a sweep of a completed and a pruned trial with the records of their runs."""
    values = make_sweep(folder, n_trials=2)
    space = SearchSpace.from_json(values.space)
    composer, study = frozen_composer(folder, read_settings(folder)), open_stub_study(folder)
    for number in (0, 1):
        trial, run_dir = study.ask(), folder / RUNS / str(number)
        run_dir.mkdir(parents=True)
        config = composer.config(space.suggest(trial), 0)
        write_config(run_dir, config)
        rows = [EpochMetrics(e, 0.1, 1.0, 0.5, 2.0 - e / 4, 0.5 + e / 10, 0.0) for e in (1, 2)]
        write_metrics(run_dir, rows)
        write_result(run_dir, replace(result_of(config, "completed"), val_loss=1.5))
        trial.report(0.6, 1)
        study._storage.set_trial_system_attr(trial._trial_id, "completed_rung_0", 0.6)
        if number == 0:
            study.tell(trial, 0.7)
        else:
            study.tell(trial, state=TrialState.PRUNED)


@pytest.mark.slow
def test_old_trials_are_judged_by_the_new_objective(tmp_path: Path) -> None:
    judged_by_accuracy(tmp_path)
    space = SearchSpace.from_json(read_settings(tmp_path).space)
    composer = frozen_composer(tmp_path, read_settings(tmp_path))
    found = find_extension(space, composer, tmp_path, ["val_loss"], [])
    completed, pruned = found.trials
    assert (completed.values, pruned.values) == ([1.5], None)
    assert [t.intermediate_values for t in found.trials] == [{1: 1.75, 2: 1.5}] * 2
    assert not any(t.system_attrs for t in found.trials)  # the pruner's own notes, of accuracies
    found = find_extension(space, composer, tmp_path, ["val_loss", "num_params"], [])
    (completed,) = found.trials
    assert (completed.values, completed.intermediate_values) == ([1.5, 1000], {})
    assert "trial 1: " in found.left_out[0]


def test_old_trials_without_a_record_of_the_objective_are_refused(tmp_path: Path) -> None:
    judged_by_accuracy(tmp_path)
    space = SearchSpace.from_json(read_settings(tmp_path).space)
    for result in tmp_path.glob("runs/*/*.[jc]s[ov]*"):
        if result.name != "config.json":
            result.unlink()
    said = r"objectives=\[val_loss\]: .*extend_from=.* was judged by \[val_accuracy\]"
    with pytest.raises(UserError, match=said):
        composer = frozen_composer(tmp_path, read_settings(tmp_path))
        find_extension(space, composer, tmp_path, ["val_loss"], [])
