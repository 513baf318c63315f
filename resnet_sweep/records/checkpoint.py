"""checkpoint.pt and model.pt; loading either never runs code from it."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import Any

import torch

from resnet_sweep.records.run_folder import (
    CHECKPOINT,
    MODEL,
    RESULT,
    SCHEMA_VERSION,
    CheckpointError,
    RecordError,
    check_archive,
)
from resnet_sweep.system.atomic import write_atomically

PREVIOUS_CHECKPOINT = "checkpoint.previous.pt"
NEW_CHECKPOINT = "checkpoint.new.pt"

CHECKPOINT_KEYS = {
    "position",
    "model",
    "optimizer",
    "schedule",
    "ema",
    "scaler",
    "sums",
    "rng",
    "data_fingerprint",
}
# Only in checkpoints of runs that use them, or not in those from before they were kept.
OPTIONAL_KEYS = {"lookahead", "swa", "teacher", "precision"}

log = logging.getLogger(__name__)


def write_checkpoint(run_dir: Path, state: dict[str, Any]) -> None:
    """Replace checkpoint.pt and keep the one before.

    Raises:
        OSError: the disk is full; the checkpoints are as they were.
    """
    current = run_dir / CHECKPOINT
    _save(run_dir / NEW_CHECKPOINT, state)
    if current.exists():
        os.replace(current, run_dir / PREVIOUS_CHECKPOINT)
    os.replace(run_dir / NEW_CHECKPOINT, current)


def read_checkpoint(run_dir: Path) -> dict[str, Any] | None:
    """Return the newest readable checkpoint on the CPU; None where there never was one.

    Raises:
        CheckpointError: there are checkpoints and none can be read.
    """
    names = [n for n in (CHECKPOINT, PREVIOUS_CHECKPOINT) if (run_dir / n).exists()]
    problems: list[RecordError] = []
    for name in names:
        try:
            state = _load(run_dir / name)
            if state.keys() - OPTIONAL_KEYS != CHECKPOINT_KEYS | {"schema_version"}:
                raise RecordError(f"{run_dir / name}: is not a checkpoint of this version")
            return state
        except RecordError as error:
            problems.append(error)
            log.warning("%s", error)
            if name != names[-1]:
                log.warning("falling back to the checkpoint before it")
    if problems:
        hint = "delete the checkpoints to start again from the beginning"
        raise CheckpointError(f"{problems[0]}; there is no other", hint)
    return None


def set_aside(run_dir: Path) -> None:
    """Rename what a run goes on from, so that it starts from its beginning."""
    for name in (CHECKPOINT, PREVIOUS_CHECKPOINT, MODEL, RESULT):
        if (run_dir / name).exists():
            os.replace(run_dir / name, run_dir / f"{name}.damaged")


def write_model(run_dir: Path, content: dict[str, Any]) -> None:
    """Write the weights and what is needed to rebuild the net."""
    _save(run_dir / MODEL, content)


def read_model(run_dir: Path) -> dict[str, Any]:
    """Return the content of model.pt on the CPU.

    Raises:
        RecordError: the file is missing or damaged.
    """
    return _load(run_dir / MODEL)


def _save(path: Path, content: dict[str, Any]) -> None:
    # Through memory: written straight to a full disk, torch hides the OSError.
    buffer = io.BytesIO()
    torch.save({"schema_version": SCHEMA_VERSION, **content}, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def _load(path: Path) -> dict[str, Any]:
    check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises almost anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"{path}: cannot be read: {reason}") from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise RecordError(f"{path}: is not a checkpoint of this version")
    return content
