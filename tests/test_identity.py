"""What makes two runs one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest
from conftest import make_tiny_config

from resnet_sweep import compose_config
from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import (
    AugmentationConfig,
    ColorJitterConfig,
    CropFlipConfig,
    CutmixConfig,
    MixupConfig,
    RandomErasingConfig,
)
from resnet_sweep.config.compose import SCHEMAS, key_of, to_dict
from resnet_sweep.config.data import ArraysConfig, CifarConfig, DigitsConfig, ImageFolderConfig
from resnet_sweep.config.init import InitConfig
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.config.optimizer import AdamWConfig, MuonConfig, SgdConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.config.scheduler import (
    ConstantConfig,
    CosineConfig,
    CosineRestartsConfig,
    ExponentialConfig,
    LinearConfig,
    MultistepConfig,
    OneCycleConfig,
)
from resnet_sweep.config.train import TrainConfig
from resnet_sweep.model.build import build_model
from resnet_sweep.records.identity import (
    FIELDS,
    OUTCOME,
    PLACE,
    ROLES,
    SHOWN,
    changes,
    configuration_id,
    may_differ,
    outcome,
    role_of,
    signature,
    tells_apart,
    without_effect,
)


def with_model(**values: Any) -> Config:
    return Config(model=ResNetConfig(**values))


def with_augmentation(**values: Any) -> Config:
    return Config(augmentation=AugmentationConfig(**values))


def with_regularization(**values: Any) -> Config:
    return Config(regularization=RegularizationConfig(**values))


def schema_fields(schema: type, path: str) -> Iterator[str]:
    """Yield every field of a schema and of what it holds, but not the groups themselves."""
    hints = get_type_hints(schema)
    for field in fields(schema):
        place = f"{path}{field.name}"
        inner = [kind for kind in (hints[field.name], *get_args(hints[field.name]))]
        nested = [kind for kind in inner if is_dataclass(kind)]
        if place not in SCHEMAS and place != "augmentation":
            yield place
        for kind in nested if place not in SCHEMAS else ():
            yield from schema_fields(kind, f"{place}.")


def every_field() -> set[str]:
    found = set(schema_fields(Config, ""))
    for group, options in SCHEMAS.items():
        for schema in options.values():
            found |= set(schema_fields(schema, f"{group}."))
    return found


def test_every_field_of_every_schema_is_declared_once() -> None:
    names = [
        f"{group}.{name}" if group else name
        for group, roles in FIELDS.items()
        for text in roles.values()
        for name in text.split()
    ]
    assert len(names) == len(set(names)) == len(ROLES)
    assert every_field() == set(ROLES)
    assert {role for roles in FIELDS.values() for role in roles} == {OUTCOME, PLACE, SHOWN}


ONE_NET: list[Config] = [
    with_model(base_width=64, first_width=16),
    with_model(name="other", strides=[1, 2, 2, 2], kernel_size=[3, 3, 3, 3]),
    with_model(stem_width=16, squeeze_ratio=4, max_params=5_000_001),
    with_model(shortcut_kernel_size=[3, 1, 1, 1]),  # the first stage has no such convolution
    with_model(pool_size=4),  # the whole map
    with_model(widths=[8, 8, 8, 8], base_width=64, first_width=16),
]


@pytest.mark.parametrize(
    "same",
    [
        *ONE_NET,
        Config(optimizer=SgdConfig(lr=0.2, lr_scaling="linear")),
        Config(optimizer=SgdConfig(lr=0.1 * 2**0.5, lr_scaling="sqrt")),
        Config(optimizer=SgdConfig(momentum=round(1 - 0.1, 12))),
        Config(optimizer=SgdConfig(lookahead_alpha=0.8)),
        Config(optimizer=SgdConfig(implementation="foreach")),
        Config(optimizer=SgdConfig(lookahead_steps=5, lookahead_alpha=1.0)),
        Config(train=TrainConfig(device="cpu", progress=False, figures=False, num_threads=1)),
        Config(train=TrainConfig(compile="none", channels_last=False, deterministic=True)),
        Config(train=TrainConfig(full_size_from=0.5)),
        Config(train=TrainConfig(start_image_size=32)),
        Config(evaluate_test=False),
        Config(init=InitConfig(std=0.5)),
        Config(data=CifarConfig(root="elsewhere", download=False)),
        Config(data=CifarConfig(val_size=0.1)),
        Config(data=CifarConfig(train_subset=45_000)),
        Config(scheduler=CosineRestartsConfig(cycles=1)),
        with_regularization(name="other"),
        with_regularization(distill_weight=0.5),
        with_regularization(distill_from="runs/a", distill_weight=0.0),
        with_regularization(ghost_batch_size=128),
        with_augmentation(crop_flip=CropFlipConfig(padding=0, flip_probability=0.0)),
        with_augmentation(color_jitter=ColorJitterConfig(0.0, 0.0, 0.0, 0.0)),
        with_augmentation(random_erasing=RandomErasingConfig(probability=0.0)),
        with_augmentation(cutmix=CutmixConfig(probability=0.0)),
    ],
)
def test_one_outcome_has_one_signature(same: Config) -> None:
    assert outcome(same) == outcome(Config())
    assert signature(same) == signature(Config())
    assert changes(Config(), same) == []


@pytest.mark.parametrize(
    "other",
    [
        Config(seed=1),
        with_model(blocks=[2, 3, 3, 4]),
        with_model(shortcut="pad"),
        with_model(shortcut="none"),
        with_model(downsampling="max_pool"),
        with_model(whitened_stem=True),
        with_model(squeeze_excitation=True),
        with_model(shortcut_kernel_size=[1, 1, 1, 3]),
        with_model(pool_size=2),
        with_model(additive_widths=True),
        with_model(activation="silu"),
        Config(model=CustomModelConfig(target="a.Net")),
        Config(optimizer=SgdConfig(lr=0.2)),
        Config(optimizer=AdamWConfig(lr=0.1)),
        Config(optimizer=SgdConfig(lookahead_steps=5)),
        Config(optimizer=SgdConfig(exclude_norm_and_bias=False)),
        Config(scheduler=LinearConfig()),
        Config(scheduler=CosineRestartsConfig(cycles=2)),
        with_regularization(swa_start=0.75),
        with_regularization(sam="sam"),
        with_regularization(ghost_batch_size=64),
        with_regularization(distill_from="runs/a"),
        Config(train=TrainConfig(epochs=30)),
        Config(train=TrainConfig(precision="fp32")),
        Config(train=TrainConfig(start_image_size=16)),
        Config(data=CifarConfig(split_seed=1)),
        Config(data=CifarConfig(val_size=0.2)),
        Config(data=CifarConfig(name="cifar100")),
        with_augmentation(crop_flip=CropFlipConfig()),
        with_augmentation(crop_flip=CropFlipConfig(alternate_flip=True)),
        with_augmentation(mixup=MixupConfig()),
        replace(Config(), data=make_tiny_config().data),
    ],
)
def test_other_outcomes_have_other_signatures(other: Config) -> None:
    assert signature(other) != signature(Config())
    assert changes(Config(), other) and changes(other, Config())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (with_regularization(sam="asam"), with_regularization(sam="asam", sam_rho=0.5)),
        (
            Config(scheduler=OneCycleConfig(), train=TrainConfig(epochs=10)),
            Config(scheduler=OneCycleConfig(warmup_epochs=3.0), train=TrainConfig(epochs=10)),
        ),
        (
            Config(
                optimizer=MuonConfig(lr=0.02, others_lr=1e-3, lr_scaling="linear"),
                train=TrainConfig(batch_size=512),
            ),
            Config(
                optimizer=MuonConfig(lr=0.04, others_lr=2e-3), train=TrainConfig(batch_size=512)
            ),
        ),
        (
            Config(optimizer=MuonConfig(others="sgd")),
            Config(optimizer=MuonConfig(others="sgd", eps=1e-6)),
        ),
        (Config(scheduler=ExponentialConfig(gamma=1.0)), Config(scheduler=ConstantConfig())),
        (Config(scheduler=CosineConfig(final_fraction=1.0)), Config(scheduler=ConstantConfig())),
        (Config(scheduler=MultistepConfig(milestones=[])), Config(scheduler=ConstantConfig())),
        (
            with_model(blocks=[1, 1, 1, 1], additive_widths=True),
            with_model(blocks=[1, 1, 1, 1]),
        ),
        (
            Config(
                optimizer=SgdConfig(exclude_norm_and_bias=False),
                regularization=RegularizationConfig(weight_decay=0.0),
            ),
            with_regularization(weight_decay=0.0),
        ),
        (
            Config(data=DigitsConfig(val_size=0.2, test_size=357)),
            Config(data=DigitsConfig(val_size=288, test_size=357)),
        ),
        (
            Config(data=DigitsConfig(val_size=0, split_seed=1)),
            Config(data=DigitsConfig(val_size=0, split_seed=2)),
        ),
        (
            Config(model=CustomModelConfig(target="a.Net")),
            Config(
                model=CustomModelConfig(target="a.Net", max_params=7),
                regularization=RegularizationConfig(dropout=0.5),
                init=InitConfig(name="orthogonal"),
            ),
        ),
        (with_model(strides=[1] * 4), with_model(strides=[1] * 4, downsampling="max_pool")),
        (with_regularization(distill_from="runs/a"), with_regularization(distill_from="runs//a/")),
    ],
)
def test_two_spellings_are_one_configuration(first: Config, second: Config) -> None:
    assert outcome(first) == outcome(second)
    assert signature(first) == signature(second)
    assert configuration_id(first, 16) == configuration_id(to_dict(second), 16)


@pytest.mark.parametrize("spelling", ONE_NET)
def test_nets_that_are_one_configuration_have_the_same_layers(spelling: Config) -> None:
    def layers(config: Config) -> list[str]:
        net = build_model(config, 10, 32)
        return [str(m) for m in net.modules() if not list(m.children())] + [
            f"{name} {tuple(p.shape)}" for name, p in net.named_parameters()
        ]

    pooled = "AvgPool"  # of one size or adaptive: to the whole map either way
    mine, other = ([line for line in layers(c) if pooled not in line] for c in (spelling, Config()))
    assert mine == other


def test_shortcuts_count_where_no_shape_changes() -> None:
    same_shape: dict[str, Any] = {"widths": [16] * 4, "strides": [1] * 4}
    plain, *others = (with_model(**same_shape, shortcut=each) for each in ("none", "conv", "pad"))
    assert signature(others[0]) == signature(others[1]) != signature(plain)


def test_seeds_and_splits_are_one_configuration() -> None:
    tiny = make_tiny_config()
    other = replace(tiny, seed=3, data=replace(tiny.data, split_seed=5, val_size=0.3))
    assert signature(tiny) != signature(other)
    assert configuration_id(tiny, 4) == configuration_id(other, 4)


def test_data_are_known_by_their_fingerprint() -> None:
    folder = Config(data=ImageFolderConfig(root="a", cache_dir="c", image_size=32))
    arrays = Config(data=ArraysConfig(root="b", num_classes=10))
    assert configuration_id(folder, 4, "f") == configuration_id(arrays, 4, "f")
    assert configuration_id(folder, 4, "f") != configuration_id(folder, 4, "g")
    assert configuration_id(folder, 4) != configuration_id(arrays, 4)


def without(group: str, *names: str) -> Callable[[dict[str, Any]], None]:
    def remove(values: dict[str, Any]) -> None:
        for name in names:
            del values[group][name]

    return remove


@pytest.mark.parametrize(
    "remove",
    [
        without("model", "additive_widths", "whitened_stem", "squeeze_ratio"),
        without("optimizer", "lookahead_steps", "lookahead_alpha", "nesterov"),
        without("regularization", "sam", "sam_rho", "swa_start", "ghost_batch_size"),
        without("regularization", "distill_from", "distill_weight", "name"),
        without("augmentation", "ricap", "mixup"),
        without("train", "start_image_size", "full_size_from", "precision", "compile"),
        without("data", "train_subset", "root"),
    ],
)
def test_a_field_that_is_younger_than_a_record_has_its_default(
    remove: Callable[[dict[str, Any]], None],
) -> None:
    config = with_augmentation(crop_flip=CropFlipConfig())
    old = to_dict(config)
    remove(old)
    assert outcome(old) == outcome(config)
    assert signature(old) == signature(config)
    assert changes(old, config) == []


def test_a_field_that_comes_to_be_changes_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field at its default leaves no trace in a digest that a study has stored."""
    before = signature(Config())
    values = outcome(Config())
    monkeypatch.setattr(
        "resnet_sweep.records.identity.outcome",
        lambda *_: {p: v for p, v in values.items() if p != "regularization.label_smoothing"},
    )
    assert signature(Config()) == before


