"""A sweep from the command line to its results, begun or resumed."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import asdict, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from hydra.core.utils import env_override
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from resnet_sweep.config import Config
from resnet_sweep.config.compose import key_of, refuse_hidden_widths
from resnet_sweep.config.errors import ConfigError, UserError, require
from resnet_sweep.data.registry import check_ahead, count_classes, find_image_size
from resnet_sweep.records.folder_kind import refuse_other_kinds
from resnet_sweep.records.sweep_folder import SETTINGS, SWEEP_ID, SweepRecord, write_sweep_record
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.conf_files import CONF, SWEEPER, found_files, freeze_conf
from resnet_sweep.search.proposals import DataShape, base_config
from resnet_sweep.search.settings import (
    SweepSettings,
    base_values,
    blamed_on_frozen,
    frozen_composer,
    frozen_files,
    read_settings,
    write_settings,
)
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_building import build_space
from resnet_sweep.search.space_parsing import parse_override, to_argument
from resnet_sweep.sweep.checks import (
    check_any_fits,
    check_choices,
    check_rungs,
    check_space,
    check_sweep,
    fixed_length,
    plain_values,
    read_options,
)
from resnet_sweep.sweep.continuing import STUDY_NAME, check_study, continue_frozen, has_trained
from resnet_sweep.sweep.extension import Extension, extend_study, find_extension
from resnet_sweep.sweep.first_trials import enqueue_starts, find_starts
from resnet_sweep.sweep.forecast import TIMED_NETS, dry_run, plan_hours
from resnet_sweep.sweep.results import (
    RESULTS,
    best_trials,
    describe_best,
    retrain_command,
    write_results,
)
from resnet_sweep.system.console import command, say
from resnet_sweep.system.hardware import num_cores, visible_gpus
from resnet_sweep.training.trackers.sending import check_trackers, close_group
from resnet_sweep.workers.coordination import hold_or_refuse
from resnet_sweep.workers.launchers import (
    check_device,
    choose_launcher,
    default_n_jobs,
    describe_workers,
    is_elsewhere,
    is_local,
    threads_of_worker,
)
from resnet_sweep.workers.status import Status
from resnet_sweep.workers.study import open_own_study, prepare_study
from resnet_sweep.workers.supervisor import (
    Supervisor,
    TooManyFailures,
    exit_if_none_completed,
    supervise,
)

# Of the params that the package gives a sweep: those that the user's own files replace.
YIELDING = ("train.epochs", "model.max_multiply_adds", "tracker")


class SweepCommand:
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
        self.arguments = arguments
        self._extension: Extension | None = None

    def run(self) -> None:
        """Check, freeze, train, and leave the results."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with TemporaryDirectory() as copies:
            self.files = found_files(self.config, Path(copies))
            self.folder = self._find_folder()
            self._check_folder()
            if (self.folder / SETTINGS).exists() and has_trained(self.folder):
                self._go_on_with_frozen_files()
            with env_override(dict(self.files.env_set)):  # a network of the user's may read them
                self._run()

    def _find_folder(self) -> Path:
        """Return where the sweep lies: hydra.sweep.dir where the user gives it."""
        key, overrides = "hydra.sweep.dir", self.config.hydra.overrides.hydra
        on_line = any(key_of(o) == key for o in overrides)
        if on_line or self.files.own_keys(plain_overrides(self.arguments), [key]):
            return Path(self.config.hydra.sweep.dir)
        return Path(self.options.folder) / self.name

    def _check_folder(self) -> None:
        """Refuse a folder that is somebody else's, or holds a study of another name.

        Raises:
            UserError: as it says.
        """
        conf, settings = self.folder / CONF, self.folder / SETTINGS
        is_named = self.folder == Path(self.options.folder) / self.name
        field = STUDY_NAME if is_named else "hydra.sweep.dir"
        refuse_other_kinds(self.folder, SETTINGS, field)
        if conf.exists() and not (settings.exists() or (self.folder / SWEEP_ID).exists()):
            raise UserError(f"{conf}: is there already and no sweep's: take another folder")
        if not settings.exists():
            return
        name = read_settings(self.folder).study_name
        if self.options.study_name is None:
            self.name = name
        if name != self.name:
            place = f"hydra.sweep.dir={to_argument(str(self.folder))}"
            go_on = _changed_command(f"{STUDY_NAME}={to_argument(name)}", place)
            called = f"the study in {self.folder} is called {name}; go on with: {go_on}"
            raise UserError(f"{STUDY_NAME}={self.name}: {called}")

    def _go_on_with_frozen_files(self) -> None:
        """Read the options of the sweep and its space from what it froze, not from today's files.

        Who trains, such as the launcher and its options, follows today's files.
        """
        settings = read_settings(self.folder)
        frozen = frozen_files(self.folder, settings)
        sweep = ("hydra.sweeper", "hydra/sweeper")
        overrides = [o for o in self.config.hydra.overrides.hydra if key_of(o).startswith(sweep)]
        overrides += plain_overrides(self.arguments)
        with blamed_on_frozen(self.folder):
            space = SearchSpace.from_json(settings.space)
            check_space(space, frozen_composer(self.folder, settings))
            composed = frozen.compose(overrides)
        changed = self.files.changed_since(frozen)
        self.files = frozen
        self.config = self.config.copy()
        OmegaConf.set_readonly(self.config.hydra, None)
        with read_write(self.config.hydra), open_dict(self.config):
            self.config.hydra.sweeper = composed.hydra.sweeper
            self.config.search_space = composed.search_space
        self.options = read_options(self.config)
        if changed:
            also = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            where = f"{changed[0]}{also} changed since the sweep began"
            say(f"{where}: it goes on with what it froze in {frozen.folder}")

    def _run(self) -> None:
        self.space = self._build_space()
        composer = Composer(self.files, self.space.fixed_overrides)
        base = base_config(self.space, composer)
        check_sweep(self.options, self.space, base, composer)
        if not has_trained(self.folder):
            check_choices(self.space, self.files)
            refuse_hidden_widths(base, self.arguments)
        check_ahead(base.data)
        if is_local(self.config):
            check_device(base.train.device)
        shape = DataShape(count_classes(base.data), find_image_size(base.data))
        check_any_fits(self.space, composer, shape)
        self._starts = find_starts(self.space, composer, self.options.start_from, say)
        if self.options.hours is not None:
            self._plan(composer, base, self.options.hours)
            composer = Composer(self.files, self.space.fixed_overrides)
            base = base_config(self.space, composer)
        if self.options.dry_run:
            at_once, threads = self._side_by_side(base)
            if is_elsewhere(self.config):
                say(f"timed on this machine; the trials run elsewhere ({self._launcher})")
            n_trials, rungs = self.options.n_trials, self.options.rungs
            say(f"draws proposals and times an epoch of {TIMED_NETS} nets")
            report = dry_run(
                self.space, composer, n_trials, rungs=rungs, at_once=at_once, threads=threads
            )
            say(report)
            return
        check_trackers(base.tracker)
        if not (self.folder / SETTINGS).exists():
            self._find_extension(composer)  # while nothing is written
        with hold_or_refuse(self.folder, "hydra.sweeper.folder", self._in_use):
            settings = self._settings(base)
            study = self._begin(settings)
            say(f"sweep folder: {self.folder}")
            if is_local(self.config):
                say(describe_workers(settings.workers, self.options.n_jobs is not None))
            elif self.options.n_jobs is None and is_elsewhere(self.config):
                say(f"workers: 1 job of {self._launcher}; hydra.sweeper.n_jobs=N takes more")
            study = self._prepare_study(study)
            supervisor = self._supervisor(settings, study)
            is_over = False
            try:
                self._supervise(supervisor, settings.workers)
                is_over = True
            finally:
                self._report(study, supervisor)
                close_group(base.tracker, self.folder, is_over)
            if supervisor.progress.trained or not best_trials(study):  # else all were taken over
                exit_if_none_completed(supervisor.progress, f"trials of {self.name}")

    def _build_space(self, *more: str) -> SearchSpace:
        node = OmegaConf.select(self.config, "search_space")
        space = {} if node is None else plain_values(node)
        params = dict(self.options.params)
        if SWEEPER not in self.files.own:  # of the package's the user's own files replace some
            packaged = OmegaConf.load(self.files.folder / SWEEPER).params
            weak = [k for k in YIELDING if params.get(k) == packaged.get(k)]
            for key in self.files.own_keys(plain_overrides(self.arguments), weak):
                params.pop(key, None)
        overrides = [f"{key}={value}" for key, value in params.items()]
        return build_space(space, [*overrides, *self.arguments, *more])

    def _plan(self, composer: Composer, base: Config, hours: float) -> None:
        """Fit what is not fixed into the hours; a sweep that goes on keeps its own plan."""
        has_trials, has_epochs = fixed_length(self.config)
        fixed_trials = self.options.n_trials if has_trials else None
        fixed_epochs = base.train.epochs if has_epochs else None
        if (self.folder / SETTINGS).exists():
            old = read_settings(self.folder)
            n_trials, epochs = fixed_trials or old.n_trials, fixed_epochs or old.epochs
        else:
            allowed = (
                f"times steps and counts GPUs here, and {self._launcher} trains elsewhere: give "
                "hydra.sweeper.n_trials, train.epochs and hydra.sweeper.timeout_seconds instead"
            )
            require(not is_elsewhere(self.config), "hydra.sweeper.hours", hours, allowed)
            at_once, threads = self._side_by_side(base)
            num_gpus = min(self._num_workers, len(visible_gpus()))
            plan = plan_hours(
                self.space,
                composer,
                hours,
                num_gpus,
                fixed_trials,
                fixed_epochs,
                self.options.rungs,
                at_once=at_once,
                threads=threads,
            )
            say(plan.text)
            if plan.smaller:
                # A sweep of its own, whose plan is made.
                gone = ("hydra.sweeper.hours", STUDY_NAME)
                say(f"a smaller sweep: {_changed_command(*plan.smaller, without=gone)}")
            n_trials, epochs = plan.n_trials, plan.epochs
        check_rungs(self.options.rungs, epochs)
        self.options = replace(self.options, n_trials=n_trials)
        self.space = self._build_space(f"train.epochs={epochs}")

    @property
    def _num_workers(self) -> int:
        return self.options.n_jobs or default_n_jobs(self.config)

    @property
    def _launcher(self) -> str:
        return f"hydra/launcher={self.config.hydra.runtime.choices['hydra/launcher']}"

    def _side_by_side(self, base: Config) -> tuple[int, int]:
        """Return how many trials the cores train at once, and with how many threads each."""
        n_jobs = self._num_workers
        threads = threads_of_worker(n_jobs)
        return min(n_jobs, max(1, num_cores() // (base.train.num_threads or threads))), threads

    def _in_use(self, holder: str) -> ConfigError:
        allowed = f"a sweep with this name is running in {self.folder} ({holder})"
        return ConfigError(STUDY_NAME, self.name, allowed)

    def _begin(self, settings: SweepSettings) -> optuna.Study:
        """Return the study and write what the workers read.

        Raises:
            UserError: this does not continue the sweep that is there.
        """
        for line in continue_frozen(self.folder, settings):
            say(line)
        directions = self.options.directions
        study = open_own_study(self.name, settings.storage, self.folder, directions)
        check_study(self.folder, study)
        if not has_trained(self.folder):
            shutil.rmtree(self.folder / CONF, ignore_errors=True)
        freeze_conf(self.folder, self.files.folder)
        write_settings(self.folder, settings)
        record = SweepRecord(
            study_name=self.name,
            objectives=settings.objectives,
            directions=list(directions),
            n_trials=settings.n_trials,
            epochs=settings.epochs,
            space=self.space.describe(),
            overrides=self.space.fixed_overrides,
            sampler=str(settings.sampler["_target_"]).rpartition(".")[2],
            pruner=settings.pruner["name"],
            n_startup_trials=settings.sampler.get("n_startup_trials"),
        )
        write_sweep_record(self.folder, record)
        return study

    def _settings(self, base: Config) -> SweepSettings:
        options, hours = self.options, self.options.hours
        return SweepSettings(
            study_name=self.name,
            storage=options.storage,
            space=self.space.to_json(),
            base=base_values(base),
            objectives=options.objectives,
            rungs=options.rungs,
            sampler=plain_values(self.config.hydra.sweeper.sampler),
            pruner=asdict(options.pruner),
            custom_search_space=options.custom_search_space,
            n_trials=options.n_trials,
            noise_repeats=options.repeats,
            max_rejections=options.max_rejections,
            trial_timeout_seconds=options.trial_timeout_seconds,
            workers=self._num_workers,
            last_start=None if hours is None else time.time() + 3600 * hours,
            primary=self.files.primary,
            environment=dict(self.files.environment),
            own_files=list(self.files.own),
            env_set=dict(self.files.env_set),
            at_start={
                "start_from": options.start_from,
                "extend_from": options.extend_from,
                "noise_repeats": options.noise_repeats,
            },
        )

    @cached_property
    def _frozen(self) -> Composer:
        return frozen_composer(self.folder, read_settings(self.folder))

    def _prepare_study(self, study: optuna.Study) -> optuna.Study:
        def prepare(study: optuna.Study) -> None:
            extension = self._find_extension(self._frozen)
            if extension is not None:
                extend_study(study, extension, say)
            enqueue_starts(study, self._starts, say)

        return prepare_study(study, prepare)

    def _find_extension(self, composer: Composer) -> Extension | None:
        """Return what the study takes over from another; it takes time and is done once."""
        options = self.options
        if self._extension is None and options.extend_from is not None:
            old = Path(options.extend_from)
            questions = (options.objectives, options.rungs)
            self._extension = find_extension(self.space, composer, old, *questions)
        return self._extension

    def _supervisor(self, settings: SweepSettings, study: optuna.Study) -> Supervisor:
        options, n_trials = self.options, settings.n_trials
        timeout = options.timeout_seconds
        return Supervisor(
            self.folder,
            study,
            choose_launcher(self.folder, settings.workers, self.config, self.context),
            Status(
                study,
                settings.objectives,
                n_trials,
                options.status_seconds,
                last_start=settings.last_start,
            ),
            n_trials,
            options.max_failure_rate * n_trials,
            None if timeout is None else time.monotonic() + timeout,
        )

    def _supervise(self, supervisor: Supervisor, n_jobs: int) -> None:
        """Run the workers; an interruption or too many failures end the program."""
        go_on = _changed_command(f"{STUDY_NAME}={to_argument(self.name)}")
        try:
            supervise(supervisor, n_jobs, go_on)
        except TooManyFailures as error:
            say(f"hydra.sweeper.max_failure_rate is exceeded: {error}", sys.stderr)
            sys.exit(1)
        if supervisor.timed_out:
            say(f"hydra.sweeper.timeout_seconds is over; go on with: {go_on}")

    def _report(self, study: optuna.Study, supervisor: Supervisor) -> None:
        """Write the results and say how to train the best again; nothing where none has ended."""
        supervisor.progress.refresh()
        if not supervisor.progress.counts:
            return
        supervisor.status.explain_rejections(supervisor.progress)
        best = best_trials(study)
        if not best:
            return
        write_results(self.folder, study, best)
        retrain = [retrain_command(trial, self.space, self._frozen) for trial in best]
        say(describe_best(self.folder, best, self.options.objectives, retrain))
        say(f"results: {self.folder / RESULTS}")


def plain_overrides(arguments: list[str]) -> list[str]:
    """Return the overrides that every trial has."""
    return [o for o in arguments if not parse_override(o).is_sweep_override()]


def _changed_command(*changes: str, without: tuple[str, ...] = ()) -> str:
    """Return this program's command line with other overrides."""
    gone = {*without, *(change.partition("=")[0] for change in changes)}
    kept = [a for a in sys.argv[1:] if key_of(a) not in gone]
    return command("train", *kept, *changes)
