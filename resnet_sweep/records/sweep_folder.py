"""The record of a sweep: what was asked for, and what became of every trial.

sweep.json holds the study, trials.jsonl one line a trial: numbers may repeat, the last line
counts, and a last line without its newline was cut off by a kill. Free of Optuna and torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Optional, TypeVar

from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import require
from resnet_sweep.records.checking import check_plain, check_record
from resnet_sweep.records.run_folder import (
    RESULT,
    SCHEMA_VERSION,
    RecordError,
    read_json,
    read_result,
)
from resnet_sweep.system.atomic import write_json, write_text

SWEEP = "sweep.json"
TRIALS = "trials.jsonl"
PLANNED_RUNS = "planned_runs"  # stands where fixed runs were trained, which have no such record
SETTINGS = "settings.json"  # what the workers read; see search/settings.py
SWEEP_LOCK = "sweep.lock"  # held while the sweep runs
SWEEP_ID = "sweep_id"  # in the study and, as a file, in the folder: they belong together
RUNS = "runs"
RUNG = "rung_"  # below a trial's run folder, with its epochs: a shorter training of it

# The first three count towards n_trials, and so do those that are running.
TRAINED_STATES = ("completed", "pruned", "failed")
STATES = (*TRAINED_STATES, "rejected", "duplicate", "running", "waiting")

DIRECTIONS = ("maximize", "minimize")
LIMITS = {
    "n_trials": (0, 2**31),
    "epochs": (0, 2**31),
    "n_startup_trials": (0, 2**31),
    "number": (0, 2**31),
    "repeat_of": (0, 2**31),
    "worker": (0, 2**31),
    "num_params": (0, 2**53),
    "multiply_adds": (0, 2**53),
    "started": (0, 253402300799),  # the year 9999
    "ended": (0, 253402300799),
    "train_seconds": (0, 1e12),
    "values": (-1e39, 1e39),
}

_Record = TypeVar("_Record", "SweepTrial", "SweepRecord")


@dataclass(frozen=True)
class SweepTrial:
    """One trial of a sweep.

    Args:
        state: one of STATES.
        reason: of a rejected trial: over_budget, over_multiply_adds, unbuildable; of a failed
            one: out_of_memory, diverged, timeout, failed, killed.
        error: what the failure said; of a duplicate, the trial that it repeats.
        params: study parameter -> value; `optimizer.lr@sgd` where a range depends on a choice.
        values: one for each objective of the sweep, of a completed trial.
        intermediate_values: epoch -> objective.
        seed: of the run; null where none was trained.
        worker: index of the worker.
        started, ended: seconds since 1970, UTC.
        epochs: of its last run.
        train_seconds: of all its runs, those of the rungs included, over all sittings.
        run_dir: relative to the sweep folder; null where none was trained.
        repeat_of: the trial whose configuration this one repeats with a fresh seed.
    """

    number: int
    state: str
    reason: Optional[str] = None
    error: Optional[str] = None
    params: dict[str, Any] = field(default_factory=dict)
    values: Optional[list[float]] = None
    intermediate_values: dict[int, float] = field(default_factory=dict)
    num_params: Optional[int] = None
    multiply_adds: Optional[int] = None
    seed: Optional[int] = None
    worker: Optional[int] = None
    started: Optional[float] = None
    ended: Optional[float] = None
    epochs: Optional[int] = None
    train_seconds: Optional[float] = None
    run_dir: Optional[str] = None
    repeat_of: Optional[int] = None

    @property
    def is_trained(self) -> bool:
        return self.state in TRAINED_STATES


@dataclass(frozen=True)
class EndedRun:
    """One planned run, as it ended: a confirmation and a comparison record it.

    Args:
        configuration: whose it is.
        state, reason, error: as of a SweepTrial.
        accuracy: null where the run did not complete.
        run_dir: relative to the folder of the command.
    """

    configuration: str
    seed: int
    state: str
    reason: Optional[str]
    error: Optional[str]
    accuracy: Optional[float]
    train_seconds: Optional[float]
    run_dir: str


@dataclass(frozen=True)
class SweepRecord:
    """The content of sweep.json.

    Args:
        objectives: names as in result.json.
        directions: maximize or minimize, one for each objective.
        n_trials: that are to be trained.
        epochs: of a trial that is not pruned.
        space: study parameter -> its range, as text.
        overrides: what was fixed, as on a command line.
        sampler, pruner: the name of each.
        n_startup_trials: drawn at random before the sampler learns; null: it has no such number.
    """

    study_name: str
    objectives: list[str]
    directions: list[str]
    n_trials: int
    epochs: int
    space: dict[str, str]
    overrides: list[str]
    sampler: str
    pruner: str
    n_startup_trials: Optional[int] = None
    schema_version: int = field(default=SCHEMA_VERSION)


@dataclass(frozen=True)
class Sweep:
    """A sweep folder's record and its trials, by number."""

    folder: Path
    record: SweepRecord
    trials: list[SweepTrial]

    def run_dir(self, trial: SweepTrial) -> Path | None:
        return None if trial.run_dir is None else self.folder / trial.run_dir

    def trained(self) -> list[SweepTrial]:
        return [trial for trial in self.trials if trial.is_trained]