def test_a_field_of_no_schema_counts() -> None:
    values = to_dict(Config())
    values["train"]["unknown"] = 3
    assert signature(values) != signature(Config())
    assert role_of("train.unknown") == OUTCOME


@pytest.mark.parametrize(
    "damaged",
    [{}, {"model": None}, {"model": {"name": 3, "blocks": "x"}}, {"optimizer": {"lr": "x"}}],
)
def test_a_damaged_record_has_an_identity_of_its_own(damaged: dict[str, Any]) -> None:
    assert configuration_id(damaged, 4)
    assert changes({**to_dict(Config()), **damaged}, Config()) or not damaged


def test_changes_name_the_field_as_it_is_written() -> None:
    base = with_model(base_width=16)
    assert changes(base, with_model(base_width=24)) == [
        ("model.widths", [16, 32, 64, 128], [24, 48, 96, 192])
    ]
    scaled = [SgdConfig(lr=lr, lr_scaling="linear") for lr in (0.1, 0.2)]
    first, second = (Config(optimizer=each) for each in scaled)
    assert changes(first, second) == [("optimizer.lr", 0.1, 0.2)]


def test_changes_of_an_option_leave_out_what_only_one_has() -> None:
    other = Config(optimizer=AdamWConfig(lr=0.1))
    assert changes(Config(), other) == [("optimizer.name", "sgd", "adamw")]
    more = with_augmentation(mixup=MixupConfig())
    assert changes(Config(), more) == [("augmentation", "none", "mixup")]


