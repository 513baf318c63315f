"""Tables of runs and epochs for whoever wants to go on with pandas; which runs count as what."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd

from resnet_sweep.analysis.archive import NUMBERS, TEXTS, Archive, read_archive, valid_text
from resnet_sweep.analysis.objective import Objective
from resnet_sweep.records.sweep_folder import RUNS, SweepTrial, rung_of

INTEGERS = frozenset({"num_params", "multiply_adds", "epochs", "peak_memory_bytes"})
ORDER = (
    "completed",
    "pruned",
    "running",
    "waiting",
    "rejected",
    "interrupted",
    "diverged",
    "out_of_memory",
    "failed",
    "unreadable",
)
RESULT_COLUMNS = (
    "run",
    "status",
    "reason",
    "configuration",
    "split",
    "sweep",
    "trial",
    "trial_state",
    "rung",
    "repeat_of",
    "worker",
    "started",
    "ended",
    *NUMBERS,
    *TEXTS,
    "versions",
)

# Columns that are there even where no configuration could be read.
ALWAYS = ("seed", "data", "augmentation")
_TRIAL_COLUMNS = (
    ("trial", "number", "Int64"),
    ("trial_state", "state", "str"),
    ("repeat_of", "repeat_of", "Int64"),
    ("worker", "worker", "Int64"),
    ("started", "started", "float64"),
    ("ended", "ended", "float64"),
)


def load_runs(path: str | Path, cache_dir: str | Path | None = None) -> pd.DataFrame:
    """Return one row per run found at or below `path`.

    Columns: RESULT_COLUMNS, as result.json has them, and every setting of config.json under
    its dotted name (`optimizer.lr`); a group's choice stands under the group (`optimizer`),
    lists are JSON text, what a run does not have is missing. `status` is one of the run
    folder's, `running` (a process trains in it; the `reason` says how far it is) or `unreadable`
    (the `reason` says why). `configuration` is shared by runs that only the seed or the `split`
    tells apart; the split is the part of the training images they are judged by. `rung` is the
    length of a trial's shorter training, missing for the whole one; `trial_state` what its sweep
    made of the trial. Accuracies are fractions, times seconds.

    Args:
        cache_dir: where to keep what was read; only new and changed runs are read again.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    return runs_table(read_archive(path, cache_dir))


def load_epochs(path: str | Path, cache_dir: str | Path | None = None) -> pd.DataFrame:
    """Return one row per run and epoch: `run` and the columns of metrics.csv.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    epochs: pd.DataFrame = read_archive(path, cache_dir).epochs.to_pandas()
    return epochs


def runs_table(archive: Archive) -> pd.DataFrame:
    """Return the runs of an archive as `load_runs` does."""
    records = [archive.records[each.run] for each in archive.found]
    columns: dict[str, Any] = {
        "run": pd.Series([each.run for each in archive.found], dtype="str"),
        **{
            name: pd.Series([record.get(name) for record in records], dtype="str")
            for name in ("status", "reason", "configuration", "split")
        },
    }
    for name in (*NUMBERS, *TEXTS, "versions"):
        values = [record["result"].get(name) for record in records]
        if name not in NUMBERS:
            kind = "str"
        elif name in INTEGERS and all(v is None or isinstance(v, int) for v in values):
            kind = "Int64"
        else:
            kind = "float64"
        columns[name] = pd.Series(values, dtype=kind)
    columns |= _sweep_columns(archive)
    names: dict[str, Any] = {}
    for record in records:
        names |= record["settings"]
    settings = [name for name in names | dict.fromkeys(ALWAYS) if name not in RESULT_COLUMNS]
    for name in settings:
        columns[name] = setting_column([record["settings"].get(name) for record in records])
    return pd.DataFrame(columns)[[*RESULT_COLUMNS, *settings]]


def _sweep_columns(archive: Archive) -> dict[str, pd.Series[Any]]:
    """Return which trial of which sweep each run was, where it was one."""
    trials = _trials_of_runs(archive)
    rungs = [rung_of(each.run) for each in archive.found]
    rungs = [rung if rung is not None and rung[0] in trials else None for rung in rungs]
    rows = [
        trials.get(each.run if rung is None else rung[0], (None, None))
        for each, rung in zip(archive.found, rungs, strict=True)
    ]
    columns: dict[str, pd.Series[Any]] = {
        "sweep": pd.Series([study for study, _ in rows], dtype="str"),
        "rung": pd.Series([None if rung is None else rung[1] for rung in rungs], dtype="Int64"),
    }
    for name, field, kind in _TRIAL_COLUMNS:
        values = [None if trial is None else getattr(trial, field) for _, trial in rows]
        values = [None if value == "" else value for value in values]  # it has not ended
        columns[name] = pd.Series(values, dtype=kind)
    return columns


def _trials_of_runs(archive: Archive) -> dict[str, tuple[str, SweepTrial]]:
    """Return sweep and trial by name of the run.

    A sweep records a trial when it has ended: one under way is known by its folder.
    """
    trials: dict[str, tuple[str, SweepTrial]] = {}
    labels = sweep_labels(archive)
    for name, sweep in archive.sweeps.items():
        for trial in sweep.trials:
            if trial.run_dir is not None:
                trials[run_of_trial(archive, name, trial)] = (labels[name], trial)
    places = {run_of_trial(archive, name, SweepTrial(0, "", run_dir=RUNS)): name for name in labels}
    for run in {(rung_of(each.run) or (each.run,))[0] for each in archive.found} - trials.keys():
        folder, _, number = run.rpartition("/")
        if folder in places and number.isdecimal() and number.isascii():
            under_way = SweepTrial(int(number), "", run_dir=f"{RUNS}/{number}")
            trials[run] = (labels[places[folder]], under_way)
    return trials


def sweep_labels(archive: Archive) -> dict[str, str]:
    """Return what each sweep folder is called: its study, or its place where two share a name."""
    names = {
        folder: str(valid_text(sweep.record.study_name)) for folder, sweep in archive.sweeps.items()
    }
    shared = Counter(names.values())
    return {folder: name if shared[name] == 1 else folder for folder, name in names.items()}


def run_of_trial(archive: Archive, sweep: str, trial: SweepTrial) -> str:
    """Return the name of a trial's run; the sweep may be the root itself."""
    is_root = archive.sweeps[sweep].folder == archive.root
    return str(trial.run_dir) if is_root else f"{sweep}/{trial.run_dir}"


