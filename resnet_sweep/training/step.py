"""One training step, from image indices to updated weights, without a word to the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from resnet_sweep.config import Config
from resnet_sweep.config.errors import one_line
from resnet_sweep.config.optim import OptimizerConfig
from resnet_sweep.config.train import RegularizationConfig
from resnet_sweep.data.augmentation import AlternatingFlips, Augmentation
from resnet_sweep.data.device import Part
from resnet_sweep.data.resizing import resize
from resnet_sweep.optim.ema import AveragedWeights
from resnet_sweep.optim.lookahead import Lookahead
from resnet_sweep.optim.optimizer import set_lr
from resnet_sweep.optim.sam import SharpnessAware
from resnet_sweep.optim.swa import EqualAverage, recompute_statistics
from resnet_sweep.training.device import Execution
from resnet_sweep.training.evaluation import Normalizer
from resnet_sweep.training.loss import build_loss
from resnet_sweep.training.random_state import epoch_seed, get_rng_state, set_rng_state
from resnet_sweep.training.teacher import Teacher

GRAPH_WARMUP_STEPS = 3


class TrainStep:
    """Gather, augment, forward, backward, update, average, count.

    Everything a step reads (indices, learning rate) or adds up (loss, correct) is a tensor
    that stays in its place, so that the step can be recorded once as a CUDA graph.

    Args:
        part: the training part, on the device.
        ema: averaged weights to update after each step, if any.
        teacher: a trained net whose answers are part of the loss, if any.
    """

    def __init__(
        self,
        config: Config,
        execution: Execution,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        ema: AveragedWeights | None,
        part: Part,
        normalize: Normalizer,
        augmentation: Augmentation,
        teacher: Teacher | None = None,
    ) -> None:
        self.execution = execution
        self.model = model
        self.optimizer = optimizer
        self.ema = ema
        self.part = part
        self.normalize = normalize
        self.augmentation = augmentation
        self.flips = _alternating_flips(config, part) if augmentation.alternates else None
        regularization = config.regularization
        self.clip_grad_norm = regularization.clip_grad_norm
        self.teacher = teacher
        self.sam = _sharpness_aware(regularization, model)
        self.steps_per_epoch = max(1, len(part.labels) // config.train.batch_size)
        self.lookahead = _lookahead(config.optimizer, model, self.steps_per_epoch)
        self.swa = None if regularization.swa_start is None else EqualAverage(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        device = execution.device
        self.indices = torch.arange(config.train.batch_size, device=device)
        self.loss_sum = torch.zeros((), dtype=torch.float32, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=execution.dtype == torch.float16)
        # Not a method: the step would hold itself, and its graph's memory would wait for Python's
        # collector of cycles while the worker's next net is built beside it.
        self.loss = build_loss(model, execution, regularization)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.image_size = int(part.images.shape[-1])

    def __call__(self, indices: torch.Tensor, lr: float, step: int) -> None:
        """Train on the images at `indices`, int64 [batch_size] on the device."""
        self.indices.copy_(indices)
        set_lr(self.optimizer, lr)
        if self.ema is not None:
            self.ema.set_step(step)
        if self.lookahead is not None:
            self.lookahead.set_step(step)
        if self.flips is not None:
            self.flips.set_epoch(step // self.steps_per_epoch)
        if self.graph is not None:
            self.graph.replay()
        else:
            self._step()

    def set_image_size(self, size: int) -> None:
        """Train on images of this side from the next step on; a graph is recorded anew."""
        if size != self.image_size:
            self.image_size = size
            if self.graph is not None:
                self.graph = None
                self.record_graph()

    def record_graph(self) -> None:
        """Record the step as a CUDA graph; weights and states are left as they were.

        Raises:
            RuntimeError: the step does what cannot be recorded, such as waiting for the device.
            torch.OutOfMemoryError: while it was recorded.
        """
        graph = torch.cuda.CUDAGraph()
        with self.preserved():
            self._warm_up()
            try:
                with torch.cuda.graph(graph):
                    self._step()
            except RuntimeError as error:
                first = error.__context__ or error  # ending the recording fails as well then
                if isinstance(first, torch.OutOfMemoryError):
                    raise first from None
                problem = f"{one_line(first)}; the step cannot be recorded as a CUDA graph"
                raise RuntimeError(f"{problem}: take train.compile=none") from error
        self.graph = graph

    @property
    def kept_model(self) -> nn.Module:
        """The net that is evaluated and kept: an averaged one where there is one."""
        if self.swa is not None and self.swa.count > 0:
            return self.swa.model
        return self.model if self.ema is None else self.ema.model

    def average_epoch(self) -> None:
        """Take the weights into the equal average, whose statistics are found anew."""
        assert self.swa is not None
        self.swa.update()
        recompute_statistics(self.swa.model, self._plain_batches())

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Undo, in place, whatever the steps within the block change.

        The optimizer's state, which comes to be in the first step, is left as zeros: momentum,
        moments and step counts all start there.
        """
        moments = self._moments()
        before = [*self._weights_and_sums(), *moments]
        copies = [tensor.clone() for tensor in before]
        rng_state = get_rng_state()
        yield
        for tensor, copy in zip(before, copies, strict=True):
            tensor.copy_(copy)
        known = set(map(id, moments))
        for tensor in self._moments():
            if id(tensor) not in known:
                tensor.zero_()
        set_rng_state(rng_state)

    def _weights_and_sums(self) -> list[torch.Tensor]:
        """Return what a step changes beside the optimizer's state."""
        nets = [self.model] if self.ema is None else [self.model, self.ema.model]
        tensors = [tensor for net in nets for tensor in net.state_dict().values()]
        slow = [] if self.lookahead is None else self.lookahead.slow
        return [*tensors, *slow, self.loss_sum, self.correct]

    def _moments(self) -> list[torch.Tensor]:
        """Return the optimizer's state; it comes to be in the first step."""
        values = [v for state in self.optimizer.state.values() for v in state.values()]
        return [value for value in values if isinstance(value, torch.Tensor)]

    def _warm_up(self) -> None:
        """Run a few steps beside the default stream, as capturing asks for."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._warm_up_steps()
        torch.cuda.current_stream().wait_stream(stream)

    def _warm_up_steps(self) -> None:
        for _ in range(GRAPH_WARMUP_STEPS):
            self._step()

    def take_sums(self, images: int) -> tuple[float, float]:
        """Return mean loss and accuracy over `images` images and start counting anew."""
        loss, correct = torch.stack([self.loss_sum, self.correct.float()]).tolist()
        self.loss_sum.zero_()
        self.correct.zero_()
        return loss / images, correct / images

    def _step(self) -> None:
        labels = self.part.labels[self.indices]
        images, targets = self._batch(labels)
        taught = None if self.teacher is None else self.teacher(images)
        loss, logits = self.loss(images, targets, taught)
        self.scaler.scale(loss).backward()
        if self.sam is not None:
            with self.sam.perturbed():
                self.scaler.scale(self.loss(images, targets, taught)[0]).backward()
        self._update()
        self.loss_sum += loss.detach() * len(labels)
        self.correct += (logits.detach().argmax(1) == labels).sum()

    def _batch(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            flipped = None if self.flips is None else self.flips(self.indices)
            images = self.part.images[self.indices]
            images = self.augmentation.transform(images, flipped=flipped)
            floats = self.normalize(images, self.execution.memory_format)
            floats = resize(self.augmentation.erase(floats), self.image_size)
            floats, targets = self.augmentation.mix(floats, labels)
            return floats.contiguous(memory_format=self.execution.memory_format), targets

    def _plain_batches(self) -> Iterator[torch.Tensor]:
        """Yield the training images as they are, in whole batches."""
        size = len(self.indices)
        with self.execution.autocast():
            for images in self.part.images.split(size):
                if len(images) == size:
                    yield self.normalize(images, self.execution.memory_format)

    def _update(self) -> None:
        if self.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.clip_grad_norm, foreach=True)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.lookahead is not None:
            self.lookahead.update()
        if self.ema is not None:
            self.ema.update()


def _sharpness_aware(config: RegularizationConfig, model: nn.Module) -> SharpnessAware | None:
    rho = config.sam_radius()
    return None if rho is None else SharpnessAware(model, rho, config.sam == "asam")


def _lookahead(config: OptimizerConfig, model: nn.Module, steps_per_epoch: int) -> Lookahead | None:
    steps, alpha = config.lookahead_steps, config.lookahead_alpha
    return None if steps is None else Lookahead(model, steps, alpha, steps_per_epoch)


def _alternating_flips(config: Config, part: Part) -> AlternatingFlips:
    seed = epoch_seed(config.seed, 0, 2)
    return AlternatingFlips(seed, len(part.labels), part.images.device)
