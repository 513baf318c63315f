"""A sweep from the command line to its results."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from resnet_sweep.compose import conf_dir
from resnet_sweep.config import Config
from resnet_sweep.data.dataset import count_classes
from resnet_sweep.errors import ConfigError, UserError, require
from resnet_sweep.records.sweep_folder import SweepRecord, write_sweep_record
from resnet_sweep.sweep.composer import Composer
from resnet_sweep.sweep.judge import judge
from resnet_sweep.sweep.launching import choose_launcher, default_n_jobs
from resnet_sweep.sweep.locks import FileLock
from resnet_sweep.sweep.results import (
    RESULTS,
    best_trials,
    describe_best,
    retrain_command,
    write_results,
)
from resnet_sweep.sweep.schema import SweeperConfig
from resnet_sweep.sweep.searching import build_sampler
from resnet_sweep.sweep.settings import (
    SETTINGS,
    SweepSettings,
    base_values,
    freeze_conf,
    frozen_composer,
    read_settings,
    refuse_changes,
    write_settings,
)
from resnet_sweep.sweep.space import SearchSpace
from resnet_sweep.sweep.space_check import check_space
from resnet_sweep.sweep.status import Status
from resnet_sweep.sweep.storage import connect, open_storage
from resnet_sweep.sweep.supervisor import Limits, Supervisor, TooManyFailures
from resnet_sweep.sweep.worker import load_function

LOCK = "sweep.lock"
STUDY_NAME = "hydra.sweeper.study_name"
TRIAL_DRAWS = 2000


class Sweeping:
    """One sweep of this process.

    Args:
        config: Hydra's composed configuration.
        arguments: overrides of the command line.
    """

    def __init__(self, config: DictConfig, context: HydraContext, arguments: list[str]) -> None:
        self.config = config
        self.context = context
        self.options = read_options(config)
        self.name = self.options.study_name or f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
        self.folder = sweep_folder(config, self.options, self.name)
        node = OmegaConf.select(config, "search_space") or {}
        overrides = [f"{key}={value}" for key, value in self.options.params.items()]
        plain = OmegaConf.to_container(node, resolve=True) if node else {}
        assert isinstance(plain, dict)
        self.space = SearchSpace.build(plain, [*overrides, *arguments])  # type: ignore[arg-type]

    def run(self) -> None:
        """Check, freeze, train, and leave the results."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        composer = Composer(conf_dir(), self.space.fixed_overrides)
        base = composer.config({}, None)
        self._check(base, composer)
        with self._folder_to_itself():
            settings = self._freeze(base)
            study = self._create_study(settings)
            print(f"sweep folder: {self.folder}", flush=True)
            supervisor = self._supervisor(settings, study)
            self._supervise(supervisor, settings.workers)
            self._report(study, supervisor)

    def _check(self, base: Config, composer: Composer) -> None:
        """Find what a user can have got wrong before anything is written."""
        epochs, rungs = base.train.epochs, self.options.rungs
        allowed = f"must be fewer than train.epochs={epochs}"
        require(max(rungs, default=0) < epochs, "hydra.sweeper.rungs", rungs, allowed)
        needs_val = any(name.startswith("val_") for name in self.options.objectives)
        allowed = "the objective needs a validation part"
        require(base.data.val_size > 0 or not needs_val, "data.val_size", 0, allowed)
        load_function(self.options.custom_search_space)
        build_sampler(_plain(self.config.hydra.sweeper.sampler), self.space, 0, 0)
        if self.options.storage is not None:
            connect(self.options.storage)
        check_space(self.space, composer)
        check_any_fits(self.space, composer, count_classes(base.data))

    @contextmanager
    def _folder_to_itself(self) -> Iterator[None]:
        """Hold the sweep folder against a second sweep of the same name."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK)
            is_free = lock.try_acquire()
        except OSError as error:
            raise ConfigError("hydra.sweeper.folder", self.folder, str(error)) from error
        if not is_free:
            holder = lock.path.read_text()
            allowed = f"a sweep with this name is running in {self.folder} ({holder})"
            raise ConfigError(STUDY_NAME, self.name, allowed)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.folder}: {error}") from error
        finally:
            lock.release()

    def _freeze(self, base: Config) -> SweepSettings:
        """Write what the workers read; refuse what does not continue the sweep that is there."""
        settings = self._settings(base)
        if (self.folder / SETTINGS).exists():
            refuse_changes(self.folder, read_settings(self.folder), settings)
        freeze_conf(self.folder, conf_dir())
        write_settings(self.folder, settings)
        write_sweep_record(self.folder, self._record(settings))
        return settings

    def _settings(self, base: Config) -> SweepSettings:
        options, hours = self.options, self.options.hours
        return SweepSettings(
            study_name=self.name,
            storage=options.storage,
            space=self.space.to_json(),
            base=base_values(base),
            objectives=options.objectives,
            rungs=options.rungs,
            sampler=_plain(self.config.hydra.sweeper.sampler),
            pruner=asdict(options.pruner),
            custom_search_space=options.custom_search_space,
            n_trials=options.n_trials,
            noise_repeats=options.repeats,
            max_rejections=options.max_rejections,
            trial_timeout_seconds=options.trial_timeout_seconds,
            workers=options.n_jobs or default_n_jobs(),
            last_start=None if hours is None else time.time() + 3600 * hours,
        )

    def _record(self, settings: SweepSettings) -> SweepRecord:
        return SweepRecord(
            study_name=self.name,
            objectives=settings.objectives,
            directions=list(self.options.directions),
            n_trials=settings.n_trials,
            epochs=settings.epochs,
            space=self.space.describe(),
            overrides=self.space.fixed_overrides,
            sampler=str(settings.sampler["_target_"]).rpartition(".")[2],
            pruner=settings.pruner["name"],
            n_startup_trials=settings.sampler.get("n_startup_trials"),
        )

    def _create_study(self, settings: SweepSettings) -> optuna.Study:
        return optuna.create_study(
            study_name=settings.study_name,
            storage=open_storage(settings.storage, self.folder),
            directions=self.options.directions,
            load_if_exists=True,
        )

    def _supervisor(self, settings: SweepSettings, study: optuna.Study) -> Supervisor:
        options = self.options
        timeout = options.timeout_seconds
        limits = Limits(
            settings.n_trials,
            options.max_failure_rate * settings.n_trials,
            None if timeout is None else time.monotonic() + timeout,
        )
        status = Status(study, settings.objectives, settings.n_trials, options.status_seconds)
        launcher = choose_launcher(self.folder, settings.workers, self.config, self.context)
        return Supervisor(self.folder, study, launcher, status, limits)

    def _supervise(self, supervisor: Supervisor, n_jobs: int) -> None:
        """Run the workers; an interruption or too many failures end the program."""
        try:
            with sigterm_as_interrupt():
                supervisor.run(n_jobs)
        except KeyboardInterrupt as interrupt:
            print(f"interrupted; go on with: {self._command()}", flush=True)
            number = interrupt.args[0] if interrupt.args else signal.SIGINT
            sys.exit(128 + int(number))
        except TooManyFailures as error:
            print(f"hydra.sweeper.max_failure_rate is passed: {error}", file=sys.stderr)
            sys.exit(1)
        if supervisor.timed_out:
            print(f"hydra.sweeper.timeout_seconds is over; go on with: {self._command()}")

    def _report(self, study: optuna.Study, supervisor: Supervisor) -> None:
        """Write the results and say how to train the best again."""
        print(supervisor.status.line(supervisor.ledger))
        best = best_trials(study)
        if not best:
            print("no trial has completed: there are no results")
            return
        write_results(self.folder, study, best)
        composer = frozen_composer(self.folder, self.space)
        retrain = [retrain_command(trial, self.space, composer) for trial in best]
        print(describe_best(self.folder, best, self.options.objectives, retrain))
        print(f"results: {self.folder / RESULTS}", flush=True)

    def _command(self) -> str:
        arguments = [a for a in sys.argv[1:] if not a.startswith(f"{STUDY_NAME}=")]
        named = [*arguments, f"{STUDY_NAME}={self.name}"]
        return shlex.join(["python", "-m", "resnet_sweep.train", *named])


def read_options(config: DictConfig) -> SweeperConfig:
    """Return the checked node hydra.sweeper.

    Raises:
        UserError: a value that is not allowed.
    """
    options = OmegaConf.to_object(config.hydra.sweeper)
    assert isinstance(options, SweeperConfig)
    given = options.direction
    directions = [given] if isinstance(given, str) else given
    allowed = f"follows from the objectives: {', '.join(options.directions)}"
    fits = directions is None or list(map(str, directions)) == options.directions
    require(fits, "hydra.sweeper.direction", given, allowed)
    return options


def sweep_folder(config: DictConfig, options: SweeperConfig, name: str) -> Path:
    """Return where the sweep lies: hydra.sweep.dir where the command line gives it."""
    given = [o for o in config.hydra.overrides.hydra if o.startswith("hydra.sweep.dir=")]
    return Path(config.hydra.sweep.dir) if given else Path(options.folder) / name


def check_any_fits(space: SearchSpace, composer: Composer, num_classes: int) -> None:
    """Draw at random until a net fits.

    Raises:
        UserError: none of many draws does.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    counts: list[int] = []
    for _ in range(TRIAL_DRAWS):
        try:
            config = composer.config(space.suggest(study.ask()), None)
        except UserError:
            continue
        verdict = judge(config, num_classes, getattr(config.data, "image_size", 32))
        if verdict.accepted:
            return
        counts += [] if verdict.num_params is None else [verdict.num_params]
    least = f"the smallest had {min(counts):,} parameters" if counts else "none can be built"
    raise UserError(f"search space: none of {TRIAL_DRAWS} random nets fits its budget; {least}")


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _plain(node: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return plain  # type: ignore[return-value]
