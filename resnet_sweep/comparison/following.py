"""The survivors of a screening with more seeds, from its folder to their report."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

from resnet_sweep.comparison.command import STUDY, Sitting
from resnet_sweep.comparison.figures import draw_steps
from resnet_sweep.comparison.planning import RecipePlan, plan_follow_up, with_seeds
from resnet_sweep.comparison.recipes import START
from resnet_sweep.comparison.results import by_configuration
from resnet_sweep.comparison.screened import FIELD, Screened, read_screened
from resnet_sweep.comparison.step_report import COLUMNS, cells, said, step_values
from resnet_sweep.comparison.steps import Step, compare_with_start
from resnet_sweep.comparison.writing import Report, write_report
from resnet_sweep.config.effects import FollowUpConfig
from resnet_sweep.config.errors import ConfigError, require
from resnet_sweep.records.ended_run import EndedRun
from resnet_sweep.reporting.numbers import points
from resnet_sweep.reporting.tables import Table
from resnet_sweep.system.console import say
from resnet_sweep.workers.coordination import hold_or_refuse

STEM = "follow_up"


def follow_up(options: FollowUpConfig, given: list[str], sitting: Sitting) -> None:
    """Take the survivors, train what is not trained yet, and report."""
    place = Path(str(options.screening))
    screened = read_screened(place)
    folder = Path(options.folder or place / STEM)
    if not screened.survivors:
        _end_without(screened, folder, given, sitting.command)
        return
    plan = plan_follow_up(screened, given)
    say(f"follow-up: {folder}; {', '.join(plan.names)}")
    ended = sitting.train(folder, with_seeds(plan.names, plan.configs, options.num_seeds))
    values = by_configuration(ended, len(plan.configs))
    steps = compare_with_start(plan.names, values)
    title = f"Survivors of the screening {screened.screening.name}"
    report = _report(title, screened, plan, steps, ended, sitting.command)
    write_report(folder, report, draw_steps(steps, values, title, "against the start"))


def _end_without(screened: Screened, folder: Path, given: list[str], command: str) -> None:
    """Report that nothing survived, where no earlier follow-up has another answer.

    Raises:
        UserError: an override is wrong, the folder is in use, or it holds runs.
    """
    _check_start(screened, given)
    with hold_or_refuse(folder, "folder", partial(_in_use, folder)):
        allowed = "holds the runs of a follow-up, and now nothing survives: take another folder"
        require(not (folder / STUDY).exists(), "folder", folder, f"{allowed}, or delete this one")
        write_report(folder, _nothing(screened, command))


def _check_start(screened: Screened, given: list[str]) -> None:
    """Refuse overrides of which no start can be built: a plan builds it before it misses changes.

    Raises:
        UserError: it says which.
    """
    try:
        plan_follow_up(screened, given)
    except ConfigError as error:
        if error.field != FIELD:
            raise


def _in_use(folder: Path, holder: str) -> ConfigError:
    return ConfigError("folder", folder, f"is in use ({holder})")


def _report(
    title: str,
    screened: Screened,
    plan: RecipePlan,
    steps: list[Step],
    ended: list[EndedRun],
    command: str,
) -> Report:
    seed, split = plan.configs[0].seed, plan.configs[0].data.split_seed
    fresh = f"seeds from {seed} on and data.split_seed={split}: neither chose the survivors"
    changes = [step_values(step) for step in steps]
    return Report(
        STEM,
        title,
        command,
        [("Changes, each alone", _table(screened, steps))],
        [*_selection(screened), *said(plan, steps, ended, "change"), fresh],
        changes,
        {
            "survivors": screened.survivors,
            "dropped": screened.dropped,
            "left_out": plan.left_out,
            "changes": changes,
            "runs": [asdict(run) for run in ended],
        },
    )


def _nothing(screened: Screened, command: str) -> Report:
    title = f"No survivors of the screening {screened.screening.name}"
    values = {"survivors": [], "dropped": screened.dropped, "left_out": [], "changes": []}
    return Report(STEM, title, command, [], _selection(screened), [], values | {"runs": []})


def _selection(screened: Screened) -> list[str]:
    survivors, dropped = screened.survivors, screened.dropped
    count = f"{len(survivors)} of {len(screened.effects)} changes survived the screening"
    limit = "at all: the screening had no measure of its noise"
    if screened.error is not None:
        limit = f"by more than the standard error, {points(screened.error, '.2f')} points"
    found = [f"{count}: those that were better there {limit}"]
    if dropped:
        found.append(f"not followed: {', '.join(dropped)}")
    return found


def _table(screened: Screened, steps: list[Step]) -> Table:
    columns = [*COLUMNS, "in the screening", "verdict", f"recipe: {START} and"]
    return Table(columns, [_row(screened, step) for step in steps], 7)


def _row(screened: Screened, step: Step) -> list[str]:
    before = screened.effects.get(step.name)
    return [*cells(step), "" if before is None else points(before), step.verdict, step.name]
