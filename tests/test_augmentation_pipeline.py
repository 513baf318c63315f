"""The whole augmentation: contract, order, independent draws, nothing that stalls a device."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from device_waits import WAITING, Recorder
from torch import Tensor

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
from resnet_sweep.data.augmentation import Augmentation

EVERYTHING = AugmentationConfig(
    crop_flip=CropFlipConfig(),
    autoaugment=AutoAugmentConfig(),
    randaugment=RandAugmentConfig(),
    trivialaugment=TrivialAugmentConfig(),
    color_jitter=ColorJitterConfig(),
    cutout=CutoutConfig(),
    random_erasing=RandomErasingConfig(),
    mixup=MixupConfig(),
    cutmix=CutmixConfig(),
    ricap=RicapConfig(),
)
OPTIONS = [field.name for field in fields(AugmentationConfig)]


def batch(count: int = 16, size: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    floats = torch.randn(count, 3, size, size, generator=generator)
    return pixels, floats, torch.arange(count) % 10


def run(
    augmentation: Augmentation, pixels: Tensor, floats: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    changed = augmentation.transform(pixels)
    return changed, *augmentation.mix(augmentation.erase(floats), labels)


def only(name: str) -> AugmentationConfig:
    return AugmentationConfig(**{name: getattr(EVERYTHING, name)})


def test_nothing_configured_changes_nothing() -> None:
    augmentation = Augmentation(AugmentationConfig(), 10)
    results = run(augmentation, *batch())
    assert not augmentation.mixes
    for result, given in zip(results, batch(), strict=True):
        assert torch.equal(result, given)


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_keeps_shapes_and_changes_its_own_part(name: str) -> None:
    given = batch()
    augmentation = Augmentation(only(name), 10)
    torch.manual_seed(1)
    pixels, floats, targets = run(augmentation, *given)
    assert pixels.dtype == torch.uint8 and pixels.shape == given[0].shape
    assert floats.dtype == torch.float32 and floats.shape == given[1].shape
    assert augmentation.mixes == (name in ("mixup", "cutmix", "ricap"))
    if augmentation.mixes:
        assert targets.shape == (16, 10) and targets.dtype == torch.float32
    else:
        assert torch.equal(targets, given[2])
    changed = torch.equal(pixels, given[0]), torch.equal(floats, given[1])
    assert changed == ((True, False) if OPTIONS.index(name) >= 5 else (False, True))


@pytest.mark.parametrize("name", OPTIONS)
def test_every_image_has_its_own_draw(name: str) -> None:
    image, float_image, _ = batch(1)
    count = 64
    labels = torch.zeros(count, dtype=torch.int64)
    copies = image.expand(count, -1, -1, -1), float_image.expand(count, -1, -1, -1), labels
    if name in ("mixup", "cutmix", "ricap"):
        copies = copies[0], batch(count)[1], labels
    config = only(name)
    if config.cutmix is not None:
        config.cutmix.probability = 1.0
    pixels, floats, _ = run(Augmentation(config, 10), *copies)
    changes = torch.cat(((pixels != copies[0]).flatten(1), (floats != copies[1]).flatten(1)), 1)
    assert len(changes.unique(dim=0)) > count / 4 or name in ("mixup", "ricap")
    if name == "mixup":
        shares = (floats - copies[1]).flatten(1).std(1)
        assert len(shares.round(decimals=4).unique()) > count / 4


def test_transform_goes_in_the_order_of_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    functions = {
        "random_crop_flip": "crop_flip",
        **{name: name for name in OPTIONS[1:7]},
    }
    for function, name in functions.items():

        def record(images: Tensor, *args: Any, name: str = name) -> Tensor:
            calls.append(name)
            return images

        monkeypatch.setattr(f"resnet_sweep.data.augmentation.pipeline.{function}", record)
    run(Augmentation(EVERYTHING, 10), *batch(2))
    assert calls == OPTIONS[:7]


def test_the_global_seed_decides() -> None:
    augmentation = Augmentation(EVERYTHING, 10)
    first, again, other = (seeded_run(augmentation, seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def seeded_run(augmentation: Augmentation, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    return run(augmentation, *batch())


@pytest.mark.parametrize("name", [*OPTIONS, "everything"])
def test_nothing_waits_for_the_device(name: str) -> None:
    config = EVERYTHING if name == "everything" else only(name)
    augmentation = Augmentation(config, 10)
    given = batch(4)
    run(augmentation, *given)
    with Recorder() as recorder:
        run(augmentation, *given)
    assert len(recorder.names) > 5
    assert recorder.names & WAITING == set()


def test_recorder_sees_what_waits() -> None:
    with Recorder() as recorder:
        torch.tensor([1.0, 0.0]).nonzero()
        torch.ones(1).item()
    assert {"aten::nonzero", "aten::_local_scalar_dense"} <= recorder.names & WAITING


@pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_cuda_graph_holds_it_and_replays_fresh_draws() -> None:
    augmentation = Augmentation(EVERYTHING, 10)
    given = tuple(part.cuda() for part in batch())
    run(augmentation, *given)
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(augmentation, *given)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run(augmentation, *given)
    results = []
    for _ in range(2):
        graph.replay()
        results.append([part.clone() for part in captured])
    assert not any(torch.equal(a, b) for a, b in zip(*results, strict=True))
