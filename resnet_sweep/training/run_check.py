"""A Hydra callback: bad runs are refused before a folder exists, failed ones counted."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import env_override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from resnet_sweep.config import Config
from resnet_sweep.config.compose import key_of, refuse_hidden_widths, to_config
from resnet_sweep.config.errors import ConfigError, UserError, require
from resnet_sweep.config.experiments import refuse_choices_beside_experiments
from resnet_sweep.config.mistakes import describe
from resnet_sweep.data.registry import check_ahead
from resnet_sweep.model.budget import check_net
from resnet_sweep.records.folder_kind import refuse_other_kinds
from resnet_sweep.records.identity import without_effect
from resnet_sweep.records.run_folder import CONFIG, RESULT, is_begun, read_result
from resnet_sweep.records.run_lock import holding_run
from resnet_sweep.system.cli import (
    USAGE_ERROR,
    refuse_spaces_without_sampler,
    refuse_sweep_without_multirun,
)
from resnet_sweep.system.console import say
from resnet_sweep.training.resume import resume_command
from resnet_sweep.training.trackers.sending import check_trackers


class RefuseBadRuns(Callback):
    """Ends the program with exit status 2; Hydra would swallow an ordinary exception.

    A good run's folder comes to be with its config.json in it, so that it can be resumed from
    its first moment on.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            given = config.hydra.overrides
            refuse_sweep_without_multirun([*given.hydra, *given.task])
            refuse_choices_beside_experiments(*_words(config, given.task))
            _check_folder(config, "hydra.run.dir", config.hydra.run.dir)
            run_dir = Path(config.hydra.run.dir)
            refuse_other_kinds(run_dir, CONFIG, "hydra.run.dir")
            if is_begun(run_dir / CONFIG):
                allowed = f"holds a run: go on with it by {resume_command(run_dir)}"
                raise ConfigError("hydra.run.dir", run_dir, allowed)
            with env_override(dict(config.hydra.job.env_set)):  # Hydra sets them for the run alone
                checked = to_config(config)
                refuse_hidden_widths(checked, given.task)
                _note_idle(without_effect(checked, map(key_of, given.task)))
                check_trackers(checked.tracker)
                _read_ahead(checked)
                with holding_run(run_dir, checked):
                    pass
        except UserError as error:
            raise SystemExit(USAGE_ERROR) from error  # one_line_errors prints it

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check every run of a plain multirun; a sweep checks its own."""
        self._before: dict[Path, int] = {}
        try:
            _check_folder(config, "hydra.sweep.dir", config.hydra.sweep.dir)
            self._before = _results(config)
            if _is_plain(config):
                refuse_spaces_without_sampler(config.hydra.overrides.task)
                _check_runs(config)
            else:
                check_trackers(OmegaConf.to_object(config.tracker))  # type: ignore[arg-type]
        except UserError as error:
            raise SystemExit(USAGE_ERROR) from error  # one_line_errors prints it
        except (HydraException, OmegaConfBaseException) as error:
            raise SystemExit(USAGE_ERROR) from UserError(describe(error))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """End with exit status 1 where runs of a plain multirun have failed."""
        if not _is_plain(config):
            return  # a sweep over a search space counts its trials itself
        # From the folders, since the runs may have trained in other processes; without clocks,
        # since a file server has its own.
        written = _results(config).items() - self._before.items()
        results = [read_result(path.parent) for path, _ in written]
        failed = Counter(r.status for r in results if r.status not in ("completed", "pruned"))
        if failed:
            counts = ", ".join(f"{count} {status}" for status, count in failed.items())
            total = f"{failed.total()} of {len(results)} runs did not complete"
            say(f"error: {total} ({counts}): {config.hydra.sweep.dir}", sys.stderr)
            raise SystemExit(1)


def _note_idle(fields: Iterable[str]) -> None:
    """Say which of the overrides have no effect, such as a dropout for a net of one's own."""
    for field in fields:
        say(f"note: {field} changes nothing here")


