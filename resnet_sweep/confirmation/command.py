"""A confirmation from the command line to its report.

select the best configurations of the sweep, draw fresh seeds and a fresh split; keep the plan
choose: retrain each on the fresh split, take the best mean
over_promise: retrain the best of the sweep on its own split
write the chosen one as an experiment
test: train it, and the baseline, on all training images; these alone read the test set
report
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import optuna
from hydra.core.utils import env_override
from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.config.errors import ConfigError, require
from resnet_sweep.confirmation.best import EXPERIMENT, write_best
from resnet_sweep.confirmation.planning import (
    check_data,
    choose_runs,
    make_plan,
    moved_plan,
    over_promise_runs,
    ranked_plan,
    runs_on_test_set,
)
from resnet_sweep.records.confirmation import PLAN, Plan, read_plan, write_plan
from resnet_sweep.records.sweep_folder import EndedRun, is_sweep
from resnet_sweep.search.conf_files import env_set, with_env_set
from resnet_sweep.search.settings import read_settings
from resnet_sweep.system.atomic import TEMPORARY_SUFFIX
from resnet_sweep.system.console import command, duration, say
from resnet_sweep.workers.coordination import hold_or_refuse
from resnet_sweep.workers.planned import (
    PlannedRun,
    WorkerPool,
    check_trackers_of,
    exit_if_all_failed,
    train_planned,
)

OBJECTIVES = {"choose": "val_accuracy", "over_promise": "val_accuracy", "test": "test_accuracy"}
TITLES = {
    "choose": "stage 1 of 3, to choose on a fresh split",
    "over_promise": "stage 2 of 3, the sweep's best on its own split",
    "test": "stage 3 of 3, the chosen one and any baseline on the test set",
}


class Confirming:
    """One confirmation of this process.

    Args:
        config: Hydra's whole configuration; the launcher is read from it.
    """

    def __init__(self, options: ConfirmConfig, config: DictConfig, context: HydraContext) -> None:
        assert options.sweep is not None
        self.options = options
        self.sweep = Path(options.sweep)
        self.folder = self.sweep / options.name
        go_on = command("confirm", *sys.argv[1:])
        self.workers = WorkerPool(options, config, context, go_on)

    def run(self) -> None:
        """Plan, train what is not trained yet, and report."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        require(is_sweep(self.sweep), "sweep", self.sweep, "must be the folder of a sweep")
        with hold_or_refuse(self.sweep, "sweep", self._in_use):  # against other confirmations too
            swept = with_env_set(self.workers.config, read_settings(self.sweep).env_set)
            self.workers = replace(self.workers, config=swept)
            with env_override(env_set(swept)):  # a network of the user's own may read them
                plan = self._plan()
                say(f"confirmation: {self.folder}")
                self._confirm(plan)

    def _in_use(self, holder: str) -> ConfigError:
        allowed = f"is in use ({holder}): confirm it when that has ended"
        return ConfigError("sweep", self.sweep, allowed)

    def _plan(self) -> Plan:
        """Return the plan that is there, or make one."""
        if not (self.folder / PLAN).exists():
            # What is there is not a confirmation's, or is about to be another's.
            kept = [p for p in self.folder.glob("*") if not p.name.endswith(TEMPORARY_SUFFIX)]
            own = bool(kept) or self.folder.is_file() or self.options.name == EXPERIMENT
            allowed = f"{self.folder} is the sweep's own: take a name of its own for a confirmation"
            require(not own, "name", self.options.name, allowed)
            plan = make_plan(self.sweep, self.options)
            check_trackers_of(choose_runs(plan))
            self.folder.mkdir(exist_ok=True)
            write_plan(self.folder, plan)
            say(_announcement(plan))
            return plan
        plan = ranked_plan(read_plan(self.folder), self.sweep)
        plan = moved_plan(plan, self.options)
        for name, value in self.options.questions().items():
            was = plan.questions.get(name)
            allowed = f"{self.folder} was planned with {was}; another name= is another confirmation"
            require(value == was, name, value, allowed)
        runs = choose_runs(plan)
        check_data(runs[0].config.data, plan.data_fingerprint)
        check_trackers_of(runs)
        return plan

    def _confirm(self, plan: Plan) -> None:
        from resnet_sweep.confirmation import findings  # brings SciPy, as below Matplotlib
        from resnet_sweep.confirmation.report import report_confirmation

        runs = {"choose": run_stage(self.folder, "choose", choose_runs(plan), self.workers)}
        exit_if_all_failed(runs["choose"])
        chosen = findings.choose(plan, runs["choose"]).chosen.candidate
        say(f"chosen: {chosen.label}")
        promised = over_promise_runs(plan)
        runs["over_promise"] = run_stage(self.folder, "over_promise", promised, self.workers)
        tested = runs_on_test_set(plan, chosen)
        title = f"Trial {chosen.trial} of {plan.study_name}, {chosen.num_params:,} parameters."
        variables = env_set(self.workers.config)
        _, again = write_best(self.sweep, tested[0].config, title, self.options.name, variables)
        runs["test"] = run_stage(self.folder, "test", tested, self.workers)
        found = findings.conclude(plan, runs)
        report_confirmation(self.folder, found, self.workers.go_on, again)
        for ended in runs.values():
            exit_if_all_failed(ended)


def run_stage(
    folder: Path, stage: str, runs: list[PlannedRun], workers: WorkerPool
) -> list[EndedRun]:
    """Train in FOLDER/STAGE what is not trained yet, and return how each run ended.

    Raises:
        UserError: no worker can go on.
        SystemExit: it was interrupted.
    """
    title = f"{TITLES[stage]} ({stage})"
    return train_planned(folder / stage, OBJECTIVES[stage], runs, workers, title)


def _announcement(plan: Plan) -> str:
    """Return what is going to be trained, and what that took in the sweep."""
    pairs = [
        *zip(plan.candidates, plan.choose_seeds, strict=True),
        *zip(plan.candidates, plan.over_promise_seeds, strict=False),
    ]
    seconds = sum(candidate.train_seconds * len(seeds) for candidate, seeds in pairs)
    num_test = len(plan.test_seeds) + len(plan.baseline_seeds)
    count = sum(len(seeds) for _, seeds in pairs)
    lines = [
        f"configurations ({len(plan.candidates)}): "
        + ", ".join(f"{c.label} (accuracy {c.promised:.4f})" for c in plan.candidates),
        *plan.notes,
        f"{count} runs to choose and to measure the promise, by the sweep's times "
        f"{duration(seconds)} of training; then {num_test} that read the test set",
    ]
    return "\n".join(lines)
