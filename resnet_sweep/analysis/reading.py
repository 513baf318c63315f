"""One run folder as flat values that fit a table row and a cache."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resnet_sweep.records.identity import SPLIT, configuration_id
from resnet_sweep.records.run_folder import (
    RecordError,
    TrialResult,
    read_config_values,
    read_result,
)

NO_SPLIT = "none"
RUNNING, UNREADABLE = "running", "unreadable"
NUMBERS = (
    "num_params",
    "multiply_adds",
    "epochs",
    "val_accuracy",
    "val_loss",
    "test_accuracy",
    "test_loss",
    "objective",
    "train_seconds",
    "images_per_second",
    "peak_memory_bytes",
)
TEXTS = ("device", "data_fingerprint", "git_commit")


def read_record(run_dir: Path, is_claimed: bool = False) -> dict[str, Any]:
    """Return a run's `status`, `reason`, `settings` (flat) and `result`; never raises.

    What cannot be read gives the status `unreadable` and the reason; what has no result yet
    and a process that works on it, `running`.
    """
    reasons = []
    config: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    result: dict[str, Any] = {}
    try:
        config = read_config_values(run_dir)
        settings = flatten(config)
    except RecordError as error:
        reasons.append(shorten(error, run_dir))
    try:
        result = _result_values(read_result(run_dir))
    except RecordError as error:
        if is_claimed and isinstance(error.__cause__, FileNotFoundError):
            result = {"status": RUNNING, "epochs": 0}
        else:
            reasons.append(shorten(error, run_dir))
    status = UNREADABLE if reasons else result.pop("status")
    reason = "; ".join(reasons) or result.pop("error", None)
    fingerprint = result.get("data_fingerprint")
    return {
        "status": status,
        "reason": reason,
        "settings": settings,
        "result": result,
        "configuration": configuration_id(config, 4, fingerprint) if config else None,
        "split": split_text(settings) if settings else None,
    }


def refused_record(reason: str | None) -> dict[str, Any]:
    """Return the record of a place that cannot be looked into."""
    return {"status": UNREADABLE, "reason": reason, "settings": {}, "result": {}}


def split_text(settings: dict[str, Any]) -> str:
    """Return which part of the training images a run is judged by."""
    size, seed = (settings.get(name) for name in SPLIT)
    if size == 0:
        return NO_SPLIT
    amount = f"{size:g}" if isinstance(size, (int, float)) else size
    return f"val_size={amount} split_seed={seed}"


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """Return dotted names and values; a group's `name` stands under the group itself.

    `augmentation` becomes the names of those in use, joined by +.
    """
    flat: dict[str, Any] = {}
    _flatten_into(flat, "", config)
    augmentation = config.get("augmentation")
    if isinstance(augmentation, dict):
        used = [name for name, options in augmentation.items() if options is not None]
        unused = [f"augmentation.{name}" for name in augmentation if name not in used]
        for name in unused:
            flat.pop(name, None)
        flat["augmentation"] = valid_text("+".join(used)) or "none"
    return flat


def _flatten_into(flat: dict[str, Any], prefix: str, node: dict[str, Any]) -> None:
    for name_of_node, value in node.items():
        key = valid_text(name_of_node)
        if isinstance(value, dict):
            _flatten_into(flat, f"{prefix}{key}.", value)
        else:
            name = prefix[:-1] if key == "name" and prefix else f"{prefix}{key}"
            flat[name] = json.dumps(value) if isinstance(value, list) else valid_text(value)


def shorten(error: Exception, run_dir: Path) -> str:
    """Return an error's text without the folder that it happened in, in valid UTF-8."""
    text = str(error).replace(f"{run_dir}/", "")
    return " ".join(str(valid_text(text)).split())


def _result_values(result: TrialResult) -> dict[str, Any]:
    values = asdict(result)
    numbers = {name: values[name] for name in ("status", *NUMBERS)}
    texts = {name: valid_text(values[name]) for name in ("error", *TEXTS)}
    versions = values["versions"]
    return {**numbers, **texts, "versions": json.dumps(versions) if versions else None}


def valid_text(value: Any) -> Any:
    """Return text that UTF-8 can hold; a path may have bytes that are no UTF-8."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()
