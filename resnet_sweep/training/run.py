"""One run from its configuration to its folder."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from resnet_sweep.config import Config
from resnet_sweep.config.errors import (
    ConfigError,
    DataError,
    RunFolderError,
    UserError,
    one_line,
    require,
)
from resnet_sweep.data.device import DeviceData, place_data
from resnet_sweep.data.registry import count_classes, find_image_size
from resnet_sweep.model.budget import Cost, check_budget
from resnet_sweep.records.checkpoint import read_checkpoint
from resnet_sweep.records.run_folder import (
    RESULT,
    RunResult,
    as_recorded,
    finished_result,
    write_result,
)
from resnet_sweep.records.run_lock import holding_run
from resnet_sweep.records.run_state import BeyondRepair, Stage, run_state
from resnet_sweep.system.environment import PeakMemory, device_name, git_commit, versions
from resnet_sweep.system.stopping import StopRequest, stop_on_signals
from resnet_sweep.training.device import DTYPES, Execution, choose_execution
from resnet_sweep.training.loop import (
    Diverged,
    Interrupted,
    OnEpoch,
    PrunedRun,
    start_training,
    train,
)
from resnet_sweep.training.products import write_products
from resnet_sweep.training.progress import log_to_file
from resnet_sweep.training.teacher import Teacher, load_teacher
from resnet_sweep.training.trackers.sending import Trackers, send_rest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What a run needs from outside: its cost within budget, a device, its data, its teacher."""

    cost: Cost
    execution: Execution
    data: DeviceData
    teacher: Teacher | None


def prepare(config: Config) -> Prepared:
    """Find whatever a user can have got wrong, before anything is written.

    The data stay in memory for the next call.

    Raises:
        DataError: the data cannot be read.
        UserError: budget, device, or what does not fit the data.
    """
    with _reading():
        num_classes, image_size = count_classes(config.data), find_image_size(config.data)
    cost = check_budget(config, num_classes, image_size)
    _set_switches(config.train.deterministic)  # before a teacher's first pass
    execution = choose_execution(config.train)
    try:
        with _reading():
            data = place_data(config.data, execution.device, with_test=config.evaluate_test)
    except torch.OutOfMemoryError as error:
        allowed = f"its memory is too small for the data: {error}"
        raise ConfigError("train.device", execution.device, allowed) from error
    images = len(data.train.labels)
    allowed = f"must be at most the number of training images, {images}"
    require(config.train.batch_size <= images, "train.batch_size", config.train.batch_size, allowed)
    teacher = load_teacher(config, data, execution)
    # The device stays; only `train.compile=auto` waits to know how many images there are.
    work_ahead = float(cost.multiply_adds) * images * config.train.epochs
    execution = choose_execution(config.train, work_ahead)
    return Prepared(cost, execution, data, teacher)


@contextmanager
def _reading() -> Iterator[None]:
    """Tell data that cannot be read from settings that do not fit them."""
    try:
        yield
    except UserError as error:
        if isinstance(error, ConfigError) and error.field != "data.root":
            raise
        raise DataError(str(error)) from error


def run_training(
    config: Config,
    run_dir: Path,
    on_epoch: OnEpoch | None = None,
    objective: str | None = None,
) -> RunResult:
    """Train one configuration and leave its run folder, whatever happens.

        look whether the folder's run is complete (then nothing is left to do)
        prepare budget, device and data          (a user's mistake ends here)
        hold the run folder
        build net, optimizer, schedule, averaged weights
        go on from the folder's newest checkpoint, if it has one
        for each epoch:
            for each batch: gather, augment, forward, backward, update
            evaluate on the validation part; record; on_epoch
        read the test set once, if asked to
        write weights, predictions, result, figures; tell the trackers

    Args:
        on_epoch: called after each epoch; raises PrunedRun to end the run.
        objective: field of the result by which the run is judged; null: what its result
            names, if it has one, or val_accuracy.

    Raises:
        UserError: the configuration cannot be trained, or not in this folder.
        KeyboardInterrupt: a signal came too late to interrupt the run, whose folder is as it
            should be; where no `stop_on_signals` around this waits for it.
    """
    folder = run_state(run_dir, config.evaluate_test)
    if folder.stage is Stage.BEYOND_REPAIR:
        raise BeyondRepair(folder.problem)
    config, before, is_read = as_recorded(config), folder.completed, False
    if before is not None:
        objective = objective or before.objective_name
        is_read = before.test_accuracy is not None
        config = replace(config, evaluate_test=config.evaluate_test or is_read)
    if folder.stage is Stage.COMPLETE:
        assert before is not None
        with holding_run(run_dir, config):
            send_rest(config, run_dir)  # trackers may lack a part
        return before
    reads_test = config.evaluate_test and not is_read  # once is enough
    # A signal ends this at once: nothing is lost.
    prepared = prepare(replace(config, evaluate_test=reads_test))
    with stop_on_signals() as stop:
        threads = _threads(config.train.num_threads)
        with holding_run(run_dir, config), log_to_file(run_dir), threads:
            if before is None and finished_result(run_dir) is not None:
                problem = "another process has completed this run in the meantime"
                raise RunFolderError(f"{run_dir}: {problem}")
            state = read_checkpoint(run_dir)
            prepared = _as_begun(config, run_dir, prepared, state)
            execution = prepared.execution
            log.info("trains on %s in %s", device_name(execution.device), execution.precision)
            if before is None:
                (run_dir / RESULT).unlink(missing_ok=True)  # missing: a run that is under way
            trackers = Trackers(config, run_dir)
            try:
                result = _attempt(config, run_dir, prepared, state, on_epoch, stop, trackers)
            except BaseException:
                trackers.close()
                raise
            if before is not None:
                result = _repaired(result, before)
            result = replace(result, objective_name=objective or "val_accuracy")
            if result.status == "completed":
                result.objective = getattr(result, result.objective_name)
            if before is None or result.status == "completed":  # else it stays complete
                result = _written(run_dir, result)
            trackers.end(result)
        if result.status != "interrupted":
            stop.end_program()
        return result


