"""Verdicts on proposals, signatures, and how rejections are told."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from resnet_sweep.config import Config
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.model.build import build_model
from resnet_sweep.search.judge import UNBUILDABLE, judge
from resnet_sweep.workers.claims import TOLD_AS_CONSTRAINT, tell_rejection


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
    verdict = judge(config, num_classes=10, image_size=32)
    real = sum(p.numel() for p in build_model(config, 10, 32).parameters())
    assert (verdict.accepted, verdict.reason, verdict.num_params) == (True, None, real)


def test_the_budget_is_the_last_count_that_is_accepted() -> None:
    count = judge(with_model(), 10, 32).num_params
    assert count == 4_604_634
    assert judge(with_model(max_params=count), 10, 32).accepted
    verdict = judge(with_model(max_params=count - 1), 10, 32)
    assert (verdict.accepted, verdict.reason) == (False, "over_budget")
    assert (verdict.num_params, verdict.multiply_adds) == (count, pytest.approx(183e6, rel=0.003))


def test_a_cap_on_multiply_adds_is_a_reason_of_its_own() -> None:
    verdict = judge(with_model(max_multiply_adds=100_000_000), 10, 32)
    assert (verdict.accepted, verdict.reason) == (False, "over_multiply_adds")


def test_what_cannot_be_built_is_no_error() -> None:
    assert judge(with_model(pool_size=16), 10, 32) == UNBUILDABLE
    model = CustomModelConfig(target="no_such_package.Net")
    assert judge(Config(model=model), 10, 32) == UNBUILDABLE


def test_a_custom_net_is_counted() -> None:
    target = "torchvision.models.squeezenet1_1"
    verdict = judge(Config(model=CustomModelConfig(target=target)), 10, 64)
    assert verdict.num_params == 727_626  # published: 1,235,496 with 1,000 classes


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
