"""One odd entry, in any file that a summary reads, never ends the summary."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from generated_runs import write_run, write_sweep

from resnet_sweep.analysis import figures
from resnet_sweep.analysis.figures import FIGURES
from resnet_sweep.analysis.summary.summarize import Options, Summary, summarize
from resnet_sweep.records.run_folder import RecordError
from resnet_sweep.records.sweep_folder import read_sweep

HUGE, SURROGATE, NAN = 10**400, "\udcff", float("nan")
DEEP: Any = json.loads("[" * 900 + "]" * 900)
ODD: list[Any] = [None, "x", 3, -1, 1e25, -1e300, 1e999, NAN, HUGE, True, [], [1], {}, {"a": 3}]
ODD += [SURROGATE, {SURROGATE: 1}, DEEP]

RESULT_FIELDS = ["status", "num_params", "multiply_adds", "epochs", "val_accuracy", "val_loss"]
RESULT_FIELDS += ["test_accuracy", "test_loss", "objective", "train_seconds", "seed", "device"]
RESULT_FIELDS += ["images_per_second", "peak_memory_bytes", "versions", "git_commit", "error"]
RESULT_FIELDS += ["data_fingerprint"]
TRIAL_FIELDS = ["number", "state", "reason", "error", "params", "values", "intermediate_values"]
TRIAL_FIELDS += ["num_params", "multiply_adds", "seed", "worker", "started", "ended", "epochs"]
TRIAL_FIELDS += ["train_seconds", "run_dir", "repeat_of"]
SWEEP_FIELDS = ["study_name", "objectives", "directions", "n_trials", "epochs", "space"]
SWEEP_FIELDS += ["overrides", "sampler", "pruner", "n_startup_trials"]
CONFIG_FIELDS = ["seed", "model", "optimizer", "augmentation", "data", "train", SURROGATE]
CONFIG_FIELDS += ["model.max_params", "data.val_size", "optimizer.lr", "optimizer.name"]


@pytest.fixture(autouse=True)
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw none: they take long, and what they read has been checked before."""
    monkeypatch.setattr(figures, "FIGURES", FIGURES[:0])


def summary_of(root: Path) -> Summary:
    return summarize(Options(root=root, output=root / "summary"))


def _set(values: dict[str, Any], name: str, odd: Any) -> None:
    *groups, field = name.split(".")
    for group in groups:
        values = values[group]
    values[field] = odd


def _mutations(path: Path, line: int, name: str) -> list[str]:
    lines = path.read_text().splitlines() if line else [path.read_text()]
    texts = []
    for odd in ODD:
        values = json.loads(lines[line])
        _set(values, name, odd)
        texts.append("\n".join([*lines[:line], json.dumps(values), *lines[line + 1 :], ""]))
    return texts


PLACES = [(name, "result.json") for name in RESULT_FIELDS]
PLACES += [(name, "config.json") for name in CONFIG_FIELDS]


@pytest.mark.slow
def test_runs_with_an_odd_value_are_told_or_taken(tmp_path: Path) -> None:
    """One run for each value in each field, all in one summary."""
    write_sweep(tmp_path / "s", trials=14)
    write_run(tmp_path / "whole", 0.9, {"data": "digits"})
    texts = [(file, text) for name, file in PLACES
             for text in _mutations(tmp_path / "whole" / file, 0, name)]  # fmt: skip
    for place, (file, text) in enumerate(texts):
        folder = tmp_path / "odd" / str(place)
        shutil.copytree(tmp_path / "whole", folder)
        (folder / file).write_text(text)
    found = summary_of(tmp_path)
    runs = pd.read_parquet(tmp_path / "summary" / "runs.parquet")
    assert len(runs) == 14 + len(texts) and not found.problems
    unreadable = runs[runs["status"] == "unreadable"]
    assert len(unreadable) > len(texts) / 2 and unreadable["reason"].str.contains(".json").all()


SWEEPS = [("sweep.json", 0, name) for name in SWEEP_FIELDS]
SWEEPS += [("trials.jsonl", 3, name) for name in TRIAL_FIELDS]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mutated")
    write_sweep(root / "s", trials=14)
    return root / "s"


@pytest.mark.slow
@pytest.mark.parametrize(("file", "line", "name"), SWEEPS)
def test_an_odd_value_in_a_sweep_is_told_or_taken(
    sweep: Path, file: str, line: int, name: str
) -> None:
    path = sweep / file
    whole = path.read_text()
    try:
        for text in _mutations(path, line, name):
            path.write_text(text)
            try:
                read_sweep(sweep)
            except RecordError as error:
                assert file in str(error)
            else:
                assert summary_of(sweep.parent).counts["completed"] >= 10
    finally:
        path.write_text(whole)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.slow
@pytest.mark.parametrize("file", ["sweep.json", "trials.jsonl"])
@pytest.mark.parametrize("damage", [Path.unlink, _empty, lambda path: path.write_bytes(b"\0\xff")])
def test_a_lost_record_of_a_sweep_is_told(
    tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    write_sweep(tmp_path / "s", trials=14)
    damage(tmp_path / "s" / file)
    found = summary_of(tmp_path)
    assert found.counts["completed"] + found.counts["pruned"] + found.counts["diverged"] == 13
    assert len(found.problems) == 1 and f"sweep s: {file}" in found.problems[0]
