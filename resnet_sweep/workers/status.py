"""What a sweep shows while it runs: a live table, or lines that read well in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.live import Live
from rich.table import Table

from resnet_sweep.search.trial_attributes import TRIAL_OUTCOME
from resnet_sweep.system.console import duration, say
from resnet_sweep.workers.study import StudyProgress, state_of

MINUTE = 60.0
MOST_LINES = 3
REJECTIONS = {
    "over_budget": "over model.max_params",
    "over_multiply_adds": "over model.max_multiply_adds",
    "unbuildable": "that cannot be built or trained (trials.jsonl says why)",
}
NARROWER = "For fewer, narrow the widths and blocks of the space, or raise the limit"

Say = Callable[[str], None]


class Status:
    """Counts, best trial and time left.

    Args:
        every_seconds: at least, between two lines where there is no terminal; one that says
            nothing new but the time left comes after MINUTE.
        last_start: no trial starts after this time, in seconds since 1970; null: any time.
        names: of trials that were planned, by number; null: the trials are searched for, so that
            what was turned away and the best are shown as well.
    """

    def __init__(
        self,
        study: optuna.Study,
        objectives: list[str],
        n_trials: int,
        every_seconds: float,
        console: Console | None = None,
        names: Sequence[str] | None = None,
        last_start: float | None = None,
    ) -> None:
        self._names = names
        self._last_start = last_start
        self._directions = study.directions
        self._objectives = objectives
        self._n_trials = n_trials
        self._every = every_seconds
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, refresh_per_second=2, transient=True)
        self._started = self._shown = time.monotonic()
        self._shown_rows: list[tuple[str, str]] = []
        self._trained_before: int | None = None
        self.best: FrozenTrial | None = None

    def __enter__(self) -> Status:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        if self._console.is_terminal:  # above the table
            self._console.print(text, markup=False)
        else:
            say(text, self._console.file)

    def update(self, progress: StudyProgress, finished: list[FrozenTrial]) -> None:
        """Tell of trials that have finished and refresh the table."""
        self._note(progress, finished)
        rows = self._rows(progress)
        if self._console.is_terminal:
            table = Table(show_header=False, box=None, pad_edge=False)
            for row in rows + self._time_left(progress):
                table.add_row(*row)
            self._live.update(table)
            return
        since = time.monotonic() - self._shown
        if since >= self._every and (rows != self._shown_rows or since >= MINUTE):
            self.say(as_line(rows + self._time_left(progress)))
            self._shown, self._shown_rows = time.monotonic(), rows

    def end(self, progress: StudyProgress, finished: list[FrozenTrial]) -> None:
        """Tell of the last trials and say the counts, now that no worker runs."""
        self._note(progress, finished)
        if progress.counts:
            self.say(as_line(self._rows(progress, "unfinished")))

    def _note(self, progress: StudyProgress, finished: list[FrozenTrial]) -> None:
        first = self._trained_before is None
        if first:
            self._trained_before = progress.trained
        sign = 1 if self._directions[0] == optuna.study.StudyDirection.MAXIMIZE else -1
        for trial in finished:
            if state_of(trial) == "completed" and trial.values is not None:
                # The best by the first objective; the Pareto set comes at the end.
                best = self.best
                if best is None or sign * trial.values[0] > sign * best.values[0]:
                    self.best = trial
            if not first:
                self._tell(trial)

    def explain_rejections(self, progress: StudyProgress) -> None:
        """Say what was turned away and how to have less of it, if there was any."""
        total = progress.rejections.total()
        if total == 0:
            return
        parts = [f"{n} {REJECTIONS[reason]}" for reason, n in progress.rejections.most_common()]
        self.say(
            f"rejected: {total} proposals cost no training and no trial: {', '.join(parts)}. "
            f"{NARROWER}"
        )

    def _rows(self, progress: StudyProgress, running: str = "running") -> list[tuple[str, str]]:
        counts = progress.counts
        rows = [
            ("trained", f"{progress.trained} of {self._n_trials}"),
            (running, str(len(progress.running))),
        ]
        if self._names is not None:
            return [*rows, ("failed", str(counts["failed"]))]
        best = self.best
        share = f"{progress.rejection_rate:.0%} of the proposals, before training"
        return [
            *rows,
            ("pruned", str(counts["pruned"])),
            ("failed", str(counts["failed"])),
            ("rejected", f"{counts['rejected']} ({share})"),
            ("duplicates", str(counts["duplicate"])),
            ("best", "none yet" if best is None else f"{self._value(best)} (trial {best.number})"),
        ]

    def _time_left(self, progress: StudyProgress) -> list[tuple[str, str]]:
        """Return it as a row; none before the first trial has ended here."""
        done = progress.trained - (self._trained_before or 0)
        if done == 0:
            return []
        elapsed = time.monotonic() - self._started
        left = elapsed / done * max(0, self._n_trials - progress.trained)
        if self._last_start is not None:
            left = min(left, max(0.0, self._last_start - time.time()))
        return [("time left", duration(left))]

    def _value(self, trial: FrozenTrial) -> str:
        pairs = zip(self._objectives, trial.values or [], strict=False)
        return ", ".join(f"{name} {shown_value(value)}" for name, value in pairs)

    def _tell(self, trial: FrozenTrial) -> None:
        outcome = trial.user_attrs.get(TRIAL_OUTCOME, {})
        name = f"trial {trial.number}" if self._names is None else self._names[trial.number]
        if trial.state == TrialState.COMPLETE:
            self.say(f"{name} completed: {self._value(trial)}")
        elif state_of(trial) == "pruned":
            self.say(f"{name} pruned after {outcome.get('epochs')} epochs")
        elif state_of(trial) == "failed":
            reason, error = outcome.get("reason", "failed"), outcome.get("error")
            self.say(f"{name} failed: {reason}{f': {error}' if error else ''}")


def as_line(rows: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in rows)


def shown_value(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) > 1 else f"{value:.4f}"


def say_some(lines: list[str], say: Say) -> None:
    """Say the first few of many notes, and how many more there are."""
    for line in lines[:MOST_LINES]:
        say(f"  {line}")
    if len(lines) > MOST_LINES:
        say(f"  and {len(lines) - MOST_LINES} more")
