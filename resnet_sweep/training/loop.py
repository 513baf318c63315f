"""The loop: epochs of steps, evaluations and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resnet_sweep.config import Config
from resnet_sweep.data.augmentation import AlternatingFlips, Augmentation, train_image_size
from resnet_sweep.data.device import DeviceData, Part
from resnet_sweep.model.build import build_model
from resnet_sweep.model.init import whiten_stem
from resnet_sweep.optim.averages import AveragedWeights, EqualAverage, Lookahead
from resnet_sweep.optim.optimizer import build_optimizer
from resnet_sweep.optim.sam import SharpnessAware
from resnet_sweep.optim.scheduler import Schedule
from resnet_sweep.records.checkpoint import write_checkpoint
from resnet_sweep.records.run_folder import METRICS, EpochMetrics, write_metrics
from resnet_sweep.system.environment import git_commit
from resnet_sweep.system.stopping import StopRequest
from resnet_sweep.training.device import Execution
from resnet_sweep.training.evaluation import Evaluation, Normalizer, evaluate
from resnet_sweep.training.progress import RunProgress
from resnet_sweep.training.step import TrainStep, build_loss
from resnet_sweep.training.teacher import Teacher
from resnet_sweep.training.trackers.sending import Trackers


class Diverged(Exception):
    """The training loss is not finite."""


class PrunedRun(Exception):
    """Whoever watches the run wants no more of it; raised by `on_epoch`."""


class Interrupted(Exception):
    """A signal asked the run to stop; its checkpoint is written."""


OnEpoch = Callable[[EpochMetrics], None]


@dataclass
class Position:
    """Where a run stands between two steps.

    Args:
        epoch: finished epochs.
        step: finished steps of the epoch after them.
        history: one entry for each finished epoch.
        train_seconds: over all sittings.
        step_seconds: of them, in training steps.
        epoch_seconds: of them, in the epoch that is under way.
        commits: of the code that trained so far: several where a run went on with other code.
    """

    epoch: int = 0
    step: int = 0
    history: list[EpochMetrics] = field(default_factory=list)
    train_seconds: float = 0.0
    step_seconds: float = 0.0
    epoch_seconds: float = 0.0
    commits: list[str] = field(default_factory=list)


@dataclass
class Training:
    """A run's moving parts.

    Args:
        next_checkpoint: when one is due, on the clock of time.monotonic.
        evaluation: of the last finished epoch's weights; None without a validation part.
    """

    config: Config
    run_dir: Path
    data: DeviceData
    execution: Execution
    step: TrainStep
    schedule: Schedule
    position: Position
    next_checkpoint: float
    evaluation: Evaluation | None = None

    @property
    def train_seconds(self) -> float:
        return self.position.train_seconds + self.position.epoch_seconds

    @property
    def images_per_second(self) -> float | None:
        done = self.position.epoch * self.step.steps_per_epoch + self.position.step
        seconds = self.position.step_seconds
        return done * self.config.train.batch_size / seconds if seconds > 0 else None

    def evaluate_val(self) -> Evaluation | None:
        """Evaluate the kept net on the validation part, if there is one."""
        return self._evaluate(self.data.val) if len(self.data.val.labels) > 0 else None

    def evaluate_test(self) -> Evaluation | None:
        """Evaluate the kept net on the test set, if it was asked for."""
        return None if self.data.test is None else self._evaluate(self.data.test)

    def _evaluate(self, part: Part) -> Evaluation:
        return evaluate(self.step.kept_model, part, self.step.normalize, self.execution)


def epoch_seed(seed: int, epoch: int, stream: int) -> int:
    """Return an independent seed for each run seed, epoch and use.

    Args:
        stream: 0: order, 1: draws, 2: first flips.
    """
    words = np.random.SeedSequence([seed, epoch, stream]).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1


def build_step(
    config: Config, data: DeviceData, execution: Execution, teacher: Teacher | None = None
) -> TrainStep:
    """Build the net and all that a training step needs.

    Args:
        teacher: of `regularization.distill_from`.
    """
    settings, batch_size = config.regularization, config.train.batch_size
    torch.manual_seed(config.seed)
    model = build_model(config, len(data.class_names), data.train.images.shape[-1])
    whiten_stem(model, data.train.images, data.mean, data.std)
    model = model.to(execution.device, memory_format=execution.memory_format)  # type: ignore[call-overload]
    optimizer = build_optimizer(
        config.optimizer, model, settings.weight_decay, capturable=execution.records_graph
    )
    augmentation = Augmentation(config.augmentation, len(data.class_names))
    step = TrainStep(
        execution,
        model,
        optimizer,
        build_loss(model, execution, settings),
        data.train,
        batch_size,
        Normalizer(data.mean, data.std),
        augmentation,
        teacher=teacher,
        clip_grad_norm=settings.clip_grad_norm,
    )
    if augmentation.alternates:
        first = epoch_seed(config.seed, 0, 2)
        step.flips = AlternatingFlips(first, len(data.train.labels), data.train.images.device)
    rho, half_life = settings.sam_radius(), settings.ema_half_life_epochs
    if rho is not None:
        step.sam = SharpnessAware(model, rho, adaptive=settings.sam == "asam")
    if half_life is not None:
        step.ema = AveragedWeights(model, half_life * step.steps_per_epoch)
    if config.optimizer.lookahead_steps is not None:
        k, alpha = config.optimizer.lookahead_steps, config.optimizer.lookahead_alpha
        step.lookahead = Lookahead(model, k, alpha, step.steps_per_epoch)
    if settings.swa_start is not None:
        step.swa = EqualAverage(model)
    return step


def start_training(
    config: Config,
    run_dir: Path,
    data: DeviceData,
    execution: Execution,
    teacher: Teacher | None,
    state: dict[str, Any] | None,
) -> Training:
    """Build what trains; go on from the state of a checkpoint if there is one."""
    step = build_step(config, data, execution, teacher)
    peak_lr = config.optimizer.peak_lr(config.train.batch_size)
    schedule = Schedule(config.scheduler, peak_lr, step.steps_per_epoch, config.train.epochs)
    position = Position()
    if state is not None:
        step.load_state_dict(state)
        schedule.load_state_dict(state["schedule"])
        history = [EpochMetrics(**row) for row in state["position"]["history"]]
        position = Position(**{**state["position"], "history": history})
    commit = git_commit()  # now: the checkout may move on while this trains
    has_work = position.epoch < config.train.epochs
    if commit is not None and has_work and commit not in position.commits:
        position.commits.append(commit)
    if position.history:
        write_metrics(run_dir, position.history)  # what was trained after the checkpoint goes
    else:
        (run_dir / METRICS).unlink(missing_ok=True)
    full = data.train.images.shape[-1]
    step.set_image_size(train_image_size(config.train, position.epoch, full))
    if execution.records_graph:
        step.record_graph()
    due = time.monotonic() + config.train.checkpoint_interval_seconds
    return Training(config, run_dir, data, execution, step, schedule, position, due)


def train(
    training: Training, on_epoch: OnEpoch | None, stop: StopRequest, trackers: Trackers
) -> None:
    """Train to the last epoch.

    Raises:
        Diverged, PrunedRun, Interrupted: what ended it before.
        OSError: a file could not be written; the checkpoints are as they were.
    """
    settings, position = training.config.train, training.position
    progress = RunProgress(
        training.step.steps_per_epoch,
        settings.batch_size,
        settings.epochs,
        position.epoch,
        position.step,
        settings.progress,
    )
    trackers.begin(position.history)
    with progress:
        while position.epoch < settings.epochs:
            metrics = _epoch(training, progress, stop)
            progress.end_epoch(metrics, training.images_per_second or math.nan)
            trackers.update(position.history)
            if on_epoch is not None:
                on_epoch(metrics)


def save_checkpoint(training: Training) -> None:
    state = {
        "position": asdict(training.position),
        "schedule": training.schedule.state_dict(),
        "data_fingerprint": training.data.fingerprint,
        "precision": training.execution.precision,
        **training.step.state_dict(),
    }
    teacher = training.config.regularization.distill_from_digest
    if teacher is not None:
        state["teacher"] = teacher
    write_checkpoint(training.run_dir, state)


class _Stopwatch:
    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        last, self._last = self._last, time.perf_counter()
        return self._last - last


def _epoch(training: Training, progress: RunProgress, stop: StopRequest) -> EpochMetrics:
    """Finish the epoch that is under way and record it."""
    watch = _Stopwatch()
    position, step = training.position, training.step
    lr = _train_steps(training, progress, stop, watch)
    loss, accuracy = step.take_sums(step.steps_per_epoch * len(step.indices))
    _count_step_time(position, watch)
    _require_finite("training", loss, position)
    swa_start = training.config.regularization.swa_start
    if swa_start is not None and position.epoch + 1 > swa_start * training.config.train.epochs:
        step.average_epoch()
    training.evaluation = training.evaluate_val()
    val = training.evaluation
    if val is not None:
        _require_finite("validation", val.loss, position)
    training.schedule.end_epoch(None if val is None else val.loss)
    position.epoch_seconds += watch.lap()
    metrics = EpochMetrics(
        epoch=position.epoch + 1,
        lr=lr,
        train_loss=loss,
        train_accuracy=accuracy,
        val_loss=None if val is None else val.loss,
        val_accuracy=None if val is None else val.accuracy,
        epoch_seconds=position.epoch_seconds,
    )
    position.history.append(metrics)
    position.epoch += 1
    position.step = 0
    position.train_seconds += position.epoch_seconds
    position.epoch_seconds = 0.0
    write_metrics(training.run_dir, position.history)
    if position.epoch == training.config.train.epochs:
        save_checkpoint(training)
    return metrics


def _require_finite(part: str, loss: float, position: Position) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the {part} loss of epoch {position.epoch + 1} is {loss}")


def _train_steps(
    training: Training, progress: RunProgress, stop: StopRequest, watch: _Stopwatch
) -> float:
    """Run the epoch's remaining steps and return the last learning rate."""
    config, position, schedule = training.config, training.position, training.schedule
    batch_size, steps = config.train.batch_size, training.step.steps_per_epoch
    generator = torch.Generator().manual_seed(epoch_seed(config.seed, position.epoch, 0))
    order = torch.randperm(len(training.data.train.labels), generator=generator)
    order = order.to(training.execution.device)
    full = training.data.train.images.shape[-1]
    training.step.set_image_size(train_image_size(config.train, position.epoch, full))
    progress.begin_epoch()
    if position.step == 0:
        # What the epoch draws: augmentation, dropout, stochastic depth.
        torch.manual_seed(epoch_seed(config.seed, position.epoch, 1))
    first = position.epoch * steps
    for i in range(position.step, steps):
        indices = order[i * batch_size : (i + 1) * batch_size]
        training.step(indices, schedule.lr(first + i), first + i)
        position.step = i + 1
        progress.end_step()
        _checkpoint_if_due(training, stop, watch)
    return schedule.lr(first + steps - 1)


def _checkpoint_if_due(training: Training, stop: StopRequest, watch: _Stopwatch) -> None:
    due = time.monotonic() >= training.next_checkpoint
    if not due and stop.signal_number is None:
        return
    # Reading the loss also waits for the device, so that its time counts as training.
    _require_finite("training", training.step.loss_sum.item(), training.position)
    _count_step_time(training.position, watch)
    save_checkpoint(training)
    interval = training.config.train.checkpoint_interval_seconds
    training.next_checkpoint = time.monotonic() + interval
    if stop.signal_number is not None:
        raise Interrupted
    watch.lap()  # writing the checkpoint is not training


def _count_step_time(position: Position, watch: _Stopwatch) -> None:
    seconds = watch.lap()
    position.step_seconds += seconds
    position.epoch_seconds += seconds
