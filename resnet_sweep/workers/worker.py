"""A worker: one long-lived process that draws, trains and reports trials until nothing is left.

python -m resnet_sweep.workers.worker outputs/sweeps/my_sweep 0
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import statistics
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import Trial, TrialState

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict
from resnet_sweep.config.errors import ConfigError, DataError, UserError, one_line, require
from resnet_sweep.records.identity import signature
from resnet_sweep.records.run_folder import RecordError, RunResult
from resnet_sweep.records.sweep_folder import RUNS, SWEEP_ID, check_data
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposals import DataShape, Proposal, Rejection, propose, propose_config
from resnet_sweep.search.pruners import build_pruner, read_pruner
from resnet_sweep.search.samplers import build_sampler
from resnet_sweep.search.settings import SweepSettings, frozen_composer, read_settings
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_parsing import target
from resnet_sweep.search.trial_attributes import ACCEPTED, PLANNED, SEED
from resnet_sweep.system.importing import import_dotted
from resnet_sweep.system.locks import FileLock, this_process
from resnet_sweep.system.stopping import StopRequest, stop_on_signals
from resnet_sweep.workers.claims import Claims
from resnet_sweep.workers.coordination import WorkerExit, stop_is_requested, worker_lock, write_exit
from resnet_sweep.workers.storage import open_storage
from resnet_sweep.workers.study import Outcome
from resnet_sweep.workers.trial import BrokenFolder, Stopped, Training, TrainingTrial

log = logging.getLogger(__name__)

_parent_is_gone = threading.Event()


Prepare = Callable[[Config], DataShape]


def load_data(config: Config) -> DataShape:
    """Place the data on the device, where they stay for all trials."""
    from resnet_sweep.data.device import place_data
    from resnet_sweep.training.device import choose_execution

    device = choose_execution(config.train).device
    data = place_data(config.data, device, with_test=config.evaluate_test)
    return DataShape(len(data.class_names), data.train.images.shape[-1], data.fingerprint)


def work(
    folder: Path, index: int, run_training: Training, prepare: Prepare = load_data
) -> WorkerExit:
    """Carry out trials until the sweep is complete; return why it ended."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    worker_lock(folder, index).parent.mkdir(exist_ok=True)
    with FileLock(worker_lock(folder, index)) as lock, stop_on_signals() as stop:
        try:
            with suppress(OSError):  # a full disk shows with the first trial
                lock.write(this_process())
            began = time.monotonic()
            left = Worker(folder, index, run_training, prepare, stop).loop()
            return replace(left, seconds=time.monotonic() - began)
        except UserError as error:
            return WorkerExit("user_error", str(error))
        except BrokenFolder as error:
            return WorkerExit("broken_folder", str(error))