def setting_names(runs: pd.DataFrame) -> list[str]:
    """Return the columns that are settings."""
    return [str(name) for name in runs.columns if name not in RESULT_COLUMNS]


def differing_settings(runs: pd.DataFrame) -> list[str]:
    """Return the settings that have at least two values among these runs, absence included."""
    readable = runs[runs["configuration"].notna()]
    return [name for name in setting_names(runs) if readable[name].nunique(dropna=False) > 1]


def text_of(value: Any) -> str:
    """Return a table cell as text: six significant digits; nothing where there is no value."""
    if isinstance(value, (bool, np.bool_)):
        return str(value).lower()
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def setting_column(values: list[Any]) -> pd.Series[Any]:
    """Return a column of the narrowest type that holds the values: boolean, number or text."""
    kinds = set(map(type, values)) - {NoneType}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(v is None or abs(v) < 2**63 for v in values):
        return pd.Series(values, dtype="Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series([None if v is None else float(v) for v in values], dtype="float64")
    if kinds != {str}:
        values = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pd.Series(values, dtype="str")


def completed(runs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Return the completed runs that have a finite objective; a rung is no whole run."""
    finite = np.isfinite(runs[objective.column].astype("float64"))
    return runs[(runs["status"] == "completed") & finite & runs["rung"].isna()]


def pruned(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that pruning ended, among them the last rung of a trial pruned there."""
    last = runs.groupby(["sweep", "trial"])["rung"].transform("max") == runs["rung"]
    ended_at_rung = (runs["trial_state"] == "pruned") & last.fillna(False)
    return runs[(runs["status"] == "pruned") | ended_at_rung]


def count_statuses(archive: Archive, runs: pd.DataFrame) -> tuple[dict[str, int], float | None]:
    """Return runs and proposals without one by status, and the rejection rate.

    A trial counts once: its finished rungs only where it was pruned after them.

    Args:
        runs: those that count, and with them their sweeps.
    """
    finished_rung = runs["rung"].notna() & (runs["status"] == "completed")
    ended_at_rung = pruned(runs)["rung"].notna().sum()
    counts = Counter(runs.loc[~finished_rung, "status"].tolist())
    trials = _trials(archive, runs)
    rejected = sum(trial.state == "rejected" for _, trial in trials)
    # What another sweep has trained was no proposal of this one.
    is_own = ((t.run_dir is not None or t.state == "failed") for _, t in trials if t.is_trained)
    trained = sum(is_own)
    begun = set(zip(runs["sweep"], runs["trial"], strict=True))
    counts["pruned"] += int(ended_at_rung)
    counts["rejected"] += rejected
    counts["waiting"] += sum(
        t.state == "waiting" and (label, t.number) not in begun for label, t in trials
    )
    counts["failed"] += sum(t.state == "failed" and t.run_dir is None for _, t in trials)
    shown = {status: counts[status] for status in ORDER if counts[status]}
    rate = rejected / (rejected + trained) if rejected + trained else None
    return shown, rate


def _trials(archive: Archive, runs: pd.DataFrame) -> list[tuple[str, SweepTrial]]:
    """Return label and trial of sweeps that have runs among these, or of all where all runs are."""
    labels, chosen = sweep_labels(archive), set(runs["sweep"].dropna())
    return [
        (labels[folder], trial)
        for folder, sweep in archive.sweeps.items()
        if labels[folder] in chosen or len(runs) == len(archive.found)
        for trial in sweep.trials
    ]
