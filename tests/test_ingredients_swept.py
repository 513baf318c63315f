"""Every ingredient is in the shipped search spaces, and every proposal with it can be built."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from shipped_spaces import shipped

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.space import SearchSpace, possible_values
from resnet_sweep.search.space_building import build_space
from resnet_sweep.search.space_parsing import target

INGREDIENTS = {
    "SAM": ("regularization.sam", "sam"),
    "ASAM": ("regularization.sam", "asam"),
    "Lookahead": ("optimizer.lookahead_steps", 5),
    "Muon": ("optimizer", "muon"),
    "SWA": ("regularization.swa_start", 0.75),
    "whitened first layer": ("model.whitened_stem", True),
    "dirac": ("init", "dirac"),
    "alternating flip": ("augmentation.crop_flip.alternate_flip", True),
    "RICAP": ("augmentation", "[crop_flip,ricap]"),
    "progressive resizing": ("train.start_image_size", 16),
    "pyramid block": ("model.block", "pyramid"),
    "widths that grow by steps": ("model.additive_widths", True),
    "ghost norm": ("regularization.ghost_batch_size", 32),
    "restarts": ("scheduler", "cosine_restarts"),
}
# The rest has one good value, or is set by another key.
NOT_DRAWN = {
    "name",
    "max_params",
    "max_multiply_adds",
    "widths",  # by base_width and width_factor
    "stem_width",  # the first stage's
    "squeeze_ratio",
}


def _drawn(space: SearchSpace, count: int) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("name", INGREDIENTS)
def test_an_ingredient_is_in_the_space(name: str) -> None:
    key, value = INGREDIENTS[name]
    space = build_space(shipped("full"), [])
    found = [p for p in space.parameters if p.key == key]
    assert len(found) == 1 and value in possible_values(found[0].distribution)


@pytest.mark.slow
def test_proposals_differ_in_every_ingredient_and_are_valid() -> None:
    """What a proposal of random values violates is the budget alone, never a rule of the fields."""
    space = build_space(shipped("full"), ["train.epochs=30"])
    composer = Composer(conf_dir(), space.fixed_overrides)
    configs: list[Config] = [composer.config(drawn, 0) for drawn in _drawn(space, 80)]
    assert {c.regularization.swa_start is None for c in configs} == {True, False}
    for config in configs:
        ema, swa = config.regularization.ema_half_life_epochs, config.regularization.swa_start
        assert (ema is None) == (swa is not None)
    assert {c.train.start_image_size for c in configs} == {None, 16}
    assert {getattr(c.model, "additive_widths", None) for c in configs} == {True, False}


def test_every_field_of_a_net_is_drawn_or_has_a_reason() -> None:
    space = build_space(shipped("full"), [])
    drawn = {target(p.key).removeprefix("model.").partition("[")[0] for p in space.parameters}
    assert {field.name for field in fields(ResNetConfig)} - drawn == NOT_DRAWN


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    [
        "regularization.distill_from=null,outputs/runs/teacher",
        "model.kernel_size[0]=3,5",
        "model.stem_width=8,16",
        "train.epochs=choice(10,20)",
    ],
)
def test_what_no_space_ships_can_be_given(word: str) -> None:
    """A teacher is a folder, and epochs decide what a trial costs: both are the user's to name."""
    space = build_space(shipped("[architecture,optimization]"), [word])
    composer = Composer(conf_dir(), ["train.epochs=30", *space.fixed_overrides])
    key = word.partition("=")[0]
    seen = {str(drawn[key]) for drawn in _drawn(space, 20) if composer.config(drawn, 0)}
    assert len(seen) == 2
