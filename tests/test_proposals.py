"""Proposals and rejections: counts of the real nets, budgets, and how a sampler learns of them."""

from __future__ import annotations

import importlib
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import pytest
import torch
from hydra import compose, initialize_config_dir
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState
from shipped_spaces import shipped

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir, register_schemas, to_config
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.model.build import build_model
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposals import (
    DataShape,
    Proposal,
    Rejection,
    base_config,
    propose,
    propose_config,
)
from resnet_sweep.search.space_building import build_space
from resnet_sweep.system.atomic import write_text
from resnet_sweep.workers.claims import TOLD_AS_CONSTRAINT, tell_rejection

SHAPE = DataShape(num_classes=10, image_size=32)


def reason_of(proposal: Proposal | Rejection) -> str | None:
    return proposal.reason if isinstance(proposal, Rejection) else None


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(conf_dir(), ["data=digits"])


def _drawn(name: str, count: int, seed: int) -> tuple[Composer, list[dict[str, Any]]]:
    space = build_space(shipped(name), ["train.epochs=30"])
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    composer = Composer(conf_dir(), space.fixed_overrides)
    return composer, [space.suggest(study.ask()) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["core", "full", "architecture"])
def test_the_model_alone_is_that_of_the_whole_configuration(name: str) -> None:
    composer, proposals = _drawn(name, 12, seed=4)
    for drawn in proposals:
        assert composer.resnet(drawn) == composer.config(drawn, None).model


@pytest.mark.slow
def test_the_counts_of_what_is_turned_away_are_those_of_the_real_nets() -> None:
    composer, proposals = _drawn("full", 30, seed=5)
    checked = [propose(composer, drawn, 0, SHAPE) for drawn in proposals]
    rejected = [i for i, each in enumerate(checked) if reason_of(each) == "over_budget"]
    assert len(rejected) >= 5
    for index in rejected:
        with torch.device("meta"):  # shapes without memory
            net = build_model(composer.config(proposals[index], 0), 10, 32)
        real = sum(p.numel() for p in net.parameters())
        rejection = checked[index]
        assert isinstance(rejection, Rejection)
        assert rejection.num_params == real > 5_000_000
        assert rejection.excess == real / 5_000_000 - 1


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        ({"model.base_width": 256}, "over_budget"),
        ({"model.max_multiply_adds": 1000}, "over_multiply_adds"),
        ({"model": "resnet20", "model.num_stages": 3}, None),
        ({"model.kernel_size[1]": 4}, "unbuildable"),
        ({"model.blocks": 3}, "unbuildable"),
        ({"model.blocks": "abc", "model.strides[1]": 1}, "unbuildable"),
        ({"model.base_width": 16.5}, "unbuildable"),
        ({"model.squeeze_excitation": "true", "model.base_width": 256}, "over_budget"),
        ({"model.no_such_field": 3}, "unbuildable"),
        ({"scheduler.warmup_fraction": 1.5}, "unbuildable"),
        ({"model.widths": "[8,16]"}, "unbuildable"),
        ({"model.shortcut": "none", "regularization.stochastic_depth": 0.1}, "unbuildable"),
    ],
)
def test_reasons(composer: Composer, drawn: dict[str, Any], reason: str | None) -> None:
    proposal = propose(composer, drawn, 0, SHAPE)
    assert reason_of(proposal) == reason
    error = proposal.error if isinstance(proposal, Rejection) else None
    assert (error is not None) == (reason == "unbuildable")


def test_a_custom_net_takes_its_whole_configuration(composer: Composer) -> None:
    assert composer.resnet({"model": "custom"}) is None
    drawn = {"model": "custom", "model.target": "torchvision.models.squeezenet1_1"}
    with pytest.raises(UserError):
        composer.config({"model": "custom"}, 0)
    assert propose(composer, drawn, 0, DataShape(10, 64)).num_params == 727_626


OWN_NET = """
from torch import nn
class Net(nn.Sequential):
    built = []
    def __init__(self, num_classes, width=32):
        self.built.append(width)
        super().__init__(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, num_classes))
"""


