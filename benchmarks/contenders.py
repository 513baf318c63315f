"""What the speed benchmarks compare: this project, a usual loop, and the bare step.

Each contender is a function that trains `steps` steps and waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from resnet_sweep.config import Config
from resnet_sweep.data.device import DeviceData, Part
from resnet_sweep.model.build import build_model
from resnet_sweep.optim.optimizer import build_optimizer
from resnet_sweep.training.device import Execution, choose_execution
from resnet_sweep.training.loop import build_step
from resnet_sweep.training.step import TrainStep

Run = Callable[[int], None]
NUM_CLASSES = 10


@dataclass(frozen=True)
class Images:
    """Random images: their content costs nothing to the speed; uint8 [N, 3, 32, 32]."""

    images: torch.Tensor
    labels: torch.Tensor


def random_images(count: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Images(images, torch.randint(0, NUM_CLASSES, (count,), generator=generator))


def make_step(config: Config, images: Images) -> TrainStep:
    """Build this project's training step as run_training does."""
    execution = choose_execution(config.train)
    device = execution.device
    part = Part(images.images.to(device), images.labels.to(device))
    data = DeviceData(
        train=part,
        val=part,
        test=None,
        val_indices=np.arange(0),
        mean=torch.full((3,), 0.5, device=device),
        std=torch.full((3,), 0.25, device=device),
        class_names=tuple(map(str, range(NUM_CLASSES))),
        fingerprint="",
    )
    step = build_step(config, data, execution)
    if execution.records_graph:
        step.record_graph()
    return step


def ours(config: Config, images: Images) -> Run:
    """This project: data and augmentation on the device, whole batches."""
    step = make_step(config, images)
    count, batch_size = len(images.labels), config.train.batch_size
    device = step.execution.device

    def run(steps: int) -> None:
        order = torch.randperm(count).to(device)
        for i in range(steps):
            first = i * batch_size % (count - batch_size + 1)
            step(order[first : first + batch_size], 0.01, i)
        step.take_sums(steps * batch_size)

    return run


def bare(config: Config, images: Images) -> Run:
    """Forward, backward and optimizer step on one batch that is ready: the limit.

    In the compile mode of the configuration, as the full step.
    """
    execution = choose_execution(config.train)
    device = execution.device
    torch.manual_seed(0)
    model: Any = build_model(config, NUM_CLASSES, 32)
    model = model.to(device, memory_format=execution.memory_format)
    capturable = execution.records_graph
    optimizer = build_optimizer(config.optimizer, model, 5e-4, capturable=capturable)
    batch = images.images[: config.train.batch_size].to(device).float().div_(255)
    batch = batch.contiguous(memory_format=execution.memory_format)
    labels = images.labels[: config.train.batch_size].to(device)
    forward = torch.compile(model) if execution.compile == "inductor" else model

    def step() -> None:
        _plain_step(forward, optimizer, execution, batch, labels)

    once = _captured(step) if capturable else step

    def run(steps: int) -> None:
        for _ in range(steps):
            once()
        synchronize(device)

    return run


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def usual_loop(config: Config, images: Images, num_workers: int) -> Run:
    """The loop that most people write: DataLoader, torchvision transforms, eager, `.item()`."""
    execution = choose_execution(config.train)
    device = execution.device
    torch.manual_seed(0)
    model = build_model(config, NUM_CLASSES, 32).to(device)
    momentum = {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, **momentum)  # type: ignore[arg-type]
    loader = DataLoader(
        _TransformedImages(images),
        batch_size=config.train.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=num_workers,
        pin_memory=device.type == "cuda",
        persistent_workers=num_workers > 0,
    )
    batches = _endless(loader)

    def run(steps: int) -> None:
        for _ in range(steps):
            batch, labels = next(batches)
            batch = batch.to(device, non_blocking=True)
            labels = labels.to(device, non_blocking=True)
            _plain_step(model, optimizer, execution, batch, labels).item()
        synchronize(device)

    return run


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _plain_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    execution: Execution,
    batch: torch.Tensor,
    labels: torch.Tensor,
) -> torch.Tensor:
    optimizer.zero_grad(set_to_none=True)
    with execution.autocast():
        loss = F.cross_entropy(model(batch), labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


class _TransformedImages(TorchDataset[tuple[torch.Tensor, int]]):
    def __init__(self, images: Images) -> None:
        self.images: np.ndarray = images.images.permute(0, 2, 3, 1).numpy()
        self.labels = images.labels.tolist()
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                v2.RandomCrop(32, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.5] * 3, [0.25] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def _endless(loader: DataLoader[tuple[torch.Tensor, int]]) -> Iterator[list[torch.Tensor]]:
    while True:
        yield from loader