def test_limits_are_changes_to_a_search_alone() -> None:
    other = with_model(max_params=100)
    assert changes(Config(), other) == []
    assert changes(Config(), other, limits=True) == [("model.max_params", 5_000_000, 100)]


OWN_NET = "model=custom model.target=package.module.Net"
IDLE = {
    "init.std=0.1": ["init.std"],
    "init=normal init.std=0.1": [],
    "model.squeeze_ratio=4": ["model.squeeze_ratio"],
    "model.squeeze_excitation=true model.squeeze_ratio=4": [],
    "train.full_size_from=0.5": ["train.full_size_from"],
    "optimizer.lookahead_alpha=0.3": ["optimizer.lookahead_alpha"],
    "optimizer.lr_scaling=linear train.batch_size=256": ["optimizer.lr_scaling"],
    "optimizer.lr_scaling=linear train.batch_size=64": [],
    "model.shortcut=pad model.shortcut_kernel_size=3": ["model.shortcut_kernel_size"],
    "model.base_width=8 model.width_factor=1.5": [],
    "model=resnet20 model.base_width=16": [],
    "data=digits data.root=images": ["data.root"],
    "data=arrays data.root=images": [],
    "regularization.sam=null regularization=strong seed=3 train.device=cpu": [],
    f"{OWN_NET} init=orthogonal regularization.dropout=0.1": ["init", "regularization.dropout"],
}


@pytest.mark.parametrize("words", IDLE)
def test_what_nothing_uses_is_known(words: str) -> None:
    given = words.split()
    assert without_effect(compose_config(*given), map(key_of, given)) == IDLE[words]


def test_a_run_may_go_on_elsewhere_but_not_otherwise() -> None:
    assert all(map(may_differ, ("data.root", "train.device", "train.figures", "evaluate_test")))
    assert not any(map(may_differ, ("seed", "train.epochs", "model", "model.name", "data.name")))
    assert tells_apart("optimizer") and not tells_apart("seed") and not tells_apart("model")
