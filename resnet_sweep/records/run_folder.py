"""The files of a run folder that need no torch: configuration, metrics, result, predictions."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import threading
import time
import uuid
import zipfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict, renewed, to_dict
from resnet_sweep.config.errors import UserError, require
from resnet_sweep.config.regularization import RegularizationConfig
from resnet_sweep.records.checking import check_plain, check_record
from resnet_sweep.system.atomic import TEMPORARY_SUFFIX, write_atomically, write_json, write_text

SCHEMA_VERSION = 1
STATUSES = ("completed", "pruned", "interrupted", "diverged", "out_of_memory", "failed")

CONFIG = "config.json"
METRICS = "metrics.csv"
RESULT = "result.json"
PREDICTIONS = "val_predictions.npz"
MODEL = "model.pt"
CHECKPOINT = "checkpoint.pt"
TRACKER = "tracker.json"
LOG = "train.log"
ACCURACIES, LOSSES = "accuracies.png", "losses.png"
DIAGRAM, ARCHITECTURE = "architecture.png", "architecture.txt"
TENSORBOARD = "tensorboard"
TRACKER_FOLDERS = (TENSORBOARD, "wandb")

LIMITS = {
    "num_params": (0, 2**53),
    "multiply_adds": (0, 2**53),
    "epochs": (0, 2**31),
    "val_accuracy": (0, 1.0),
    "test_accuracy": (0, 1.0),
    "val_loss": (-1e39, 1e39),  # float32 ends before
    "test_loss": (-1e39, 1e39),
    "objective": (-1e39, 1e39),
    "train_seconds": (0, 1e12),
    "images_per_second": (0, 1e12),
    "peak_memory_bytes": (0, 2**60),
}


_FIRST_WRITE_TRIES = 40


class RecordError(UserError):
    """A file of a run folder that is missing or cannot be read; the message names it."""


class CheckpointError(RecordError):
    """There are checkpoints and none can be read: without them the run starts anew.

    Args:
        reason: what is wrong with the newest one.
        hint: what to do about a run that has not completed.
    """

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason, hint)
        self.reason = reason

    def __str__(self) -> str:
        return "; ".join(self.args)


@dataclass
class EpochMetrics:
    """One row of metrics.csv.

    Args:
        epoch: from 1.
        lr: of the last step.
        train_loss, train_accuracy: over the epoch's augmented images, as they were trained on.
        val_loss, val_accuracy: of the weights that are kept (averaged ones where EMA is on);
            null without a validation part.
        epoch_seconds: training and evaluation.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: Optional[float]
    val_accuracy: Optional[float]
    epoch_seconds: float


METRIC_NAMES = tuple(f.name for f in fields(EpochMetrics))


@dataclass
class RunResult:
    """The content of result.json.

    Args:
        status: one of STATUSES.
        epochs: finished ones.
        multiply_adds: of one image's forward pass.
        objective: what the run was judged by, at its end: the value of `objective_name`; null
            where it did not complete, or has none.
        train_seconds: training and evaluation, over all sittings of the run.
        images_per_second: training images over the time of the training steps alone.
        peak_memory_bytes: of the device; on a CPU, of the process while it trained this run; null
            where that cannot be measured.
        error: what ended a run that did not complete.
        precision: fp32, bf16 or fp16, of the training; null in records from before this field.
        objective_name: val_accuracy of a single run, the first objective of its sweep of a trial.
    """

    status: str
    num_params: int
    multiply_adds: int
    epochs: int
    val_accuracy: Optional[float]
    val_loss: Optional[float]
    test_accuracy: Optional[float]
    test_loss: Optional[float]
    objective: Optional[float]
    train_seconds: float
    images_per_second: Optional[float]
    peak_memory_bytes: Optional[int]
    seed: int
    device: str
    versions: dict[str, str]
    git_commit: Optional[str]
    data_fingerprint: str
    error: Optional[str] = None
    objective_name: str = "val_accuracy"  # the only one in records from before this field
    precision: Optional[str] = None
    schema_version: int = field(default=SCHEMA_VERSION)


def teacher_digest(run_dir: str | None) -> str | None:
    """Return a digest of the net in a teacher's folder, which may lie elsewhere now.

    None: there is no teacher, or its folder has no net here.
    """
    if run_dir is None:
        return None
    path = Path(run_dir) / MODEL
    try:
        status = path.stat()
        return _file_digest(str(path.resolve()), status.st_mtime_ns, status.st_size)
    except OSError:
        return None


