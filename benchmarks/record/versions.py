"""Which code trained the runs of a record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.record.comparisons import CURVES, FACTORS, STEPS, TEST, find_comparison
from benchmarks.record.reading import naming, read_values
from benchmarks.record.tested import CONFIRM, SWEEP
from resnet_sweep.records.confirmation import FINDINGS
from resnet_sweep.records.run_folder import RESULT, RunResult, read_result
from resnet_sweep.records.sweep_folder import is_sweep, read_sweep


def made_with(folder: Path) -> Iterator[str]:
    """Yield a line for each commit and torch version, with the stages whose runs have it."""
    stages: dict[tuple[str, str], list[str]] = {}  # a record may go on after an update
    for stage, run_dirs in _run_dirs(folder):
        for version in sorted({version_of(read_result(run_dir)) for run_dir in run_dirs}):
            stages.setdefault(version, []).append(stage)
    for (commit, torch), names in stages.items():
        yield f"Runs of commit {commit} with torch {torch}: {', '.join(names)}.\n"


def version_of(result: RunResult) -> tuple[str, str]:
    """Return the commits, shortened, and the torch version that a run was trained with."""
    return short_commits(result.git_commit), result.versions.get("torch", "unknown")


def short_commits(commits: str | None) -> str:
    """Shorten what a record names; a commit with changes on top keeps its `+`."""
    names = (commits or "unknown").split(", ")
    return ", ".join(name.removesuffix("+")[:8] + "+" * name.endswith("+") for name in names)


def _run_dirs(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Yield the folders of each stage's runs, of those that have a result."""
    if is_sweep(folder / SWEEP):
        sweep = read_sweep(folder / SWEEP)
        places = [sweep.run_dir(trial) for trial in sweep.trained()]
        yield "sweep", [place for place in places if place and (place / RESULT).exists()]
    confirmed = folder / SWEEP / CONFIRM
    if (confirmed / FINDINGS).exists():
        with naming(confirmed / FINDINGS):
            runs = read_values(confirmed / FINDINGS)["runs"]
            done = [confirmed / run["run_dir"] for run in runs if run["accuracy"] is not None]
        yield "confirmation", done
    for stage, title in ((TEST, "test set"), (FACTORS, "factors"), (STEPS, "steps")):
        compared = find_comparison(folder, stage)
        if compared is not None:
            ended = [*compared.runs, *compared.survivor_runs]
            yield title, [folder / stage / e.run_dir for e in ended if e.accuracy is not None]
    if (folder / CURVES / RESULT).exists():
        yield "curves", [folder / CURVES]