@pytest.fixture
def own_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    write_text(tmp_path / "net_to_sweep.py", OWN_NET)
    monkeypatch.syspath_prepend(tmp_path)
    return ["model=custom", "model.target=net_to_sweep.Net", "data=digits", "train.epochs=1"]


@pytest.mark.slow
@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_the_arguments_of_a_custom_net_are_swept_and_counted(own_net: list[str], plus: str) -> None:
    sweep = f"{plus}model.kwargs.width=choice(16,32,200000)"
    space = build_space({}, [*own_net, sweep])
    composer = Composer(conf_dir(), space.fixed_overrides)
    assert [parameter.name for parameter in space.parameters] == ["model.kwargs.width"]
    for width, reason in ((16, None), (32, None), (200_000, "over_budget")):
        drawn = {"model.kwargs.width": width}
        proposal = propose(composer, drawn, 0, SHAPE)
        # 27 weights and a bias for each channel, 10 weights for each and 10 biases behind it
        assert proposal.num_params == 38 * width + 10
        assert reason_of(proposal) == reason
        register_schemas()
        with initialize_config_dir(str(conf_dir().resolve())):
            again = to_config(compose("config", [*composer.overrides(drawn), "seed=0"]))
        assert again == composer.config(drawn, 0)


def test_an_argument_keeps_its_name_and_is_swept_whole(own_net: list[str]) -> None:
    composer = Composer(conf_dir(), own_net)
    config = composer.config({"model.kwargs.one_minus_drop": 0.25}, 0)
    assert isinstance(config.model, CustomModelConfig)
    assert config.model.kwargs == {"one_minus_drop": 0.25}
    with pytest.raises(UserError, match=r"sweep whole lists, model.kwargs.widths=choice"):
        composer.config({"model.kwargs.widths[0]": 4}, 0)


def test_a_custom_net_is_built_once_for_all_its_trials(own_net: list[str]) -> None:
    composer = Composer(conf_dir(), own_net)
    built = importlib.import_module("net_to_sweep").Net.built
    before = len(built)
    for lr in (0.1, 0.2, 0.3):
        drawn = {"model.kwargs.width": 11, "optimizer.lr": lr}
        assert propose(composer, drawn, 0, SHAPE).num_params == 38 * 11 + 10
    assert built[before:] == [11]


def test_an_argument_that_a_custom_net_does_not_take_is_told(own_net: list[str]) -> None:
    proposal = propose(Composer(conf_dir(), own_net), {"model.kwargs.wdith": 16}, 0, SHAPE)
    assert isinstance(proposal, Rejection) and proposal.reason == "unbuildable"
    assert "unexpected keyword argument 'wdith'" in str(proposal.error)


@pytest.mark.slow
def test_a_net_over_budget_is_turned_away_before_its_configuration_is_composed() -> None:
    composer, proposals = _drawn("full", 60, seed=3)
    turned_away, composed = [], []
    for drawn in proposals:
        start = time.process_time()
        reason = reason_of(propose(composer, drawn, 0, SHAPE))
        middle = time.process_time()
        if reason in ("over_budget", "over_multiply_adds"):
            composer.config(drawn, 0)
            turned_away.append(middle - start)
            composed.append(time.process_time() - middle)
    assert len(turned_away) > 10
    assert median(turned_away) < median(composed) / 4
    assert median(turned_away) < 0.02  # of a processor's time; fifty times as long as it takes


def test_the_base_of_a_sweep_of_lengths_has_the_longest() -> None:
    space = build_space({}, ["train.epochs=choice(2,30,7)"])
    assert base_config(space, Composer(conf_dir(), space.fixed_overrides)).train.epochs == 30