class Worker:
    """What a worker keeps from trial to trial."""

    def __init__(
        self, folder: Path, index: int, run_training: Training, prepare: Prepare, stop: StopRequest
    ) -> None:
        self._folder = folder
        self._run_training = run_training
        self._stop = stop
        self._settings = read_settings(folder)
        self._space = SearchSpace.from_json(self._settings.space)
        self._extend_space = load_function(self._settings.custom_search_space)
        self._study = open_study(self._settings, self._space, folder, index)
        self._claims = Claims(self._study, folder, self._settings.n_trials, index)
        base = from_dict(self._settings.base)
        self._shape = prepare(base)
        if self._shape.fingerprint is not None:
            check_data(folder, base.data, self._shape.fingerprint)
        self._rejected_in_a_row = 0

    @cached_property
    def _composer(self) -> Composer:
        """Fixed runs need none."""
        return frozen_composer(self._folder, self._settings)

    def loop(self) -> WorkerExit:
        while not self._should_stop():
            if self._is_too_late():
                return WorkerExit("done", "no time for another trial")
            trial = self._claims.claim()
            if trial is None:
                return WorkerExit("done")
            try:
                self._carry_out(trial)
            except Stopped:
                return WorkerExit("stopped")
            if self._rejected_in_a_row >= self._settings.max_rejections:
                return self._exit_after_row()
        return WorkerExit("stopped")

    def _should_stop(self) -> bool:
        asked = self._stop.signal_number is not None or _parent_is_gone.is_set()
        return asked or stop_is_requested(self._folder)

    def _is_too_late(self) -> bool:
        """Whether a trial of usual length would end after the sweep's time."""
        end = self._settings.last_start
        if end is None:
            return False
        self._claims.progress.refresh()
        taken = self._claims.progress.train_seconds
        # A pruned trial says nothing of how long a whole one takes, unless there is no other.
        seconds = taken.get("completed") or [s for each in taken.values() for s in each]
        usual = statistics.median(seconds or [0.0])
        return time.time() + usual > end

    def _carry_out(self, trial: Trial) -> None:
        if self._claims.finish_interrupted_tell(trial):
            return
        proposal = self._proposal(trial)
        if isinstance(proposal, Rejection):
            self._reject(trial, proposal)
            return
        config = proposal.config
        if ACCEPTED not in trial.user_attrs:
            counts = {"num_params": proposal.num_params, "multiply_adds": proposal.multiply_adds}
            accepted = {"signature": signature(config), "seed": config.seed, **counts}
            earlier = self._claims.accept(trial, accepted)
            if earlier is not None:
                self._reject(trial, Rejection("duplicate", f"repeats trial {earlier}", **counts))
                return
        self._train(trial, config)

    def _proposal(self, trial: Trial) -> Proposal | Rejection:
        if PLANNED in trial.user_attrs:
            return propose_config(from_dict(trial.user_attrs[PLANNED]), self._shape)
        assignments = self._space.suggest(trial)
        try:
            if self._extend_space is not None:
                self._extend_space(assignments, trial)
        except StorageInternalError:
            raise
        except Exception as error:  # the user's own: every trial would meet it
            key = f"hydra.sweeper.custom_search_space={self._settings.custom_search_space}"
            self._claims.tell(trial, TrialState.FAIL)
            raise UserError(f"{key}: {one_line(error)}") from error
        seed = int(trial.user_attrs.get(SEED, self._settings.seed))
        return propose(self._composer, assignments, seed, self._shape)

    def _reject(self, trial: Trial, rejection: Rejection) -> None:
        if PLANNED in trial.user_attrs:  # no other is drawn in its place
            error = rejection.error or rejection.reason
            self._claims.finish(trial, Outcome("failed", reason="failed", error=error))
            return
        self._rejected_in_a_row += 1
        self._claims.reject(trial, rejection, self._rejected_in_a_row)

    def _exit_after_row(self) -> WorkerExit:
        """End after too long a row of rejections.

        Raises:
            UserError: most were no duplicates: what the space holds does not fit.
        """
        bound = f"hydra.sweeper.max_rejections={self._settings.max_rejections}"
        many = f"{bound}: so many proposals in a row were rejected"
        if 2 * self._claims.duplicates > self._rejected_in_a_row:
            most = f"{self._claims.duplicates} of them as duplicates"
            return WorkerExit("done", f"the search space is exhausted; {many}, {most}")
        self._claims.progress.refresh()
        smallest = self._claims.progress.smallest_rejected
        if smallest is None:
            raise UserError(f"{many}; no net could be built")
        raise UserError(f"{many}; the smallest net had {smallest:,} parameters")

    def _train(self, trial: Trial, config: Config) -> None:
        def give_up(outcome: Outcome) -> None:
            self._claims.finish(trial, outcome)
            os._exit(os.EX_TEMPFAIL)  # the training does not answer

        if SEED not in trial.user_attrs:
            first = self._settings.seed + 1
            seeds = list(range(first, first + self._settings.noise_repeats))
            self._claims.enqueue_repeats(trial, seeds)
        run_dir = self._folder / RUNS / str(trial.number)
        training = TrainingTrial(
            trial, self._settings, self._run_training, self._should_stop, give_up
        )
        try:
            outcome = training.train(config, run_dir)
        except DataError:
            raise  # it is taken up again once they are there
        except UserError as error:  # what only the data can tell, such as too large a batch
            self._reject(trial, Rejection("unbuildable", str(error)))
            if PLANNED not in trial.user_attrs and self._is_fixed(error):
                raise  # no other draw would mend it
            return
        self._claims.finish(trial, outcome)
        self._rejected_in_a_row = 0

    def _is_fixed(self, error: UserError) -> bool:
        """Whether an error is about a field that no draw changes, on data that none changes."""
        if not isinstance(error, ConfigError) or self._extend_space is not None:
            return False
        group = error.field.partition(".")[0]
        if group == "model":  # whether a net is built depends on all of its fields
            return False
        decisive = ("data", "experiment", error.field, group)
        fields = [target(parameter.key) for parameter in self._space.parameters]
        return not any(f in decisive or f.startswith("data.") for f in fields)


def load_function(path: str | None) -> Callable[[dict[str, Any], Trial], None] | None:
    """Return the function of hydra.sweeper.custom_search_space."""
    if path is None:
        return None
    key = "hydra.sweeper.custom_search_space"
    function = import_dotted(path, key)
    allowed = "must be a function of two arguments: what was drawn, and the trial"
    require(callable(function), key, path, allowed)
    return function  # type: ignore[no-any-return]


def open_study(
    settings: SweepSettings, space: SearchSpace, folder: Path, index: int
) -> optuna.Study:
    """Return the study with this worker's own sampler."""
    storage = open_storage(settings.storage, folder)
    study = optuna.load_study(study_name=settings.study_name, storage=storage)
    trials = len(study.get_trials(deepcopy=False))
    shared = zlib.crc32(str(study.user_attrs.get(SWEEP_ID)).encode())
    study.sampler = build_sampler(settings.sampler, space, index, trials, shared)
    pruner = read_pruner(settings.pruner)
    study.pruner = build_pruner(pruner, settings.epochs, settings.rungs)
    return study


def end_with_parent() -> None:
    """Ask this process to stop when the sweep that started it is gone: its pipe closes."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)  # nothing is ever written: returns when it closes
        _parent_is_gone.set()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def run_worker(folder: Path, index: int) -> str:
    """Work with the real training, and leave word of the end for the sweep."""
    from resnet_sweep.training.run import run_training

    with suppress(RecordError):  # which the worker meets as well, and tells
        run_training = partial(run_training, objective=read_settings(folder).objectives[0])

    def train(*arguments: Any) -> RunResult:
        # A run looks for garbage first, to measure its memory. What lives between two trials,
        # most of it torch's, is frozen: to look through it takes as long as a tiny trial.
        gc.collect()
        gc.freeze()
        return run_training(*arguments)

    worker_exit = work(folder, index, train)
    write_exit(folder, index, worker_exit)
    return worker_exit.kind


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    end_with_parent()
    run_worker(Path(sys.argv[1]), int(sys.argv[2]))
    logging.shutdown()
    os._exit(0)  # torch takes half a second to take itself down, for which the sweep would wait


if __name__ == "__main__":
    main()
