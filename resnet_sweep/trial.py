"""One run from its configuration to its folder."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from resnet_sweep.compose import to_dict
from resnet_sweep.config import Config
from resnet_sweep.curves import draw_curves
from resnet_sweep.data.dataset import count_classes
from resnet_sweep.data.device import DeviceData, place_data
from resnet_sweep.device import Execution, choose_execution
from resnet_sweep.environment import device_name, git_commit, peak_memory_bytes, versions
from resnet_sweep.errors import require
from resnet_sweep.evaluation import Evaluation, evaluate
from resnet_sweep.model.budget import Cost, check_budget
from resnet_sweep.model.diagram import draw_architecture
from resnet_sweep.model.summary import write_architecture_text
from resnet_sweep.progress import log_to_file
from resnet_sweep.records.atomic import remove_leftovers
from resnet_sweep.records.checkpoint import write_model
from resnet_sweep.records.run_folder import (
    CONFIG,
    Predictions,
    TrialResult,
    write_config,
    write_predictions,
    write_result,
)
from resnet_sweep.run_state import kept_model
from resnet_sweep.stopping import StopRequest, stop_on_signals
from resnet_sweep.training import (
    Diverged,
    Interrupted,
    OnEpoch,
    PrunedTrial,
    Training,
    save_checkpoint,
    start_training,
    train,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What a run needs from outside: its cost within budget, a device, its data."""

    cost: Cost
    execution: Execution
    data: DeviceData


def prepare(config: Config) -> Prepared:
    """Find whatever a user can have got wrong, before anything is written.

    The data stay in memory for the next call.

    Raises:
        UserError: budget, device or data.
    """
    cost = check_budget(config, count_classes(config.data))
    execution = choose_execution(config.train)
    data = place_data(config.data, execution.device, with_test=config.evaluate_test)
    image_size = data.train.images.shape[-1]
    cost = check_budget(config, len(data.class_names), image_size)
    images = len(data.train.labels)
    allowed = f"must be at most the number of training images, {images}"
    require(config.train.batch_size <= images, "train.batch_size", config.train.batch_size, allowed)
    return Prepared(cost, execution, data)


def run_trial(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> TrialResult:
    """Train one configuration and leave its run folder, whatever happens.

        prepare budget, device and data          (a user's mistake ends here)
        build net, optimizer, schedule, averaged weights
        go on from the folder's newest checkpoint, if it has one
        for each epoch:
            for each batch: gather, augment, forward, backward, update
            evaluate on the validation part; record; on_epoch
        read the test set once, if asked to
        write weights, predictions, figures, result

    Args:
        on_epoch: called after each epoch; raises PrunedTrial to end the run.

    Raises:
        UserError: the configuration cannot be trained; nothing is written.
    """
    prepared = prepare(config)
    run_dir.mkdir(parents=True, exist_ok=True)
    remove_leftovers(run_dir)
    if not (run_dir / CONFIG).exists():
        write_config(run_dir, config)
    _set_switches(config)
    with log_to_file(run_dir), stop_on_signals() as stop:
        result = _attempt(config, run_dir, prepared, on_epoch, stop)
        _write_result(run_dir, result)
    return result


def _attempt(
    config: Config,
    run_dir: Path,
    prepared: Prepared,
    on_epoch: OnEpoch | None,
    stop: StopRequest,
) -> TrialResult:
    """Train and return the result; what ends a run early becomes its status."""
    training: Training | None = None
    status, error = "completed", None
    try:
        training = start_training(config, run_dir, prepared.data, prepared.execution)
        train(training, on_epoch, stop)
        return _complete(training, prepared)
    except PrunedTrial as reason:
        status, error = "pruned", str(reason) or None
        assert training is not None
        save_checkpoint(training)
    except Interrupted:
        status, error = "interrupted", f"signal {stop.signal_number}"
    except Diverged as reason:
        status, error = "diverged", str(reason)
    except Exception as reason:
        status = "out_of_memory" if _is_out_of_memory(reason) else "failed"
        error = " ".join(f"{type(reason).__name__}: {reason}".split())
        log.exception("the run %s", status)
    log.warning("%s: %s", status, error)
    return _result(config, prepared, training, status, error)


def _complete(training: Training, prepared: Prepared) -> TrialResult:
    """Evaluate, write the products of a finished run and return its result."""
    config, run_dir = training.config, training.run_dir
    val = training.evaluation or training.evaluate_kept()
    test = _evaluate_test(training)
    write_model(run_dir, _model_content(training))
    if val is not None:
        write_predictions(run_dir, _predictions(training, val))
    if config.train.figures:
        _draw(training)
    result = _result(config, prepared, training, "completed", None)
    if val is not None:
        result.val_accuracy = result.objective = val.accuracy
        result.val_loss = val.loss
    if test is not None:
        result.test_accuracy, result.test_loss = test.accuracy, test.loss
    return result


def _draw(training: Training) -> None:
    run_dir, image_size = training.run_dir, training.data.train.images.shape[-1]
    draw_curves(training.position.history, run_dir)
    draw_architecture(training.model, image_size, run_dir / "architecture.png")
    write_architecture_text(training.model, image_size, run_dir / "architecture.txt")


def _evaluate_test(training: Training) -> Evaluation | None:
    if training.data.test is None:
        return None
    model = kept_model(training.model, training.ema)
    return evaluate(model, training.data.test, training.normalize, training.execution)


def _result(
    config: Config,
    prepared: Prepared,
    training: Training | None,
    status: str,
    error: str | None,
) -> TrialResult:
    history = [] if training is None else training.position.history
    last = history[-1] if history else None
    device = prepared.execution.device
    return TrialResult(
        status=status,
        num_params=prepared.cost.num_params,
        multiply_adds=prepared.cost.multiply_adds,
        epochs=len(history),
        val_accuracy=None if last is None else last.val_accuracy,
        val_loss=None if last is None else last.val_loss,
        test_accuracy=None,
        test_loss=None,
        objective=None,
        train_seconds=0.0 if training is None else training.train_seconds,
        images_per_second=None if training is None else training.images_per_second,
        peak_memory_bytes=peak_memory_bytes(device),
        seed=config.seed,
        device=device_name(device),
        versions=versions(),
        git_commit=git_commit(),
        data_fingerprint=prepared.data.fingerprint,
        error=error,
    )


def _model_content(training: Training) -> dict[str, object]:
    data = training.data
    model = kept_model(training.model, training.ema)
    return {
        "config": to_dict(training.config),
        "class_names": list(data.class_names),
        "image_size": data.train.images.shape[-1],
        "mean": data.mean.cpu(),
        "std": data.std.cpu(),
        "state_dict": {name: value.cpu() for name, value in model.state_dict().items()},
    }


def _predictions(training: Training, val: Evaluation) -> Predictions:
    data = training.data
    return Predictions(
        indices=data.val_indices,
        labels=data.val.labels.cpu().numpy(),
        probabilities=val.probabilities.half().cpu().numpy(),
        class_names=np.array(data.class_names),
    )


def _write_result(run_dir: Path, result: TrialResult) -> None:
    try:
        write_result(run_dir, result)
    except OSError as error:
        log.error("result.json could not be written: %s", error)


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # On a CPU torch raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _set_switches(config: Config) -> None:
    """Set the process-wide switches that a run's settings decide."""
    if config.train.num_threads is not None:
        torch.set_num_threads(config.train.num_threads)
    torch.backends.cudnn.benchmark = not config.train.deterministic
    torch.use_deterministic_algorithms(config.train.deterministic)
    if config.train.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
