"""One training step, from image indices to updated weights, without a word to the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from resnet_sweep.config.errors import one_line
from resnet_sweep.data.augmentation import AlternatingFlips, Augmentation, resize
from resnet_sweep.data.device import Part
from resnet_sweep.optim.averages import (
    AveragedWeights,
    EqualAverage,
    Lookahead,
    recompute_statistics,
)
from resnet_sweep.optim.optimizer import set_lr
from resnet_sweep.optim.sam import SharpnessAware
from resnet_sweep.training.device import Execution
from resnet_sweep.training.evaluation import Normalizer
from resnet_sweep.training.loss import Loss
from resnet_sweep.training.state import get_rng_state, set_rng_state
from resnet_sweep.training.teacher import Teacher

GRAPH_WARMUP_STEPS = 3


class TrainStep:
    """Gather, augment, forward, backward, update, average, count.

    Everything a step reads (indices, learning rate) or adds up (loss, correct) is a tensor
    that stays in its place, so that the step can be recorded once as a CUDA graph.

    Args:
        loss: of `model`, from build_loss.
        part: the training part, on the device.
        flips: which images are mirrored, where an augmentation alternates.
        teacher: a trained net whose answers are part of the loss.
        sam: what makes a step sharpness-aware.
        clip_grad_norm: largest 2-norm of all gradients together.
        ema: averaged weights to update after each step.
        lookahead: slow weights to update after each step.
        swa: weights to average at the ends of epochs.
    """

    def __init__(
        self,
        execution: Execution,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        part: Part,
        batch_size: int,
        normalize: Normalizer,
        augmentation: Augmentation,
        *,
        flips: AlternatingFlips | None = None,
        teacher: Teacher | None = None,
        sam: SharpnessAware | None = None,
        clip_grad_norm: float | None = None,
        ema: AveragedWeights | None = None,
        lookahead: Lookahead | None = None,
        swa: EqualAverage | None = None,
    ) -> None:
        self.execution = execution
        self.model = model
        self.optimizer = optimizer
        # Not a method: the step would hold itself, and its graph's memory would wait for Python's
        # collector of cycles while the worker's next net is built beside it.
        self.loss = loss
        self.part = part
        self.normalize = normalize
        self.augmentation = augmentation
        self.flips = flips
        self.teacher = teacher
        self.sam = sam
        self.clip_grad_norm = clip_grad_norm
        self.ema = ema
        self.lookahead = lookahead
        self.swa = swa
        self.steps_per_epoch = max(1, len(part.labels) // batch_size)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        device = execution.device
        self.indices = torch.arange(batch_size, device=device)
        self.loss_sum = torch.zeros((), dtype=torch.float32, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=execution.dtype == torch.float16)
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
            for _ in range(GRAPH_WARMUP_STEPS):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)

    def take_sums(self, images: int) -> tuple[float, float]:
        """Return mean loss and accuracy over `images` images and start counting anew."""
        loss, correct = torch.stack([self.loss_sum, self.correct.float()]).tolist()
        self.loss_sum.zero_()
        self.correct.zero_()
        return loss / images, correct / images

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of the step, the random numbers ahead among it."""
        state = {
            "model": self.model.state_dict(),
            # Hyperparameters stay out: they follow from the configuration and the device.
            "optimizer": self.optimizer.state_dict()["state"],
            "ema": None if self.ema is None else self.ema.model.state_dict(),
            "scaler": self.scaler.state_dict(),
            "sums": {"loss": self.loss_sum, "correct": self.correct},
            "rng": get_rng_state(),
        }
        if self.lookahead is not None:
            state["lookahead"] = self.lookahead.slow
        if self.swa is not None:
            state["swa"] = {"model": self.swa.model.state_dict(), "count": self.swa.count}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what state_dict returned."""
        self.model.load_state_dict(state["model"])
        groups = self.optimizer.state_dict()["param_groups"]
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr  # the tensor in its place, not a copy
        if self.ema is not None:
            self.ema.model.load_state_dict(state["ema"])
        if self.lookahead is not None:
            torch._foreach_copy_(self.lookahead.slow, state["lookahead"])
        if self.swa is not None:
            self.swa.model.load_state_dict(state["swa"]["model"])
            self.swa.count = state["swa"]["count"]
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.loss_sum.copy_(state["sums"]["loss"])
        self.correct.copy_(state["sums"]["correct"])
        set_rng_state(state["rng"])

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
        """Yield the training images as they are, in whole batches.

        Mixed, in an order that is always the same: folders come class by class, and statistics of
        one class are not those of a batch.
        """
        size, count = len(self.indices), len(self.part.labels)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        with self.execution.autocast():
            for places in order.to(self.execution.device).split(size):
                if len(places) == size:
                    images = self.part.images[places]
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