def rung_of(run: str) -> tuple[str, int] | None:
    """Return the trial's folder and the epochs of a shorter training; None: it is none.

    Args:
        run: path of a run folder.
    """
    folder, _, name = run.rpartition("/")
    epochs = name.removeprefix(RUNG)
    is_rung = name.startswith(RUNG) and epochs.isdecimal() and epochs.isascii()
    return (folder, int(epochs)) if is_rung else None


@dataclass(frozen=True)
class RunGroup:
    """The runs of a sweep, or of a stage of a confirmation or comparison.

    Args:
        id: stays the same wherever the folder is moved.
        name: of the study; of fixed runs, the end of the folder's path.
    """

    folder: Path
    id: str
    name: str

    def name_of(self, run_dir: Path) -> str:
        """Return a run's number, with its rung where it is a shorter training."""
        return run_dir.absolute().relative_to(self.folder / RUNS).as_posix()


def group_of(run_dir: Path) -> RunGroup | None:
    """Return the group that a run folder belongs to; None: it stands alone."""
    for runs in run_dir.absolute().parents[:2]:  # below a trial there may be its rungs
        folder = runs.parent
        if runs.name == RUNS and (folder / SWEEP_ID).is_file():
            try:
                name = str(read_json(folder / SWEEP)["study_name"])
            except (RecordError, KeyError):
                name = "/".join(folder.parts[-3:])
            return RunGroup(folder, (folder / SWEEP_ID).read_text(), name)
    return None


def check_data(folder: Path, config: DataConfig, fingerprint: str) -> None:
    """Refuse data that are not those which the runs of a sweep have read.

    Raises:
        ConfigError: the fingerprint is another one.
    """
    for path in sorted((folder / RUNS).glob(f"*/{RESULT}")):
        try:
            before = read_result(path.parent).data_fingerprint
        except RecordError:
            continue
        field, value = ("data.root", config.root) if config.root else ("data", config.name)
        allowed = f"holds other data than {path.parent} read (fingerprint {fingerprint}, then "
        require(before == fingerprint, field, value, f"{allowed}{before})")
        return  # they are all alike


def is_sweep(folder: Path) -> bool:
    return (folder / SWEEP).is_file()


def read_sweep(folder: Path) -> Sweep:
    """Return what a sweep folder records, also while the sweep runs.

    Raises:
        RecordError: the folder holds no sweep, or a file of it is damaged.
    """
    return Sweep(folder, read_sweep_record(folder), read_sweep_trials(folder))


