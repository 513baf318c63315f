"""Composing proposals: as Hydra would, only faster."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from optuna.samplers import RandomSampler
from shipped_spaces import shipped

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir, register_schemas, to_config
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposals import DataShape, propose_config
from resnet_sweep.search.space_building import build_space


def composed_by_hydra(overrides: list[str]) -> Config:
    register_schemas()
    with initialize_config_dir(str(conf_dir().resolve())):
        return to_config(compose("config", overrides=overrides))


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(conf_dir(), ["data=digits", "train.epochs=20"])


@pytest.mark.slow
def test_proposals_are_what_hydra_composes() -> None:
    space = build_space(shipped("full"), ["train.epochs=30"])
    composer = Composer(conf_dir(), space.fixed_overrides)
    study = optuna.create_study(sampler=RandomSampler(seed=2))
    for seed in range(8):
        drawn = space.suggest(study.ask())
        expected = composed_by_hydra([*composer.overrides(drawn), f"seed={seed}"])
        assert composer.config(drawn, seed) == expected


def test_derived_parameters(composer: Composer) -> None:
    config = composer.config(
        {
            "model.num_stages": 3,
            "model.blocks[2]": 5,
            "model.strides[1]": 1,
            "model.kernel_size[0]": 5,
            "model.base_width": 24,
            "optimizer.one_minus_momentum": 0.1,
            "scheduler.warmup_fraction": 0.25,
        },
        seed=7,
    )
    assert isinstance(config.model, ResNetConfig)
    assert config.model.blocks == [2, 3, 5]
    assert config.model.strides == [1, 1, 2]
    assert config.model.kernel_size == [5, 3, 3]
    assert config.model.stage_widths() == [24, 48, 96]
    assert vars(config.optimizer)["momentum"] == 0.9
    assert config.scheduler.warmup_epochs == 5.0
    assert config.seed == 7


def test_the_number_of_stages_repeats_the_last_entry(composer: Composer) -> None:
    config = composer.config({"model": "resnet20", "model.num_stages": 4}, None)
    assert isinstance(config.model, ResNetConfig)
    assert (config.model.blocks, config.model.widths) == ([3, 3, 3, 3], [16, 32, 64, 64])


def test_warmup_follows_the_epochs_of_a_rung(composer: Composer) -> None:
    drawn = {"scheduler.warmup_fraction": 0.2, "train.epochs": 5}
    assert composer.config(drawn, None).scheduler.warmup_epochs == 1.0


def test_lists_and_null_are_drawn_as_text(composer: Composer) -> None:
    drawn = {"model.blocks": "[1,2,2,1]", "model.pool_size": "null", "augmentation": "[cutout]"}
    config = composer.config(drawn, None)
    assert isinstance(config.model, ResNetConfig)
    assert config.model.blocks == [1, 2, 2, 1]
    assert config.model.pool_size is None
    assert config.augmentation.cutout is not None
    assert config.augmentation.crop_flip is None


def test_an_entry_of_a_list_is_checked_like_the_list(composer: Composer) -> None:
    drawn = {"optimizer": "adamw", "optimizer.betas[0]": 0, "model.blocks[1]": 2}
    config = composer.config(drawn, None)
    assert vars(config.optimizer)["betas"] == [0.0, 0.999]
    assert composer.config(drawn | {"optimizer.betas[0]": 0.5}, None).model == config.model
    assert vars(composer.config({"optimizer": "adamw"}, None).optimizer)["betas"] == [0.9, 0.999]
    with pytest.raises(UserError, match=r"model\.blocks\[1\]"):
        composer.config({"model.blocks[1]": 1.5}, None)


def test_an_option_that_changes_other_groups_is_composed_whole() -> None:
    composer = Composer(conf_dir(), [])
    config = composer.config({"experiment": "quickstart", "optimizer": "adamw"}, None)
    assert config == composed_by_hydra(["experiment=quickstart", "optimizer=adamw"])


def test_proposals_do_not_change_each_other(composer: Composer) -> None:
    before = composer.config({}, None)
    composer.config({"model.num_stages": 3, "optimizer": "adamw", "optimizer.lr": 0.5}, 3)
    assert composer.config({}, None) == before


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ({"optimizer": "adamw", "optimizer.momentum": 0.9}, "optimizer.momentum=0.9"),
        ({"model": "custom", "model.num_stages": 3}, "model=custom has no stages"),
        ({"scheduler.warmup_fraction": 1.5}, "scheduler.warmup_epochs"),
        ({"optimizer": "lion"}, "optimizer=lion"),
        ({"augmentation.mixup.alpha": 0.1}, "augmentation.mixup is not used here"),
    ],
)
def test_what_cannot_be_built_is_a_users_error(
    composer: Composer, drawn: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        composer.config(drawn, None)
    assert message in str(caught.value)


def test_fixed_overrides_that_do_not_compose_are_refused_at_once() -> None:
    with pytest.raises(UserError, match=r"optimizer\.momentun"):
        Composer(conf_dir(), ["optimizer.momentun=0.5"])


@pytest.mark.slow
def test_a_frozen_folder_is_composed_whatever_changes_outside(tmp_path: Path) -> None:
    frozen = tmp_path / "conf"
    shutil.copytree(conf_dir(), frozen)
    path = frozen / "optimizer" / "sgd.yaml"
    path.write_text(path.read_text().replace("lr: 0.1", "lr: 0.3"))
    assert Composer(frozen, []).config({"optimizer": "sgd"}, None).optimizer.lr == 0.3
    assert Composer(conf_dir(), []).config({"optimizer": "sgd"}, None).optimizer.lr == 0.1


def test_hydra_at_work_stays_at_work() -> None:
    register_schemas()
    with initialize_config_dir(str(conf_dir().resolve())):
        outer = GlobalHydra.instance().hydra
        Composer(conf_dir(), []).config({"optimizer": "adamw"}, None)
        assert GlobalHydra.instance().hydra is outer


@pytest.mark.slow
def test_a_proposal_is_checked_in_a_fraction_of_what_hydra_takes_to_compose_it() -> None:
    space = build_space(shipped("full"), ["train.epochs=30"])
    composer = Composer(conf_dir(), space.fixed_overrides)
    study = optuna.create_study(sampler=RandomSampler(seed=3))
    ours, hydras = [], []
    for seed in range(40):
        drawn = space.suggest(study.ask())
        start = time.process_time()
        propose_config(composer.config(drawn, seed), DataShape(10, 32))
        ours.append(time.process_time() - start)
        if seed % 10 == 9:
            start = time.process_time()
            composed_by_hydra([*composer.overrides(drawn), f"seed={seed}"])
            hydras.append(time.process_time() - start)
    assert median(ours[20:]) < median(hydras) / 4  # measured: a fourteenth


def test_the_sweepers_side_is_free_of_torch() -> None:
    search = [f"search.{name}" for name in ("composer", "proposals", "samplers", "space")]
    sweep = [f"sweep.{name}" for name in ("checks", "extension", "first_trials", "forecast")]
    imports = "; ".join(f"import resnet_sweep.{name}" for name in [*search, *sweep])
    code = f"import sys; {imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