def _words(config: DictConfig, overrides: Iterable[str]) -> tuple[list[str], str]:
    """Return the overrides of a run with those of its search path, and its primary file."""
    path = [o for o in config.hydra.overrides.hydra if key_of(o) == "hydra.searchpath"]
    return [*path, *overrides], str(config.hydra.job.config_name).removesuffix(".yaml")


def _check_folder(config: DictConfig, field: str, folder: str) -> None:
    """Refuse a folder, or a current one, with which Hydra cannot work or would mislead."""
    require(folder != "", field, "''", "must be the name of a folder")
    allowed = "must be false: paths on the command line are those of the current folder"
    require(not config.hydra.job.chdir, "hydra.job.chdir", config.hydra.job.chdir, allowed)
    for path in (folder, os.getcwd()):
        is_text = not any("\ud800" <= letter <= "\udfff" for letter in path)
        require(is_text, field, ascii(path), "must be a path in UTF-8, as Hydra needs it")
    at = next(p for p in (Path(folder), *Path(folder).parents) if os.path.lexists(p))
    require(at.is_dir(), field, folder, f"cannot be made: {at} is no folder")


def _is_plain(config: DictConfig) -> bool:
    return bool(config.hydra.sweeper._target_.endswith(".BasicSweeper"))


def _check_runs(config: DictConfig) -> None:
    """Compose all runs of a multirun; where they train in this process, read their data as well.

    Raises:
        UserError, HydraException, OmegaConfBaseException: of the first one that is bad.
    """
    loader, seen = GlobalHydra.instance().config_loader(), set[str]()
    params = [f"{name}={value}" for name, value in (config.hydra.sweeper.params or {}).items()]
    given = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(given, list)
    overrides = OverridesParser.create(config_loader=loader).parse_overrides([*params, *given])
    for override in overrides:
        if override.is_sweep_override() and not override.is_discrete_sweep():
            needs = "draws from a range, for which a sweep needs hydra/sweeper=optuna"
            raise UserError(f"{override.input_line}: {needs}")
    (runs,) = BasicSweeper.split_arguments(overrides, None)
    trains_here = config.hydra.launcher._target_.endswith(".BasicLauncher")
    idle: list[str] = []  # in every run
    for number, words in enumerate(runs):
        composed = loader.load_sweep_config(config, words)
        refuse_choices_beside_experiments(*_words(config, words))
        with open_dict(composed):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
        with _as_job(composed, config):
            checked = to_config(composed)
            refuse_hidden_widths(checked, words)
            here = without_effect(checked, map(key_of, words))
            idle = here if number == 0 else [field for field in idle if field in here]
            if (tracker := repr(checked.tracker)) not in seen:  # a server is asked once
                seen.add(tracker)
                check_trackers(checked.tracker)
            if (text := repr(replace(checked, seed=0))) in seen:
                continue
            seen.add(text)
            if trains_here:
                _read_ahead(checked)
            else:
                check_ahead(checked.data)
                check_net(checked)
    _note_idle(idle)


@contextmanager
def _as_job(composed: DictConfig, config: DictConfig) -> Iterator[None]:
    """Let fields that refer to Hydra's own, such as ${hydra:job.num}, be those of a run."""
    HydraConfig.instance().set_config(composed)
    try:
        with env_override(dict(composed.hydra.job.env_set)):
            yield
    finally:
        HydraConfig.instance().set_config(config)


def _results(config: DictConfig) -> dict[Path, int]:
    """Return the results of a multirun's folder and when each was written, in nanoseconds."""
    paths = Path(config.hydra.sweep.dir).rglob(RESULT)
    return {path: path.stat().st_mtime_ns for path in paths}


def _read_ahead(config: Config) -> None:
    from resnet_sweep.training.progress import log_to_console  # these bring torch
    from resnet_sweep.training.run import prepare

    log_to_console()
    prepare(config)