def _as_begun(
    config: Config, run_dir: Path, prepared: Prepared, state: dict[str, Any] | None
) -> Prepared:
    """Return `prepared` as it was when the run began: what `auto` came to stays.

    Raises:
        RunFolderError: data or teacher are others than then.
    """
    if state is None:
        return prepared
    if state["data_fingerprint"] != prepared.data.fingerprint:
        problem = "the data have changed since this run began; start a new one"
        raise RunFolderError(f"{run_dir}: {problem}")
    digest = config.regularization.distill_from_digest
    if state.get("teacher", digest) != digest:
        problem = "regularization.distill_from holds another net than when this run began"
        raise RunFolderError(f"{run_dir}: {problem}; start a new one")
    if config.train.precision != "auto":
        return prepared
    execution = prepared.execution
    # Checkpoints from before this key: `auto` was fp32 on every CPU.
    older = "fp32" if execution.device.type == "cpu" else execution.precision
    execution = replace(execution, dtype=DTYPES[state.get("precision", older)])
    if execution == prepared.execution:
        return prepared
    teacher = load_teacher(config, prepared.data, execution)
    return replace(prepared, execution=execution, teacher=teacher)


def _attempt(
    config: Config,
    run_dir: Path,
    prepared: Prepared,
    state: dict[str, Any] | None,
    on_epoch: OnEpoch | None,
    stop: StopRequest,
    trackers: Trackers,
) -> RunResult:
    """Train and return the result; what ends a run early becomes its status."""
    execution = prepared.execution
    training, test, error = None, None, None
    peak_memory = PeakMemory(execution.device)
    try:
        training = start_training(
            config, run_dir, prepared.data, execution, prepared.teacher, state
        )
        if stop.signal_number is not None:  # while the data were read, within another context
            raise Interrupted
        train(training, on_epoch, stop, trackers)
        test = write_products(training)
        ending = "completed"
    except UserError:
        raise
    except (PrunedRun, Interrupted, Diverged) as reason:
        ending, error = _early_ending(reason, stop)
        log.warning("%s: %s", ending, error)
    except Exception as reason:
        ending = "out_of_memory" if _is_out_of_memory(reason) else "failed"
        error = one_line(reason)
        log.exception("%s: %s", ending, error)
    history = [] if training is None else training.position.history
    last = history[-1] if history else None
    commits = [git_commit() or ""] if training is None else training.position.commits
    return RunResult(
        status=ending,
        num_params=prepared.cost.num_params,
        multiply_adds=prepared.cost.multiply_adds,
        epochs=len(history),
        val_accuracy=None if last is None else last.val_accuracy,
        val_loss=None if last is None else last.val_loss,
        test_accuracy=None if test is None else test.accuracy,
        test_loss=None if test is None else test.loss,
        objective=None,
        train_seconds=0.0 if training is None else training.train_seconds,
        images_per_second=None if training is None else training.images_per_second,
        peak_memory_bytes=peak_memory.bytes(),
        seed=config.seed,
        device=device_name(execution.device),
        precision=execution.precision,
        versions=versions(),
        git_commit=", ".join(commits) or None,
        data_fingerprint=prepared.data.fingerprint,
        error=error,
    )


def _early_ending(reason: Exception, stop: StopRequest) -> tuple[str, str | None]:
    """Return the status and the error of a run that did not complete."""
    if isinstance(reason, Interrupted):
        number = stop.signal_number  # none outside the main thread
        return "interrupted", signal.Signals(number).name if number else None
    return ("pruned" if isinstance(reason, PrunedRun) else "diverged"), str(reason) or None


def _repaired(result: RunResult, before: RunResult) -> RunResult:
    """Return the result of a run that had completed with what stays of its first one."""
    result = replace(result, git_commit=result.git_commit or before.git_commit)
    if before.test_accuracy is None:
        return result
    return replace(result, test_accuracy=before.test_accuracy, test_loss=before.test_loss)


def _written(run_dir: Path, result: RunResult) -> RunResult:
    """Write the result; a run without one has failed, whatever came before."""
    try:
        write_result(run_dir, result)
    except OSError as error:
        log.error("%s could not be written: %s", RESULT, error)
        return replace(result, status="failed", error=f"{one_line(error)} ({RESULT})")
    return result


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # On a CPU, and from CUDA's own libraries, it is a plain RuntimeError.
    signs = ("can't allocate memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Give a run so many CPU threads; the next one in this process may leave them to torch."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)


def _set_switches(deterministic: bool) -> None:
    """Set the process-wide switches that a run's settings decide."""
    torch.backends.cudnn.benchmark = not deterministic
    if torch.are_deterministic_algorithms_enabled() != deterministic:
        # Only then: the call imports torch's compiler, which takes seconds.
        torch.use_deterministic_algorithms(deterministic)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
