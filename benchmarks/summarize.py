"""Time and memory of a summary of many runs, in folders that this program makes.

    python benchmarks/summarize.py                     10,000 runs of 100 epochs
    python benchmarks/summarize.py --runs 1000 --folder thousand_runs

Each step is a process of its own: tables (load_runs and load_epochs, cold), the whole command
with figures and report, the command again on the unchanged folder, and once more with one new
run. benchmarks/report_page.py measures the report in a browser.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from resnet_sweep.config import Config  # noqa: E402
from resnet_sweep.records.run_folder import METRIC_NAMES  # noqa: E402
from resnet_sweep.records.sweep_folder import (  # noqa: E402
    SweepRecord,
    SweepTrial,
    write_sweep_record,
    write_sweep_trials,
)

TABLES = """
import sys
from resnet_sweep.analysis.archive import read_archive
from resnet_sweep.analysis.runs import runs_table
from pathlib import Path
archive = read_archive(Path(sys.argv[1]))
print(len(runs_table(archive)), "runs,", archive.epochs.num_rows, "epochs")
"""
SPACE = {
    "optimizer.lr": "log interval(0.001, 1)",
    "regularization.dropout": "interval(0, 0.2)",
    "regularization.label_smoothing": "interval(0, 0.2)",
    "model.base_width": "range(16, 97, 8)",
    "train.batch_size": "choice(128, 256, 512, 1024)",
}


def make_runs(folder: Path, runs: int, epochs: int) -> None:
    """Write a sweep of this many trials; a tenth pruned, repeats of the first among them."""
    generator = np.random.default_rng(0)
    base = {"schema_version": 1, **asdict(Config(evaluate_test=False))}
    base["augmentation"]["crop_flip"] = {"padding": 4, "flip_probability": 0.5}
    sweep = folder / "sweeps" / "many"
    trials = []
    for number in range(runs):
        params = draw(generator) if number == 0 or number > 5 else trials[0].params
        trial = make_trial(number, params, epochs if generator.random() > 0.1 else epochs // 3)
        write_run(sweep / str(trial.run_dir), base, trial, epochs, generator)
        trials.append(trial)
    record = SweepRecord(
        "many", ["val_accuracy"], ["maximize"], runs, epochs, SPACE, [], "tpe", "asha", 16
    )
    write_sweep_record(sweep, record)
    write_sweep_trials(sweep, trials)


def draw(generator: np.random.Generator) -> dict[str, float | int]:
    return {
        "optimizer.lr": 10 ** generator.uniform(-3, 0),
        "regularization.dropout": generator.uniform(0, 0.2),
        "regularization.label_smoothing": generator.uniform(0, 0.2),
        "model.base_width": int(8 * generator.integers(2, 13)),
        "train.batch_size": int(2 ** generator.integers(7, 11)),
    }


def make_trial(number: int, params: dict[str, float | int], epochs: int) -> SweepTrial:
    start = 1.8e9 + (number // 8) * 100.0
    return SweepTrial(
        number,
        "completed",
        params=params,
        seed=number if number <= 5 else 0,
        worker=number % 8,
        started=start,
        ended=start + 90,
        epochs=epochs,
        train_seconds=90.0,
        run_dir=f"runs/{number}",
    )


def write_run(
    run_dir: Path, base: dict, trial: SweepTrial, full: int, generator: np.random.Generator
) -> None:
    run_dir.mkdir(parents=True)
    columns = draw_curves(trial, full, generator)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    lines = [",".join(METRIC_NAMES), *(",".join(map(repr, row)) for row in rows)]
    (run_dir / "metrics.csv").write_text("\n".join(lines) + "\n")
    (run_dir / "config.json").write_text(json.dumps(configured(base, trial), indent=2) + "\n")
    result = ended(trial, full, float(columns[5][-1]), float(columns[4][-1]))
    (run_dir / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def configured(base: dict, trial: SweepTrial) -> dict[str, Any]:
    config = json.loads(json.dumps(base))
    config["seed"] = trial.seed
    for name, value in trial.params.items():
        group, field = name.split(".")
        config[group][field] = value
    return config


def draw_curves(
    trial: SweepTrial, full: int, generator: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Return the columns of metrics.csv for the epochs of a trial out of `full`."""
    n = trial.epochs or 0
    accuracy = 0.94 - 0.01 * (np.log10(trial.params["optimizer.lr"]) + 1) ** 2
    accuracy += 0.0003 * trial.params["model.base_width"]
    share = np.arange(1, n + 1) / full
    noise = generator.normal(0, 0.0015, (n, 4))
    val = accuracy * (1 - 0.6 * np.exp(-5 * share)) + noise[:, 0]
    columns = [np.arange(1, n + 1), 0.1 * (1 - share), 2 - 1.8 * share + noise[:, 1]]
    columns += [val - 0.02 + noise[:, 2], 2 - 1.6 * share + noise[:, 3], val, 0.9 + 0 * share]
    return columns


def ended(trial: SweepTrial, full: int, accuracy: float, loss: float) -> dict[str, Any]:
    completed = trial.epochs == full
    return {
        "status": "completed" if completed else "pruned",
        "num_params": int(600 * trial.params["model.base_width"] ** 2),
        "multiply_adds": int(50_000 * trial.params["model.base_width"] ** 2),
        "epochs": trial.epochs,
        "val_accuracy": accuracy,
        "val_loss": loss,
        "test_accuracy": None,
        "test_loss": None,
        "objective": accuracy if completed else None,
        "train_seconds": 0.9 * trial.epochs,
        "images_per_second": 50_000 / 0.9,
        "peak_memory_bytes": 2_000_000_000,
        "seed": trial.seed,
        "device": "cpu",
        "versions": {"torch": "2.14"},
        "git_commit": None,
        "data_fingerprint": "00",
        "error": None,
        "schema_version": 1,
    }


def measure(name: str, command: list[str]) -> None:
    """Run a command and print its seconds, its peak memory and its last line.

    CPU seconds, over all cores, tell what it costs on a machine that does other work too.
    """
    began, cpu_began = time.perf_counter(), cpu_seconds()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    output = process.communicate()[0]
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - cpu_began
    if process.returncode:
        sys.exit(f"{name}: exit status {process.returncode}")
    # Of the largest child so far: later ones only show if they need more.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    last = output.strip().splitlines()[-1]
    times = f"{seconds:6.1f} s, {cpu:5.1f} s of CPU"
    print(f"{name:24} {times}   at most {peak:.2f} GiB so far   {last}", flush=True)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="where to make the runs; kept")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    outputs = folder / "outputs"
    if not outputs.exists():
        began = time.perf_counter()
        make_runs(outputs, given.runs, given.epochs)
        print(f"{given.runs} runs made in {time.perf_counter() - began:.0f} s", flush=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    shutil.rmtree(outputs / "summary", ignore_errors=True)
    command = [sys.executable, "analysis/summarize.py", str(outputs)]
    measure("tables", [sys.executable, "-c", TABLES, str(outputs)])
    measure("everything, cold", command)
    measure("again, nothing new", command)
    new = outputs / "sweeps" / "many" / "runs" / "0"
    shutil.copytree(new, outputs / "one_more")
    measure("again, one new run", command)
    shutil.rmtree(outputs / "one_more")
    if given.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
