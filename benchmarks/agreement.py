"""Whether every compile mode trains the same net: each ingredient with state or chance, by itself.

The same ten float32 steps from the same weights in mode `none` and in another one; what a step
changes (weights, batch-norm statistics, averaged weights, summed loss) is compared by its
relative distance. All modes draw from the same generators. On a GPU benchmarks/gpu.py does it, for
`graph` and `inductor`; on a CPU tests/test_compile_modes.py, for `inductor`.
"""

from __future__ import annotations

from typing import Any

import torch
from contenders import Images, make_step, random_images

from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import (
    AugmentationConfig,
    CropFlipConfig,
    CutmixConfig,
    MixupConfig,
    RandAugmentConfig,
)
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.config.train import TrainConfig
from resnet_sweep.training.step import TrainStep

SMALL_NET = ResNetConfig(name="small", widths=[8, 16], blocks=[1, 1])
STEPS = 10
BATCH_SIZE = 64
TOLERANCE = 1e-3  # ten float32 steps from equal weights, summed in another order

PLAIN = RegularizationConfig()
CROP_FLIP = AugmentationConfig(crop_flip=CropFlipConfig())
HEAVY = AugmentationConfig(
    crop_flip=CropFlipConfig(), randaugment=RandAugmentConfig(), cutmix=CutmixConfig()
)
INGREDIENTS: dict[str, tuple[AugmentationConfig, RegularizationConfig]] = {
    "batch_norm": (AugmentationConfig(), PLAIN),
    "ghost_norm": (AugmentationConfig(), RegularizationConfig(ghost_batch_size=16)),
    "ema": (AugmentationConfig(), RegularizationConfig(ema_half_life_epochs=0.5)),
    "mixup": (AugmentationConfig(mixup=MixupConfig()), PLAIN),
    "randaugment_cutmix": (HEAVY, PLAIN),
    "dropout": (CROP_FLIP, RegularizationConfig(dropout=0.1)),
    "stochastic_depth": (CROP_FLIP, RegularizationConfig(stochastic_depth=0.1)),
    "everything": (
        HEAVY,
        RegularizationConfig(
            dropout=0.1, stochastic_depth=0.1, label_smoothing=0.1, ema_half_life_epochs=0.5
        ),
    ),
}


def compare(ingredient: str, mode: str) -> dict[str, Any]:
    """Return the relative distance of each kind of state between `mode` and `none`."""
    images = random_images(600)
    expected, found = (train_a_little(ingredient, each, images) for each in ("none", mode))
    distances = {
        kind: float((found[kind] - value).norm() / value.norm().clamp(min=1e-12))
        for kind, value in expected.items()
    }
    agrees = all(distance < TOLERANCE for distance in distances.values())
    return {"mode": mode, "distances": distances, "tolerance": TOLERANCE, "agrees": agrees}


def train_a_little(
    ingredient: str, mode: str, images: Images, device: str = "auto"
) -> dict[str, torch.Tensor]:
    """Return what ten steps have left, float64 [many] for each kind of state."""
    augmentation, regularization = INGREDIENTS[ingredient]
    train = TrainConfig(batch_size=BATCH_SIZE, compile=mode, precision="fp32", device=device)
    config = Config(
        model=SMALL_NET, train=train, augmentation=augmentation, regularization=regularization
    )
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        step = make_step(config, images)
        _run(step, len(images.labels))
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept
    return _state(step)


def _run(step: TrainStep, count: int) -> None:
    torch.manual_seed(1)
    for i in range(STEPS):
        first = i * BATCH_SIZE % (count - BATCH_SIZE)
        indices = torch.arange(first, first + BATCH_SIZE, device=step.execution.device)
        step(indices, 0.01 * (i + 1), i)


def _state(step: TrainStep) -> dict[str, torch.Tensor]:
    kinds = {"weights": list(step.model.parameters()), "statistics": list(step.model.buffers())}
    if step.ema is not None:
        kinds["averaged"] = list(step.ema.model.state_dict().values())
    kinds["loss"] = [step.loss_sum]
    return {
        kind: torch.cat([value.detach().double().flatten().cpu() for value in values])
        for kind, values in kinds.items()
    }
