"""Everything below a folder as records and curves in memory, read anew only where files changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resnet_sweep.analysis.code_digest import code_digest
from resnet_sweep.analysis.discover import Found, FoundRun, FoundSweep, find_runs
from resnet_sweep.config.compose import LIST_GROUPS
from resnet_sweep.records.identity import configuration_id, split_of
from resnet_sweep.records.metrics_batch import read_metrics_batch
from resnet_sweep.records.run_folder import (
    CONFIG,
    RESULT,
    RecordError,
    RunResult,
    read_config_values,
    read_result,
)
from resnet_sweep.records.sweep_folder import RUNS, SWEEP_LOCK, TRIALS, Sweep, salvage_sweep
from resnet_sweep.system.atomic import write_atomically
from resnet_sweep.system.locks import is_locked

MADE_BY = b"code_digest"
BATCH = 500
MISSING = "there is no such file"
NO_RESULT = f"{RESULT}: {MISSING}"
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
TEXTS = ("objective_name", "device", "data_fingerprint", "git_commit")


@dataclass(frozen=True)
class Archive:
    """What stands in the run folders below a folder.

    Args:
        found: runs sorted by name.
        sweeps: by name of the sweep folder.
        sweep_errors: what is damaged or missing in the record of a sweep, by its name.
        records: by name of the run; see `read_record`.
        epochs: columns `run` (dictionary-coded names) and those of metrics.csv; the rows of a
            run lie together.
        num_read: runs whose files were opened, the others being unchanged.
    """

    root: Path
    found: list[FoundRun]
    sweeps: dict[str, Sweep]
    sweep_errors: dict[str, str]
    records: dict[str, dict[str, Any]]
    epochs: pa.Table
    num_read: int

    @property
    def paths(self) -> dict[str, Path]:
        """The folders by name of the run."""
        return {each.run: each.path for each in self.found}


def read_archive(root: str | Path, cache_dir: str | Path | None = None) -> Archive:
    """Read every run below `root`; with a `cache_dir`, only what is new or changed.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    root = Path(root)
    return read_found(root, find_runs(root), None if cache_dir is None else Path(cache_dir))


