"""One training step, from image indices to updated weights, without a word to the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_sweep.config.errors import one_line
from resnet_sweep.config.regularization import RegularizationConfig
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
from resnet_sweep.training.teacher import Teacher, distillation_loss

GRAPH_WARMUP_STEPS = 3

Loss = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]


class TrainingLoss:
    """Cross-entropy, with label smoothing and what a teacher says where they are asked for."""

    def __init__(
        self, model: nn.Module, execution: Execution, regularization: RegularizationConfig
    ) -> None:
        self._model = model
        self._execution = execution
        self._label_smoothing = regularization.label_smoothing
        self._distill_weight = regularization.distill_weight
        self._distill_temperature = regularization.distill_temperature

    def __call__(
        self, images: Tensor, targets: Tensor, taught: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the logits.

        Args:
            images: normalised float [N, 3, S, S].
            targets: int64 [N], or shares of the classes, float32 [N, classes].
            taught: the teacher's logits, float32 [N, classes].
        """
        with self._execution.autocast():
            logits = self._model(images)
        smoothing = self._label_smoothing
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
        if taught is not None:
            distilled = distillation_loss(logits.float(), taught, self._distill_temperature)
            loss = (1 - self._distill_weight) * loss + self._distill_weight * distilled
        return loss, logits


def build_loss(
    model: nn.Module, execution: Execution, regularization: RegularizationConfig
) -> Loss:
    """Return the loss of a net, compiled where the execution says so.

    Compiled, it draws the same random numbers as without.
    """
    loss = TrainingLoss(model, execution, regularization)
    if execution.compile != "inductor":
        return loss
    # Dynamo compiles one function for eight nets and then runs every further one eagerly.
    torch.compiler.reset()
    compiled: Loss = torch.compile(loss.__call__, options={"fallback_random": True})
    return compiled


def get_rng_state() -> dict[str, Any]:
    """Return the states of torch's default generators, of the CPU and of a GPU in use."""
    # A run on the CPU asks for none: that would make a context, with hundreds of MiB, on the GPU.
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])


class TrainStep:
    """Gather, augment, forward, backward, update, average, count.

    Everything a step reads (indices, learning rate) or adds up (loss, correct) is a tensor
    that stays in its place, so that the step can be recorded once as a CUDA graph.

    Whoever builds one sets what else it has: `flips` (which images are mirrored, where an
    augmentation alternates), `sam`, `ema` and `lookahead`, each a part of every step, and `swa`,
    the weights to average at the ends of epochs.

    Args:
        loss: of `model`, from build_loss.
        part: the training part, on the device.
        teacher: a trained net whose answers are part of the loss.
        clip_grad_norm: largest 2-norm of all gradients together.
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
        teacher: Teacher | None = None,
        clip_grad_norm: float | None = None,
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
        self.teacher = teacher
        self.clip_grad_norm = clip_grad_norm
        self.flips: AlternatingFlips | None = None
        self.sam: SharpnessAware | None = None
        self.ema: AveragedWeights | None = None
        self.lookahead: Lookahead | None = None
        self.swa: EqualAverage | None = None
        self.steps_per_epoch = max(1, len(part.labels) // batch_size)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        device = execution.device
        self.indices = torch.arange(batch_size, device=device)
        self.loss_sum = torch.zeros((), dtype=torch.float32, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=execution.dtype == torch.float16)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.image_size = int(part.images.shape[-1])

    def __call__(self, indices: Tensor, lr: float, step: int) -> None:
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

    def _weights_and_sums(self) -> list[Tensor]:
        """Return what a step changes beside the optimizer's state."""
        nets = [self.model] if self.ema is None else [self.model, self.ema.model]
        tensors = [tensor for net in nets for tensor in net.state_dict().values()]
        slow = [] if self.lookahead is None else self.lookahead.slow
        return [*tensors, *slow, self.loss_sum, self.correct]

    def _moments(self) -> list[Tensor]:
        """Return the optimizer's state; it comes to be in the first step."""
        values = [v for state in self.optimizer.state.values() for v in state.values()]
        return [value for value in values if isinstance(value, Tensor)]

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
        self.loss_sum += loss.detach() * len(labels)
        self.correct += (logits.detach().argmax(1) == labels).sum()

    def _batch(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            flipped = None if self.flips is None else self.flips(self.indices)
            images = self.part.images[self.indices]
            images = self.augmentation.transform(images, flipped=flipped)
            floats = self.normalize(images, self.execution.memory_format)
            floats = resize(self.augmentation.erase(floats), self.image_size)
            floats, targets = self.augmentation.mix(floats, labels)
            return floats.contiguous(memory_format=self.execution.memory_format), targets

    def _plain_batches(self) -> Iterator[Tensor]:
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
