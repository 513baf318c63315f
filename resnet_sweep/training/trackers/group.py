"""What remains to be told to the trackers when the workers of a sweep have ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet_sweep.config.compose import from_dict
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.trackers import TrackerConfig
from resnet_sweep.records.run_folder import RESULT, read_config_values
from resnet_sweep.records.sweep_folder import RUNS, group_of
from resnet_sweep.system.console import say
from resnet_sweep.training import trackers
from resnet_sweep.training.trackers import (
    PACKAGES,
    check_trackers,
    chosen,
    send_rest,
    shortened,
    unsent,
)


def close_group(config: TrackerConfig, folder: Path, is_over: bool) -> None:
    """Send what the runs of a sweep could not, and mark the sweep itself as ended.

    Where a server is still away, one line says how many runs it lacks.

    Args:
        is_over: not interrupted: no later sitting goes on with it.
    """
    if not set(chosen(config)) & PACKAGES.keys():
        return
    missing, can_send = 0, True
    for result in sorted((folder / RUNS).rglob(RESULT)):
        if _lacks(result.parent, can_send):
            missing += 1
            can_send = can_send and _is_there(config)  # else each run would wait for the server
    if missing:
        lack = f"lack the end of {missing} runs in {folder}"
        say(f"trackers {lack}: once they can be used, the same command sends it")
    elif config.mlflow is not None and is_over:
        _end_mlflow(config, folder)


def _is_there(config: TrackerConfig) -> bool:
    try:
        check_trackers(config)
    except UserError:
        return False
    return True


def _lacks(run_dir: Path, try_to_send: bool) -> bool:
    """Return whether a tracker still lacks an ended run."""
    try:
        config = from_dict(read_config_values(run_dir))
        with _without_warnings():
            return bool(send_rest(config, run_dir) if try_to_send else unsent(config, run_dir))
    except UserError:
        return False  # damaged: the sweep says so


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Leave out what a training would say of its tracker: one line tells of all runs."""
    log = logging.getLogger(trackers.__name__)
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def _end_mlflow(config: TrackerConfig, folder: Path) -> None:
    from resnet_sweep.training.trackers.mlflow import end_group

    group = group_of(folder / RUNS / "0")
    assert config.mlflow is not None and group is not None
    try:
        end_group(config.mlflow, group)
    except Exception as error:  # whatever the client raises: the runs themselves are there
        say(f"tracker mlflow: the run of the sweep could not be ended: {shortened(error)}")