def salvage_sweep(folder: Path) -> tuple[Sweep, str | None]:
    """Return what can be read of a sweep, and what is wrong with lines of trials.jsonl.

    Raises:
        RecordError: sweep.json is missing or damaged, or trials.jsonl cannot be read at all.
    """
    record = read_sweep_record(folder)
    trials, errors = _read_trials(folder / TRIALS)
    problem = None
    if errors:
        problem = f"{len(errors)} damaged lines, the first: {errors[0]}"
        problem = str(errors[0]) if len(errors) == 1 else problem
    return Sweep(folder, record, trials), problem


def read_sweep_record(folder: Path) -> SweepRecord:
    """Return the content of sweep.json.

    Raises:
        RecordError: it is missing or damaged.
    """
    path = folder / SWEEP
    return _record(SweepRecord, read_json(path), f"{path}:")


def write_sweep_record(folder: Path, record: SweepRecord) -> None:
    write_json(folder / SWEEP, asdict(record))


def read_sweep_trials(folder: Path) -> list[SweepTrial]:
    """Return the trials by number; none where the sweep has only begun.

    Raises:
        RecordError: a whole line is damaged.
    """
    trials, errors = _read_trials(folder / TRIALS)
    if errors:
        raise errors[0]
    return trials


def write_sweep_trials(folder: Path, trials: Iterable[SweepTrial]) -> None:
    """Replace trials.jsonl."""
    write_text(folder / TRIALS, "".join(map(_line, trials)))


def append_sweep_trials(folder: Path, trials: Iterable[SweepTrial]) -> None:
    """Add lines; only one process writes, and it has replaced the file first."""
    with open(folder / TRIALS, "ab") as file:
        before = file.tell()
        try:
            file.write("".join(map(_line, trials)).encode())
            file.flush()
        except OSError:  # a full disk must not leave half a line for the next one to follow
            os.truncate(file.fileno(), before)
            raise


def _line(trial: SweepTrial) -> str:
    return json.dumps(asdict(trial)) + "\n"


def _read_trials(path: Path) -> tuple[list[SweepTrial], list[RecordError]]:
    """Return the trials of the readable lines by number, and what is wrong with the others."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    trials: dict[int, SweepTrial] = {}
    errors = []
    for place, line in enumerate(lines, 1):
        try:
            trial = _trial(line, f"{path}: line {place}")
            trials[trial.number] = trial
        except RecordError as error:
            errors.append(error)
    return [trials[number] for number in sorted(trials)], errors


def _trial(line: bytes, place: str) -> SweepTrial:
    try:
        values = json.loads(line)
        steps = values["intermediate_values"].items()
        values["intermediate_values"] = {int(step): value for step, value in steps}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordError(f"{place} cannot be read: {error}") from error
    return _record(SweepTrial, values, place)


def _record(kind: type[_Record], values: dict[str, Any], place: str) -> _Record:
    unknown = values.keys() - {f.name for f in fields(kind)}
    try:
        if unknown:
            raise TypeError(f"unknown entries {', '.join(sorted(unknown))}")
        record = kind(**values)
        check_record(record, LIMITS)
        _check_words(record)
        return record
    except (TypeError, UnicodeEncodeError, RecursionError) as error:
        raise RecordError(f"{place} cannot be read: {error}") from error


def _check_words(record: SweepTrial | SweepRecord) -> None:
    words: list[str]
    allowed: tuple[str, ...]
    if isinstance(record, SweepTrial):
        check_plain(record.params, "params")
        json.dumps(record.params, ensure_ascii=False).encode()
        words, allowed = [record.state], STATES
    else:
        json.dumps([record.space, record.objectives], ensure_ascii=False).encode()
        words, allowed = record.directions, DIRECTIONS
        if not record.objectives or len(record.objectives) != len(words):
            raise TypeError(f"{len(record.objectives)} objectives with {len(words)} directions")
    for word in words:
        if word not in allowed:
            raise TypeError(f"{word[:40]!r} must be one of {', '.join(allowed)}")