def with_model(**values: Any) -> Config:
    return Config(model=ResNetConfig(**values))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"base_width": 40, "first_width": 16, "block": "preact", "squeeze_excitation": True},
        {"block": "pyramid", "base_width": 24, "squeeze_excitation": True, "whitened_stem": True},
        {"whitened_stem": True, "stem_width": 24, "stem_kernel_size": 5},
        {"blocks": [1, 1, 1, 1], "kernel_size": 5, "shortcut": "pad", "pool_size": 2},
    ],
)
def test_counts_are_those_of_the_real_net(values: dict[str, Any]) -> None:
    config = with_model(**values, max_params=10**9)
    proposal = propose_config(config, SHAPE)
    real = sum(p.numel() for p in build_model(config, 10, 32).parameters())
    assert isinstance(proposal, Proposal) and proposal.num_params == real


def test_the_budget_is_the_last_count_that_is_accepted() -> None:
    count = propose_config(with_model(), SHAPE).num_params
    assert count == 4_604_634
    assert isinstance(propose_config(with_model(max_params=count), SHAPE), Proposal)
    rejection = propose_config(with_model(max_params=count - 1), SHAPE)
    assert reason_of(rejection) == "over_budget"
    assert (rejection.num_params, rejection.multiply_adds) == (
        count,
        pytest.approx(183e6, rel=0.003),
    )


def test_a_cap_on_multiply_adds_is_a_reason_of_its_own() -> None:
    rejection = propose_config(with_model(max_multiply_adds=100_000_000), SHAPE)
    assert reason_of(rejection) == "over_multiply_adds"


def test_what_cannot_be_built_is_no_error() -> None:
    model = CustomModelConfig(target="no_such_package.Net")
    for config in (with_model(pool_size=16), Config(model=model)):
        rejection = propose_config(config, SHAPE)
        assert isinstance(rejection, Rejection) and rejection.error
        assert rejection == Rejection("unbuildable", rejection.error)


def test_a_custom_net_is_counted() -> None:
    target = "torchvision.models.squeezenet1_1"
    proposal = propose_config(Config(model=CustomModelConfig(target=target)), DataShape(10, 64))
    assert proposal.num_params == 727_626  # published: 1,235,496 with 1,000 classes


def study_with_tpe() -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = TPESampler(seed=0, n_startup_trials=2, multivariate=True, group=True)
    return optuna.create_study(direction="maximize", sampler=sampler)


def test_one_rejection_in_ten_of_a_row_is_told_as_a_constraint() -> None:
    study = study_with_tpe()
    for nth in range(1, 25):
        trial = study.ask()
        trial.suggest_float("width", 0, 1)
        tell_rejection(study, trial, 0.2, nth)
    pruned = [t.number + 1 for t in study.trials if t.state == TrialState.PRUNED]
    assert pruned == [10, 20]
    assert study.trials[9].constraints == {"budget": pytest.approx(0.2)}
    assert {t.state for t in study.trials} == {TrialState.PRUNED, TrialState.FAIL}
    assert all(not t.constraints for t in study.trials if t.state == TrialState.FAIL)


def test_what_cannot_be_built_has_no_excess_to_tell() -> None:
    study = study_with_tpe()
    tell_rejection(study, study.ask(), None, TOLD_AS_CONSTRAINT)
    assert study.trials[0].state == TrialState.FAIL


def test_the_sampler_learns_from_the_constraint_alone() -> None:
    """After a long row of rejections above 0.1 TPE is to propose smaller nets."""
    study = study_with_tpe()
    for nth in range(1, 201):
        trial = study.ask()
        width = trial.suggest_float("width", 0, 1)
        tell_rejection(study, trial, width, nth)
    early = [t.params["width"] for t in study.trials[:20]]
    late = [t.params["width"] for t in study.trials[-20:]]
    assert sum(late) < sum(early)


def test_the_study_keeps_of_a_rejection_what_it_always_kept() -> None:
    kept = Rejection("over_budget", None, 6_000_000, 1000, excess=0.2).to_attribute()
    assert kept == {
        "reason": "over_budget",
        "error": None,
        "num_params": 6_000_000,
        "multiply_adds": 1000,
    }
