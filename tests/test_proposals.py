"""Proposals turned away by their model alone: exactly those that the real nets would be."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import pytest
import torch
from hydra import compose, initialize_config_dir
from optuna.samplers import RandomSampler
from shipped_spaces import shipped

from resnet_sweep.config.compose import conf_dir, register_schemas, to_config
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import CustomModelConfig
from resnet_sweep.model.build import build_model
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposal import DataShape, base_config, propose
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.system.atomic import write_text

SHAPE = DataShape(num_classes=10, image_size=32)


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(conf_dir(), ["data=digits"])


def _drawn(name: str, count: int, seed: int) -> tuple[Composer, list[dict[str, Any]]]:
    space = SearchSpace.build(shipped(name), ["train.epochs=30"])
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    composer = Composer(conf_dir(), space.fixed_overrides)
    return composer, [space.suggest(study.ask()) for _ in range(count)]


@pytest.mark.parametrize("name", ["core", "full", "architecture"])
def test_the_model_alone_is_that_of_the_whole_configuration(name: str) -> None:
    composer, proposals = _drawn(name, 12, seed=4)
    for drawn in proposals:
        assert composer.resnet(drawn) == composer.config(drawn, None).model


def test_the_counts_of_what_is_turned_away_are_those_of_the_real_nets() -> None:
    composer, proposals = _drawn("full", 30, seed=5)
    verdicts = [propose(composer, drawn, 0, SHAPE) for drawn in proposals]
    rejected = [i for i, each in enumerate(verdicts) if each.verdict.reason == "over_budget"]
    assert len(rejected) >= 5
    for index in rejected:
        with torch.device("meta"):  # shapes without memory
            net = build_model(composer.config(proposals[index], 0), 10, 32)
        real = sum(p.numel() for p in net.parameters())
        verdict = verdicts[index].verdict
        assert verdict.num_params == real > 5_000_000
        assert verdict.excess == real / 5_000_000 - 1


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
    ],
)
def test_verdicts(composer: Composer, drawn: dict[str, Any], reason: str | None) -> None:
    proposal = propose(composer, drawn, 0, SHAPE)
    assert proposal.verdict.reason == reason
    assert (proposal.error is not None) == (reason == "unbuildable")


def test_a_custom_net_takes_its_whole_configuration(composer: Composer) -> None:
    assert composer.resnet({"model": "custom"}) is None
    drawn = {"model": "custom", "model.target": "torchvision.models.squeezenet1_1"}
    with pytest.raises(UserError):
        composer.config({"model": "custom"}, 0)
    assert propose(composer, drawn, 0, DataShape(10, 64)).verdict.num_params == 727_626


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


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_the_arguments_of_a_custom_net_are_swept_and_judged(own_net: list[str], plus: str) -> None:
    sweep = f"{plus}model.kwargs.width=choice(16,32,200000)"
    space = SearchSpace.build({}, [*own_net, sweep])
    composer = Composer(conf_dir(), space.fixed_overrides)
    assert [parameter.name for parameter in space.parameters] == ["model.kwargs.width"]
    for width, reason in ((16, None), (32, None), (200_000, "over_budget")):
        drawn = {"model.kwargs.width": width}
        proposal = propose(composer, drawn, 0, SHAPE)
        # 27 weights and a bias for each channel, 10 weights for each and 10 biases behind it
        assert proposal.verdict.num_params == 38 * width + 10
        assert proposal.verdict.reason == reason
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
        assert propose(composer, drawn, 0, SHAPE).verdict.num_params == 38 * 11 + 10
    assert built[before:] == [11]


def test_an_argument_that_a_custom_net_does_not_take_is_told(own_net: list[str]) -> None:
    proposal = propose(Composer(conf_dir(), own_net), {"model.kwargs.wdith": 16}, 0, SHAPE)
    assert proposal.verdict.reason == "unbuildable"
    assert "unexpected keyword argument 'wdith'" in str(proposal.error)


def test_a_net_over_budget_is_turned_away_before_its_configuration_is_composed() -> None:
    composer, proposals = _drawn("full", 60, seed=3)
    turned_away, composed = [], []
    for drawn in proposals:
        start = time.process_time()
        reason = propose(composer, drawn, 0, SHAPE).verdict.reason
        middle = time.process_time()
        if reason in ("over_budget", "over_multiply_adds"):
            composer.config(drawn, 0)
            turned_away.append(middle - start)
            composed.append(time.process_time() - middle)
    assert len(turned_away) > 10
    assert median(turned_away) < median(composed) / 4
    assert median(turned_away) < 0.02  # of a processor's time; fifty times as long as it takes


def test_the_base_of_a_sweep_of_lengths_has_the_longest() -> None:
    space = SearchSpace.build({}, ["train.epochs=choice(2,30,7)"])
    assert base_config(space, Composer(conf_dir(), space.fixed_overrides)).train.epochs == 30
