"""A recorded step repeats what the step does, whatever changes from one to the next.

The graph is recorded_graph.py's stand-in on the CPU; `benchmarks/gpu.py` compares real ones.
"""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_tiny_config
from recorded_graph import stand_in
from trained_runs import make_run

from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import (
    AugmentationConfig,
    AutoAugmentConfig,
    ColorJitterConfig,
    CropFlipConfig,
    CutmixConfig,
    CutoutConfig,
    MixupConfig,
    RandAugmentConfig,
    RandomErasingConfig,
    RicapConfig,
    TrivialAugmentConfig,
)
from resnet_sweep.config.optimizer import (
    AdamConfig,
    AdamWConfig,
    MuonConfig,
    RmspropConfig,
    SgdConfig,
)
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.data.device import place_data
from resnet_sweep.optim.optimizer import build_optimizer
from resnet_sweep.records.checkpoint import read_model
from resnet_sweep.records.run_folder import RunResult
from resnet_sweep.training import loop as training
from resnet_sweep.training import run as trial
from resnet_sweep.training.device import Execution
from resnet_sweep.training.loop import build_step
from resnet_sweep.training.run import run_training
from resnet_sweep.training.step import TrainStep

CPU = torch.device("cpu")
TRAIN = make_tiny_config().train
RECIPES: dict[str, dict[str, Any]] = {
    "ema, clipping, erasing": {
        "optimizer": SgdConfig(),
        "regularization": RegularizationConfig(ema_half_life_epochs=0.5, clip_grad_norm=0.5),
        "augmentation": AugmentationConfig(
            cutout=CutoutConfig(), random_erasing=RandomErasingConfig()
        ),
    },
    "foreach sgd, swa, bf16": {
        "optimizer": SgdConfig(implementation="foreach", exclude_norm_and_bias=False),
        "regularization": RegularizationConfig(swa_start=0.3, label_smoothing=0.1),
        "train": replace(TRAIN, precision="bf16"),
    },
    "adam, sam, policies": {
        "optimizer": AdamConfig(),
        "regularization": RegularizationConfig(sam="sam"),
        "augmentation": AugmentationConfig(
            autoaugment=AutoAugmentConfig(), trivialaugment=TrivialAugmentConfig()
        ),
    },
    "foreach adamw, asam, dropout": {
        "optimizer": AdamWConfig(implementation="foreach"),
        "regularization": RegularizationConfig(sam="asam", dropout=0.1),
    },
    "rmsprop, stochastic depth, colour": {
        "optimizer": RmspropConfig(),
        "regularization": RegularizationConfig(stochastic_depth=0.3),
        "augmentation": AugmentationConfig(
            randaugment=RandAugmentConfig(), color_jitter=ColorJitterConfig()
        ),
    },
    "muon, ghost norm, mixing": {
        "optimizer": MuonConfig(),
        "regularization": RegularizationConfig(ghost_batch_size=16),
        "augmentation": AugmentationConfig(
            mixup=MixupConfig(), cutmix=CutmixConfig(), ricap=RicapConfig()
        ),
    },
    "muon with sgd, growing images": {
        "optimizer": MuonConfig(others="sgd"),
        "train": replace(TRAIN, start_image_size=16, full_size_from=0.5),
    },
    "lookahead, alternating flip, a teacher": {
        "optimizer": SgdConfig(lookahead_steps=2),
        "augmentation": AugmentationConfig(crop_flip=CropFlipConfig(alternate_flip=True)),
        "regularization": RegularizationConfig(distill_from="teacher"),
    },
}


def run(config: Config, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> RunResult:
    """Train as on a GPU that records the step."""
    dtype = torch.bfloat16 if config.train.precision == "bf16" else torch.float32

    class OnGpu(Execution):
        records_graph = True

    execution = OnGpu(CPU, dtype, "graph", channels_last=True)
    with monkeypatch.context() as patch:
        stand_in(patch)
        patch.setattr(trial, "choose_execution", lambda *_: execution)
        return run_training(config, run_dir)


def what_is_left(run_dir: Path, result: RunResult) -> tuple[list[str], dict[str, torch.Tensor]]:
    assert result.status == "completed", result.error
    history = (run_dir / "metrics.csv").read_text().splitlines()
    return [row.rsplit(",", 1)[0] for row in history], read_model(run_dir)["state_dict"]


def differences(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what differs, bit for bit, between replayed steps and the same ones carried out."""
    recorded = what_is_left(folder / "a", run(config, folder / "a", monkeypatch))
    with monkeypatch.context() as patch:
        patch.setattr(TrainStep, "record_graph", lambda _: None)
        plain = what_is_left(folder / "b", run(config, folder / "b", monkeypatch))
    names = ["history"] if plain[0] != recorded[0] else []
    return names + [n for n, v in plain[1].items() if not torch.equal(v, recorded[1][n])]


@pytest.mark.slow
@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize("recipe", RECIPES)
def test_replayed_steps_are_the_steps(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "teacher")
    config = replace(make_tiny_config(), **RECIPES[recipe])
    assert differences(config, tmp_path, monkeypatch) == []


def test_what_is_decided_while_recording_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learning rate that is a number of Python stays that of the recorded step."""
    monkeypatch.setattr(training, "build_optimizer", lambda *a, capturable: build_optimizer(*a))
    assert "history" in differences(make_tiny_config(), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("operation not permitted"), "failed", "take train.compile=none"),
        (torch.OutOfMemoryError("2 GiB"), "out_of_memory", "2 GiB"),
    ],
)
def test_a_step_that_cannot_be_recorded_is_told(
    error: Exception, status: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory included, also where ending the recording hides it."""

    def fail(self: TrainStep) -> None:
        try:
            raise error
        finally:
            raise RuntimeError("capture invalidated")  # as cudaStreamEndCapture then says

    monkeypatch.setattr(TrainStep, "_warm_up", lambda _: None)
    monkeypatch.setattr(TrainStep, "_step", fail)
    result = run(make_tiny_config(), tmp_path / "run", monkeypatch)
    assert result.status == status
    assert result.error is not None and said in result.error


def test_a_step_goes_with_its_last_name() -> None:
    """In no cycle, so that a graph's memory is free before the next net of a worker is built."""
    config = make_tiny_config()
    data = place_data(config.data, CPU, with_test=False)
    build_step(config, data, Execution(CPU, torch.float32, "none", True))  # torch's own imports
    gc.collect()
    gc.disable()
    try:
        step = build_step(config, data, Execution(CPU, torch.float32, "none", True))
        step(torch.arange(64), 0.1, 0)
        parts = [weakref.ref(part) for part in (step, step.model, step.optimizer)]
        del step
        assert [part() for part in parts] == [None] * 3
    finally:
        gc.enable()
