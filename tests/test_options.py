"""Every option of every group composes and trains, own images and networks too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY_OVERRIDES
from hydra import compose, initialize_config_dir
from PIL import Image

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir, register_schemas, to_config
from resnet_sweep.config.errors import UserError
from resnet_sweep.data import device
from resnet_sweep.records.run_folder import MODEL
from resnet_sweep.system.atomic import write_text
from resnet_sweep.training.run import run_training


def composed(*overrides: str, tiny: bool = True) -> Config:
    register_schemas()
    base = [o for o in TINY_OVERRIDES if tiny or not o.startswith("model.")]
    with initialize_config_dir(str(conf_dir().resolve())):
        return to_config(compose("config", [*base, "train.epochs=1", *overrides]))


def _options() -> list[str]:
    groups = ("optimizer", "scheduler", "augmentation", "regularization", "init", "train")
    return [
        f"{group}={path.stem}" for group in groups for path in (conf_dir() / group).glob("*.yaml")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("option", sorted(_options()))
def test_every_option_composes_and_trains(option: str, tmp_path: Path) -> None:
    group, name = option.split("=")
    override = f"augmentation=[{name}]" if group == "augmentation" else option
    config = composed(override, "evaluate_test=false")
    # The options of `train` bring their own length; one epoch is enough here.
    config.train.epochs = 1
    result = run_training(config, tmp_path / "run")
    assert result.status == "completed", result.error


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (conf_dir() / "model").glob("*.yaml") if p.stem != "custom")
)
def test_every_model_composes_and_trains_a_step(name: str, tmp_path: Path) -> None:
    config = composed(
        f"model={name}",
        "data.train_subset=10",
        "data.val_size=10",
        "train.batch_size=5",
        "evaluate_test=false",
        tiny=False,
    )
    result = run_training(config, tmp_path / "run")
    assert result.status == "completed", result.error


def write_images(root: Path, rng: np.random.Generator) -> None:
    for part, count in (("train", 12), ("test", 4)):
        for label in ("cat", "dog"):
            (root / part / label).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{i}.png")


def write_arrays(root: Path, rng: np.random.Generator) -> None:
    for part, count in (("train", 24), ("test", 8)):
        images = rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
        np.savez(root / f"{part}.npz", images=images, labels=np.arange(count) % 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write"), [("image_folder", write_images), ("arrays", write_arrays)]
)
def test_own_images_train(name: str, write: Any, tmp_path: Path) -> None:
    write(tmp_path, np.random.default_rng(0))
    options = [f"data={name}", f"data.root={tmp_path}", "data.train_subset=null", "data.val_size=6"]
    if name == "image_folder":
        options.append(f"data.cache_dir={tmp_path / 'cache'}")
    result = run_training(composed(*options, "train.batch_size=5"), tmp_path / "run")
    assert result.status == "completed", result.error
    assert result.test_accuracy is not None


def test_data_that_changed_are_refused_on_resume(tmp_path: Path) -> None:
    write_arrays(tmp_path, np.random.default_rng(0))
    options = ["data=arrays", f"data.root={tmp_path}", "data.train_subset=null", "data.val_size=6"]
    config = composed(*options, "train.batch_size=5", "evaluate_test=false")
    assert run_training(config, tmp_path / "run").status == "completed"
    (tmp_path / "run" / MODEL).unlink()
    write_arrays(tmp_path, np.random.default_rng(1))
    for remembered in (device._read, device._place_train_val, device._place_test):
        remembered.cache_clear()
    with pytest.raises(UserError, match="data have changed"):
        run_training(config, tmp_path / "run")


def test_a_custom_network_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(
        tmp_path / "mine_for_test.py",
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, num_classes, width=4):\n"
        "        super().__init__(nn.Conv2d(3, width, 3, stride=4), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(),\n"
        "                         nn.Linear(width, num_classes))\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = composed(
        "model=custom", "model.target=mine_for_test.Net", "+model.kwargs.width=6", tiny=False
    )
    result = run_training(config, tmp_path / "run")
    assert result.status == "completed"
    assert result.num_params == 6 * 27 + 6 + 60 + 10


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.stem for p in (conf_dir() / "experiment").glob("*.yaml")))
def test_every_experiment_composes(name: str) -> None:
    register_schemas()
    with initialize_config_dir(str(conf_dir().resolve())):
        assert to_config(compose("config", [f"experiment={name}"])).train.epochs > 0
