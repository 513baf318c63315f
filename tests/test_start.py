"""Known experiments and old trials in a search space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial, FrozenTrial
from shipped_spaces import shipped

from resnet_sweep.compose import conf_dir
from resnet_sweep.config import Config
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.errors import UserError
from resnet_sweep.records.run_folder import write_config
from resnet_sweep.sweep.composer import Composer
from resnet_sweep.sweep.judge import signature
from resnet_sweep.sweep.locate import OutsideSpace, locate
from resnet_sweep.sweep.space import SearchSpace
from resnet_sweep.sweep.start import extend_from, start_from

Searched = tuple[SearchSpace, Composer]


def searched(name: str, *overrides: str) -> Searched:
    space = SearchSpace.build(shipped(name), overrides)
    return space, Composer(conf_dir(), space.fixed_overrides)


@pytest.fixture(scope="module")
def core() -> Searched:
    return searched("core", "train.epochs=30")


@pytest.fixture(scope="module")
def full() -> Searched:
    return searched("full", "train.epochs=30")


@pytest.mark.parametrize("name", ["core", "full"])
def test_every_proposal_is_found_again(name: str, request: pytest.FixtureRequest) -> None:
    space, composer = request.getfixturevalue(name)
    study = optuna.create_study(sampler=RandomSampler(seed=4))
    for seed in range(15):
        config = composer.config(space.suggest(study.ask()), seed)
        location = locate(space, composer, config)
        assert location.differences == []
        again = composer.config(space.suggest(FixedTrial(location.params)), seed)
        assert signature(again) == signature(config)


def test_the_origin_is_a_first_trial_of_core(core: Searched) -> None:
    space, composer = core
    (start,) = start_from(space, composer, ["source"])
    model = composer.config(space.assignments(start.params), 0).model
    assert isinstance(model, ResNetConfig)
    assert (model.stage_widths(), model.blocks) == ([16, 64, 128, 256], [2, 3, 4, 3])
    assert start.params["optimizer.lr@sgd"] == pytest.approx(0.2)  # 0.1 at 128 images
    assert start.params["optimizer.one_minus_momentum"] == pytest.approx(0.1)
    assert any("squeeze_excitation is false there and true" in note for note in start.notes)
    assert not any("epochs is" in note and "train.epochs" in note for note in start.notes)


def test_an_enqueued_start_is_the_first_trial(core: Searched) -> None:
    space, composer = core
    (start,) = start_from(space, composer, ["source"])
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.enqueue_trial(start.params)
    trial = study.ask()
    space.suggest(trial)
    assert trial.params == start.params


def test_a_run_folder_is_a_source(core: Searched, tmp_path: Path) -> None:
    space, composer = core
    write_config(tmp_path, Composer(conf_dir(), []).config({"experiment": "source"}, None))
    (start,) = start_from(space, composer, [str(tmp_path)])
    assert start.params["model.base_width"] == 64


def test_a_source_outside_the_space_is_refused(full: Searched) -> None:
    with pytest.raises(OutsideSpace, match=r"start_from=source: .*ema_half_life_epochs=null"):
        start_from(*full, ["source"])


def test_an_unknown_source_is_refused(core: Searched) -> None:
    with pytest.raises(UserError, match="did you mean source"):
        start_from(*core, ["sorce"])


def test_widths_that_do_not_grow_evenly_lie_outside(core: Searched) -> None:
    config = Config(model=ResNetConfig(widths=[16, 64, 72, 256]))
    with pytest.raises(OutsideSpace, match=r"\[16,64,72,256\]"):
        locate(*core, config)


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