def read_found(
    root: Path,
    found: Found,
    cache_dir: Path | None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Archive:
    """Read what `find_runs` found, as `read_archive` does.

    Args:
        on_progress: called with the number of runs read and the number to read.
    """
    runs = found.runs
    records, epochs, num_cached = _read_cache(cache_dir, runs)
    to_read = [each for each in runs if each.run not in records]
    tables = [epochs]
    for start in range(0, len(to_read), BATCH):
        batch = to_read[start : start + BATCH]
        tables.append(_read_batch(batch, records))
        on_progress(start + len(batch), len(to_read))
    joined = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    sweeps, sweep_errors = _read_sweeps(found.sweeps)
    for name, sweep in sweeps.items():
        problem = _missing_trials(name if sweep.folder != root else "", sweep, records)
        if problem is not None:
            sweep_errors[name] = "; ".join(filter(None, (sweep_errors.get(name), problem)))
    archive = Archive(root, runs, sweeps, sweep_errors, records, joined, len(to_read))
    if cache_dir is not None and (to_read or num_cached != len(runs)):
        _write_cache(cache_dir, archive)
    return archive


def _read_sweeps(found: list[FoundSweep]) -> tuple[dict[str, Sweep], dict[str, str]]:
    sweeps, errors = {}, {}
    for each in found:
        try:
            sweeps[each.sweep], problem = salvage_sweep(each.path)
            if problem is not None:
                errors[each.sweep] = shorten(RecordError(problem), each.path)
        except RecordError as error:
            errors[each.sweep] = shorten(error, each.path)
    return sweeps, errors


def _missing_trials(name: str, sweep: Sweep, records: dict[str, dict[str, Any]]) -> str | None:
    """Return what is wrong where runs of a sweep have ended of which its record knows nothing."""
    folder = f"{name}/{RUNS}".lstrip("/")
    runs = {run: each for run, each in records.items() if run.rpartition("/")[0] == folder}
    unfinished = (RUNNING, UNREADABLE, "interrupted")
    ended = {run for run, each in runs.items() if each["status"] not in unfinished}
    known = {f"{name}/{each.run_dir}".lstrip("/") for each in sweep.trials}
    # A sweep that runs is about to record them.
    if ended <= known or is_locked(sweep.folder / SWEEP_LOCK):
        return None
    lacks = f"{TRIALS} lacks {len(ended - known)} of {len(ended)} runs that have ended"
    return f"{lacks}; the command of the sweep, given again, records them"


def _read_batch(batch: list[FoundRun], records: dict[str, dict[str, Any]]) -> pa.Table:
    """Add the records of a batch and return its epochs."""
    metrics = read_metrics_batch([each.path for each in batch])
    rows = np.bincount(metrics.table["run"].to_numpy(), minlength=len(batch)).tolist()
    unreadable = []
    for place, each in enumerate(batch):
        if each.reason is None:
            record = read_record(each.path, each.is_held)
        else:
            record = {"status": UNREADABLE, "reason": each.reason, "settings": {}, "result": {}}
        error = metrics.errors.get(place)
        _check_epochs(record, rows[place], None if error is None else shorten(error, each.path))
        records[each.run] = record
        if record["status"] == UNREADABLE:
            unreadable.append(place)
    keep = pc.invert(pc.is_in(metrics.table["run"], pa.array(unreadable, pa.int32())))
    return _named(metrics.table.filter(keep), [each.run for each in batch])


def _check_epochs(record: dict[str, Any], rows: int, problem: str | None) -> None:
    """Mark a run as unreadable whose metrics are damaged or not of the length it claims."""
    progress = f"epoch {rows} of {record['settings'].get('train.epochs', '?')}"
    if record["status"] == UNREADABLE:
        if record["reason"] == NO_RESULT:
            record["reason"] += f": killed after {progress}, or training where no lock shows it"
        return
    if record["status"] == RUNNING:
        record["result"]["epochs"], record["reason"] = rows, progress
    epochs = record["result"]["epochs"]
    if problem is None and rows != epochs:
        problem = f"metrics.csv has {rows} epochs, result.json says {epochs}"
    if problem is not None and (epochs or rows or not problem.endswith(MISSING)):
        record["status"], record["reason"] = UNREADABLE, problem


def _named(table: pa.Table, names: list[str]) -> pa.Table:
    codes = table["run"].combine_chunks()
    column = pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
    return table.set_column(0, "run", column)


def _paths(cache_dir: Path) -> tuple[Path, Path]:
    return cache_dir / "records.parquet", cache_dir / "epochs.parquet"


def _read_cache(
    cache_dir: Path | None, runs: Iterable[FoundRun]
) -> tuple[dict[str, dict[str, Any]], pa.Table, int]:
    """Return records and epochs of the runs that are as they were, and how many runs it holds.

    A bad cache is no cache.
    """
    empty = _named(read_metrics_batch([]).table, [])
    if cache_dir is None:
        return {}, empty, 0
    records_path, epochs_path = _paths(cache_dir)
    try:
        table = pq.read_table(records_path, memory_map=False)
        if (table.schema.metadata or {}).get(MADE_BY) != code_digest().encode():
            return {}, empty, 0
        stamps = {each.run: each.stamp for each in runs}
        rows = zip(*(table[name].to_pylist() for name in ("run", "stamp", "record")), strict=True)
        texts = {run: text for run, stamp, text in rows if stamps.get(run) == stamp}
        found = json.loads(f"[{','.join(texts.values())}]")  # at once: they share their names
        records = dict(zip(texts, found, strict=True))
        epochs = pq.read_table(epochs_path, read_dictionary=["run"])
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return {}, empty, 0
    if len(records) < table.num_rows:
        known = pa.array(list(records), pa.string())
        epochs = epochs.filter(pc.is_in(epochs["run"], known))
    return records, epochs.cast(empty.schema), table.num_rows


def _write_cache(cache_dir: Path, archive: Archive) -> None:
    """Write both files; the records last, since they vouch for the epochs."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    records_path, epochs_path = _paths(cache_dir)
    records_path.unlink(missing_ok=True)
    write_epochs(epochs_path, archive.epochs)
    table = pa.table(
        {
            "run": [each.run for each in archive.found],
            "stamp": [each.stamp for each in archive.found],
            "record": [json.dumps(archive.records[each.run]) for each in archive.found],
        }
    ).replace_schema_metadata({MADE_BY: code_digest().encode()})
    write_atomically(records_path, lambda file: pq.write_table(table, file, compression="zstd"))


def write_epochs(path: Path, epochs: pa.Table) -> None:
    """Write epochs of runs as Parquet; most of their numbers occur once, so only runs are coded."""
    write_atomically(
        path, lambda file: pq.write_table(epochs, file, compression="lz4", use_dictionary=["run"])
    )


def read_record(run_dir: Path, is_held: bool = False) -> dict[str, Any]:
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
        if is_held and isinstance(error.__cause__, FileNotFoundError):
            result = {"status": RUNNING, "epochs": 0}
        else:
            reasons.append(shorten(error, run_dir))
    configuration = None
    try:
        if config:
            configuration = configuration_id(config, 4, result.get("data_fingerprint"))
    except RecursionError:
        reasons.append(f"{CONFIG}: is nested too deeply")
    status = UNREADABLE if reasons else result.pop("status")
    reason = "; ".join(reasons) or result.pop("error", None)
    return {
        "status": status,
        "reason": reason,
        "settings": settings,
        "result": result,
        "configuration": configuration,
        "split": split_text(config) if config else None,
    }


def split_text(config: dict[str, Any]) -> str:
    """Return which part of the training images a run is judged by."""
    size, seed = split_of(config)
    if size == 0:
        return NO_SPLIT
    amount = f"{size:g}" if isinstance(size, (int, float)) else size
    text: str = valid_text(f"val_size={amount} split_seed={seed}")
    return text


def flatten(config: dict[str, Any]) -> dict[str, Any]:
    """Return dotted names and values; a group's `name` stands under the group itself.

    A group of which several options may be chosen becomes the names of those in use, joined by +.
    """
    flat: dict[str, Any] = {}
    _flatten_into(flat, "", config)
    for group in LIST_GROUPS:
        parts = config.get(group)
        if not isinstance(parts, dict):
            continue
        used = [name for name, options in parts.items() if options is not None]
        for name in parts.keys() - used:
            flat.pop(f"{group}.{name}", None)
        flat[group] = valid_text("+".join(used)) or "none"
    return flat


def _flatten_into(flat: dict[str, Any], prefix: str, node: dict[str, Any]) -> None:
    for key, value in node.items():
        # One string for all runs: less memory, and found faster.
        name = sys.intern(prefix + (key if key.isascii() else valid_text(key)))
        kind = value.__class__  # one of JSON's
        if kind is dict:
            _flatten_into(flat, f"{name}.", value)
            continue
        if kind is list:
            value = json.dumps(value)
        elif kind is str and not value.isascii():
            value = valid_text(value)
        flat[prefix[:-1] if key == "name" and prefix else name] = value


def shorten(error: Exception, run_dir: Path) -> str:
    """Return an error's text without the folder that it happened in, in valid UTF-8."""
    text = str(error).replace(f"{run_dir}/", "")
    return " ".join(str(valid_text(text)).split())


def _result_values(result: RunResult) -> dict[str, Any]:
    values = vars(result)
    numbers = {name: values[name] for name in ("status", *NUMBERS)}
    if values["device"] == "cpu" and values["precision"] is None:
        # An old record: it may have the highest of a process that trained other runs before.
        numbers["peak_memory_bytes"] = None
    texts = {name: valid_text(values[name]) for name in ("error", *TEXTS)}
    versions = values["versions"]
    return {**numbers, **texts, "versions": json.dumps(versions) if versions else None}


def valid_text(value: Any) -> Any:
    """Return text that UTF-8 can hold; a path may have bytes that are no UTF-8."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()
