"""The entry point: command line -> composed configuration -> checked Config -> run -> result.

python -m resnet_sweep.train model=wrn_2343 optimizer=sgd
python -m resnet_sweep.train resume=outputs/runs/2026-11-22_10-00-00
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import env_override
from hydra.types import RunMode
from omegaconf import DictConfig

from resnet_sweep.config import Config
from resnet_sweep.config.compose import conf_dir, register_schemas, to_config
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.run_folder import STATUSES, RunResult, finished_result
from resnet_sweep.records.run_state import (
    BeyondRepair,
    Stage,
    run_state,
    variables_of,
)
from resnet_sweep.records.sweep_folder import SETTINGS, group_of
from resnet_sweep.system.cli import explaining_options_without_sweep, one_line_errors
from resnet_sweep.system.console import say
from resnet_sweep.training.resume import discard_empty, is_resume, resume_command, resumed_config
from resnet_sweep.training.trackers.sending import check_trackers, send_rest


@hydra.main(
    config_path=str(conf_dir().resolve()),
    config_name="config",
    execution_whitelist=("resnet_sweep.*", "hydra_plugins.*", "optuna.*"),
)
def _run(composed: DictConfig) -> float | None:
    hydra_config = HydraConfig.get()
    run_dir = Path(hydra_config.runtime.output_dir)
    if run_dir.is_relative_to(Path.cwd()):
        run_dir = run_dir.relative_to(Path.cwd())  # as a person would type it
    try:
        objective, status = _train(to_config(composed), run_dir)
    except (UserError, KeyboardInterrupt):
        discard_empty(run_dir)
        raise
    # In a multirun one run that fails must not end the others, and is counted when all have ended
    # (training/run_check.py); an interruption ends all.
    if status >= 128 or (status and hydra_config.mode == RunMode.RUN):
        sys.exit(status)
    return objective


def _train(config: Config, run_dir: Path, objective: str | None = None) -> tuple[float | None, int]:
    """Train and return the objective and the exit status."""
    from resnet_sweep.training.progress import log_to_console  # these bring torch
    from resnet_sweep.training.run import run_training

    log_to_console()
    try:
        result = run_training(config, run_dir, objective=objective)
    except KeyboardInterrupt:  # too late to interrupt the run, or before it began
        ended = finished_result(run_dir, STATUSES)
        if ended is not None:
            _report(ended, run_dir)
        raise
    return result.objective, _report(result, run_dir)


def _report(result: RunResult, run_dir: Path) -> int:
    """Print where the run folder is and what came out; return the exit status.

    It is 0 for a completed run, 128 + signal for an interrupted one, otherwise 1.
    """
    say(f"run folder: {run_dir}")
    say(f"status: {result.status}")
    if result.val_accuracy is not None:
        say(f"validation accuracy: {result.val_accuracy:.4f}")
    if result.test_accuracy is not None:
        say(f"test accuracy: {result.test_accuracy:.4f}")
    if result.status == "interrupted":
        say(f"go on with: {resume_command(run_dir)}")
        return 128 + signal.Signals[result.error or "SIGINT"]
    if result.status in ("completed", "pruned"):
        return 0
    say(f"error: the run ended as {result.status}: {result.error}", sys.stderr)
    return 1


def _resume(arguments: list[str]) -> int:
    """Go on with the run that the command line names and return the exit status."""
    config, run_dir = resumed_config(arguments)
    group, sweep = group_of(run_dir), None
    if group is not None and (group.folder / SETTINGS).exists():
        from resnet_sweep.search.settings import read_settings  # brings Optuna

        sweep = read_settings(group.folder)
    with env_override(variables_of(run_dir) or ({} if sweep is None else sweep.env_set)):
        return _go_on(config, run_dir, None if sweep is None else sweep.objectives[0])


def _go_on(config: Config, run_dir: Path, objective: str | None) -> int:
    """Do what the state of the folder asks for.

    Args:
        objective: of its sweep; null: what its result names, if it has one.
    """
    check_trackers(config.tracker)
    state = run_state(run_dir, config.evaluate_test)
    match state.stage:
        case Stage.BEYOND_REPAIR:
            raise BeyondRepair(state.problem)
        case Stage.COMPLETE:  # run_training would bring torch
            assert state.result is not None
            say("the run is complete: nothing to do")
            send_rest(config, run_dir)
            return _report(state.result, run_dir)
        case Stage.LACKING:
            note = "written again from the last checkpoint"
        case _:
            note = "the last checkpoint has epochs left to train, which come first"
    for line in state.lost:
        say(f"{line}; {note}")
    if state.lost and state.result is None and not config.evaluate_test:
        say("any test accuracy in it is lost: evaluate_test=true reads the test set again")
    return _train(config, run_dir, objective)[1]


def main() -> None:
    """Train one configuration, or several with -m; see --help."""
    register_schemas()
    with one_line_errors():
        arguments = sys.argv[1:]
        if is_resume(arguments):
            sys.exit(_resume(arguments))
        with explaining_options_without_sweep():
            _run()


if __name__ == "__main__":
    main()
