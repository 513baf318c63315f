"""The command line of the analysis."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from resnet_sweep.analysis.discover import NoRunsError, find_runs
from resnet_sweep.analysis.summary.summarize import Options, Step, Summary, summarize
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.folder_kind import refuse_other_kinds
from resnet_sweep.reporting.tables import printable, terminal_table
from resnet_sweep.system.cli import Parser, one_line_errors
from resnet_sweep.system.console import page, say

PATIENCE_SECONDS = 2.0
MAX_WATCH = 86400
DESCRIPTION = """\
Read every run below a folder (single runs, sweeps, confirmations, nested or not; folders whose
names begin with a dot are skipped) and write tables, figures and a report. Runs are ordered by
validation alone; the test set is only shown.
"""
EPILOG = """\
conditions of --where:
  columns are those of runs.csv: optimizer, optimizer.lr, num_params, status, sweep, ...
  comparisons: = != < <= > >= in (a, b); values: numbers, words, "quoted text", [2,3,4,3],
  true, false, null; joined by and, or, not and parentheses
examples:
  python analysis/summarize.py outputs/
  python analysis/summarize.py outputs/ --where "optimizer=sgd and num_params<3e6" --top 20
  python analysis/summarize.py outputs/ --watch 30
  python analysis/summarize.py outputs/ --compare sweeps/a/runs/3 sweeps/a/runs/8
"""


def main(arguments: list[str] | None = None) -> None:
    """Summarize a folder of runs; exit status 2 for a user's mistake."""
    with one_line_errors():
        options = _parse(arguments)
        if options.watch is not None:
            _wait_for_runs(options.root, options.watch)
        try:
            with _progress() as on_step:
                summary = summarize(options, on_step)
            with page() as console:
                _show(console, summary, options)
        except NoRunsError as error:  # none meets --where
            if options.watch is None:
                raise
            say(str(error))
        if options.watch is not None:
            _watch(options, options.watch)


def _wait_for_runs(root: Path, seconds: float) -> None:
    """Return when there is a run: who watches may begin before the sweep does."""
    is_told = False
    while True:
        try:
            find_runs(root)
            return
        except NoRunsError as error:
            if not is_told:
                say(f"{error}; waiting for the first")
            is_told = True
            time.sleep(seconds)


def _watch(options: Options, seconds: float) -> None:
    """Write the summary anew at intervals until the program is told to stop."""
    say(f"written anew every {seconds:g} s where runs have changed; Ctrl-C ends it")
    told = ""
    while True:
        time.sleep(seconds)
        try:
            summary = summarize(options)
        except UserError as error:  # no run meets --where at the moment, or the disk is full
            if str(error) != told:
                say(f"{datetime.now():%H:%M:%S}: {error}; trying again")
            told = str(error)
            continue
        told = ""
        if summary.num_read:
            counts = ", ".join(_counts(summary))
            say(f"{datetime.now():%H:%M:%S}: {summary.num_read} runs had changed; {counts}")


def _parse(arguments: list[str] | None) -> Options:
    parser = Parser("summarize.py", DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("root", metavar="folder", type=_folder, help="folder with runs, at any depth")
    add("--output", type=_folder, action=_Once, help="where to write (default: FOLDER/summary)")
    where = "only runs for which it holds; see below"
    add("--where", metavar="CONDITION", action=_Once, help=where)
    add(
        "--objective",
        action=_Once,
        help="column to order by (default: the sweep's, or val_accuracy)",
    )
    add(
        "--sort",
        action=_Once,
        help="another column for the leaderboard: num_params, train_seconds, ...",
    )
    top = f"rows of the leaderboard (default: {Options.top})"
    add("--top", type=_positive, action=_Once, help=top)
    two = "test two runs or two configurations (id)"
    add("--compare", nargs=2, action=_Once, metavar=("A", "B"), help=two)
    watch = "write it anew at intervals, until Ctrl-C"
    add("--watch", type=_seconds, action=_Once, metavar="SECONDS", help=watch)
    given = parser.parse_args(arguments)
    given.top = given.top or Options.top
    given.output = given.output or given.root / "summary"
    refuse_other_kinds(given.output, "", "--output")
    given.compare = given.compare and tuple(given.compare)
    return Options(**vars(given))  # each argument is a field of its name


class _Once(argparse.Action):
    """Stores an option, and refuses a second one, which argparse would let win."""

    def __call__(self, parser: Any, given: Any, value: Any, option: str | None = None) -> None:
        if getattr(given, self.dest) is not None:
            advice = ": join conditions by `and`" if option == "--where" else ""
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            parser.error(f"{option} {shown}: is given twice{advice}")
        setattr(given, self.dest, value)


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("is empty, must be a folder")
    return Path(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= MAX_WATCH:
        raise argparse.ArgumentTypeError(f"{text!r}: must be seconds, 1 to {MAX_WATCH}")
    return seconds


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be an integer, at least 1")
    return int(text)


@contextmanager
def _progress() -> Iterator[Step]:
    """Show a bar on stderr once the work has taken two seconds."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task: TaskID = bar.add_task("", total=None)
    began, is_shown = time.monotonic(), False

    def on_step(what: str, done: int, total: int) -> None:
        nonlocal is_shown
        if not is_shown and time.monotonic() - began > PATIENCE_SECONDS:
            bar.start()
            is_shown = True
        bar.update(task, description=what, completed=done, total=total)

    try:
        yield on_step
    finally:
        bar.stop()


def _counts(summary: Summary) -> list[str]:
    return [f"{number} {status.replace('_', ' ')}" for status, number in summary.counts.items()]


def _show(console: Console, summary: Summary, options: Options) -> None:
    console.print(", ".join(_counts(summary)))
    for problem in summary.problems:
        console.print(printable(problem), soft_wrap=True)
    if summary.rejection_rate is not None:
        console.print(f"rejected before training: {summary.rejection_rate:.1%} of proposals")
    console.print()
    console.print(terminal_table(summary.leaderboard))
    for remark in summary.leaderboard.remarks:
        console.print(remark, soft_wrap=True)
    console.print()
    for answer in summary.answers:
        console.print(f"- {printable(answer)}", soft_wrap=False)
    console.print()
    console.print(f"{summary.num_read} runs were new or had changed")
    figures = [path for path in summary.paths if path.endswith((".png", ".svg"))]
    *others, report = [path for path in summary.paths if path not in figures]
    for path in others:
        console.print(printable(path), soft_wrap=True)
    if figures:
        console.print(f"{options.output / 'figures'}: {len(figures)} files", soft_wrap=True)
    console.print(printable(report), soft_wrap=True)