@cache
def _file_digest(path: str, _mtime: int, _size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def check_teacher(regularization: RegularizationConfig) -> None:
    """Refuse a teacher that is gone, or is another one than a record says.

    Raises:
        ConfigError: it names the folder.
    """
    place, known = regularization.distill_from, regularization.distill_from_digest
    if place is None:
        return
    found = teacher_digest(place)
    allowed = f"must be a folder of a completed run: it has no {MODEL}"
    require(found is not None, "regularization.distill_from", place, allowed)
    allowed = f"holds another net than the one that was learnt from: {found}, not {known}"
    require(known in (None, found), "regularization.distill_from", place, allowed)


def as_recorded(config: Config) -> Config:
    """Return a configuration that knows its teacher by its net, as records do."""
    node = config.regularization
    digest = node.distill_from_digest or teacher_digest(node.distill_from)
    return replace(config, regularization=replace(node, distill_from_digest=digest))


def recorded_values(config: Config) -> dict[str, Any]:
    """Return plain values as records hold them."""
    return to_dict(as_recorded(config))


def write_config(run_dir: Path, config: Config) -> None:
    """Write config.json whole, unless there is one: the first of several processes wins.

    Raises:
        OSError: the disk is full or the folder not writable.
    """
    path = run_dir / CONFIG
    if is_begun(path):
        return
    draft = run_dir / f"{CONFIG}.{os.getpid()}-{threading.get_ident()}{TEMPORARY_SUFFIX}"
    write_json(draft, {"schema_version": SCHEMA_VERSION, **recorded_values(config)})
    try:
        os.link(draft, path)
    except OSError:  # it is there, or exFAT or a network file system that has no hard links
        _write_first(path, draft.read_bytes())
    finally:
        draft.unlink(missing_ok=True)


def is_begun(path: Path) -> bool:
    """Return whether there is a file, and not one that a kill left empty."""
    return path.exists() and (not path.is_file() or path.stat().st_size > 0)


def _write_first(path: Path, content: bytes) -> None:
    """Write a file unless another process does: exclusive creation tells who is first."""
    try:
        with open(path, "xb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())
        return
    except FileExistsError:
        pass
    for _ in range(_FIRST_WRITE_TRIES):  # the first one writes within milliseconds
        if is_begun(path):
            return
        time.sleep(0.05)
    write_atomically(path, lambda file: file.write(content))  # it was killed in between


def read_config(run_dir: Path) -> Config:
    """Return the run's configuration.

    Raises:
        RecordError: the file is missing, damaged or of another schema version.
    """
    path = run_dir / CONFIG
    values = read_config_values(run_dir)
    try:
        return from_dict(values)
    except UserError as error:
        raise RecordError(f"{path}: {error}") from error


def read_config_values(run_dir: Path) -> dict[str, Any]:
    """Return the run's configuration as plain values: many times faster than read_config."""
    values = read_json(run_dir / CONFIG)
    del values["schema_version"]
    try:
        check_plain(values, "")
    except (TypeError, RecursionError) as error:
        raise _unreadable(run_dir / CONFIG, error) from error
    return renewed(values)


def write_metrics(run_dir: Path, rows: list[EpochMetrics]) -> None:
    """Replace metrics.csv; null becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, METRIC_NAMES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_text(run_dir / METRICS, text.getvalue())


def read_metrics(run_dir: Path) -> list[EpochMetrics]:
    """Return the rows of metrics.csv.

    Raises:
        RecordError: the file is missing, cut off or not of this form.
    """
    path = run_dir / METRICS
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != METRIC_NAMES:
                raise RecordError(f"{path}: the header is not {','.join(METRIC_NAMES)}")
            return [_epoch_metrics(row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
        raise _unreadable(path, error) from error


def write_result(run_dir: Path, result: RunResult) -> None:
    """Replace result.json; numbers that are not finite become null, as JSON has none."""
    write_json(run_dir / RESULT, asdict(result))


def read_result(run_dir: Path) -> RunResult:
    """Return the content of result.json.

    Raises:
        RecordError: the file is missing (a run that is under way or was killed), damaged or of
            another schema version.
    """
    path = run_dir / RESULT
    values = read_json(path)
    try:
        result = RunResult(**values)
        check_record(result, LIMITS)
    except TypeError as error:
        raise _unreadable(path, error) from error
    if result.status not in STATUSES:
        raise RecordError(f"{path}: unknown status {result.status!r}")
    return result


def finished_result(run_dir: Path, statuses: Collection[str] = ("completed",)) -> RunResult | None:
    """Return the result of a run that has ended in one of `statuses`; None for any other."""
    try:
        result = read_result(run_dir)
    except RecordError:
        return None
    return result if result.status in statuses else None


@dataclass(frozen=True)
class Predictions:
    """The content of val_predictions.npz.

    Args:
        indices: int64 [N], places of the validation images in the data set's training part.
        labels: int64 [N].
        probabilities: float16 [N, classes].
        class_names: text [classes].
    """

    indices: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float16]
    class_names: npt.NDArray[np.str_]

    def check(self) -> None:
        """Refuse arrays that do not fit each other.

        Raises:
            ValueError: it names one.
        """
        n, classes = len(self.labels), len(self.class_names)
        shapes = {"indices": (n,), "labels": (n,), "probabilities": (n, classes)}
        shapes["class_names"] = (classes,)
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"{name} has the shape {found}, must have {shape}")
        is_whole = self.labels.dtype.kind in "iu"
        if not is_whole or not ((self.labels >= 0) & (self.labels < classes)).all():
            raise ValueError(f"labels must be integers from 0 to {classes - 1}")


def write_predictions(run_dir: Path, predictions: Predictions) -> None:
    write_atomically(
        run_dir / PREDICTIONS, lambda file: np.savez_compressed(file, **vars(predictions))
    )


def read_predictions(run_dir: Path) -> Predictions:
    """Return the validation predictions.

    Raises:
        RecordError: the file is missing or damaged.
    """
    path = run_dir / PREDICTIONS
    try:
        # A file of our own: of a damaged one NumPy's stays open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = Predictions(**{name: arrays[name] for name in arrays.files})
        found.check()
        return found
    except Exception as error:  # a damaged archive raises almost anything
        raise _unreadable(path, error) from error


@dataclass
class TrackerRecord:
    """The content of tracker.json: under which name trackers know a run, and what they have of it.

    The id is written before a tracker hears of it: a kill leaves no run that nobody continues.

    Args:
        id: of the run, with every tracker.
        epochs: tracker -> the last epoch that it was given.
        ended: trackers that have the result.
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    epochs: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION


def read_tracker_record(run_dir: Path) -> TrackerRecord | None:
    """Return the record; None: there is none, or it is damaged, and the trackers begin anew."""
    try:
        values = read_json(run_dir / TRACKER)
        return TrackerRecord(str(values["id"]), dict(values["epochs"]), list(values["ended"]))
    except (RecordError, KeyError, TypeError, ValueError):
        return None


def write_tracker_record(run_dir: Path, record: TrackerRecord) -> None:
    write_json(run_dir / TRACKER, asdict(record))


def check_archive(path: Path) -> None:
    """Compare the checksums of what torch has written, without torch, which does not.

    Raises:
        RecordError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} is damaged")
    except Exception as error:  # a damaged archive raises almost anything
        raise _unreadable(path, error) from error


def read_json(path: Path, version: int = SCHEMA_VERSION) -> dict[str, Any]:
    """Return the content of a record in JSON.

    Args:
        version: that this version of the program reads.

    Raises:
        RecordError: it is missing, damaged or of another schema version.
    """
    try:
        if not path.is_file() and path.exists():
            raise OSError("not a regular file")
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(values, dict):
        allowed = f"must be an object, not a {type(values).__name__}"
        raise RecordError(f"{path}: cannot be read: {allowed}")
    found = values.get("schema_version")
    if found != version:
        raise RecordError(f"{path}: schema_version is {found}, this version reads {version}")
    return values


def _unreadable(path: Path, error: Exception) -> RecordError:
    if isinstance(error, RecordError):
        return error
    if isinstance(error, FileNotFoundError):
        return RecordError(f"{path}: there is no such file")
    return RecordError(f"{path}: cannot be read: {error}")


def _epoch_metrics(row: dict[str, str]) -> EpochMetrics:
    numbers = {name: None if row[name] == "" else float(row[name]) for name in METRIC_NAMES[1:]}
    return EpochMetrics(epoch=int(row["epoch"]), **numbers)  # type: ignore[arg-type]
