"""A whole sweep on one GPU beside the packaged hydra-optuna-sweeper with its joblib launcher.

    uv pip install -c constraints.txt -e '.[benchmarks]'
    python benchmarks/gpu_sweep.py --data data/cifar10-jpeg --output benchmarks/results/sweep.json
    python benchmarks/gpu_sweep.py --small --launcher basic     (a minute, on any machine)

Four trials of 10 epochs, wrn_2343 at batch 128, over two architectures and two seeds (a grid: the
same nets for all): this sweeper; the packaged one with this project's training; the packaged one
with the usual loop (usual_app.py). Whole programs are timed, from command to end. Each is one
measurement of a few minutes; called again with the same --output, those that are left follow.

Of this sweeper's trials it is read, from their records, what passes from the end of one to the end
of the next of the same worker without training: building the net, the first capture of its graph,
checkpoints, files and the study. At most that is what passes until the next trial's first step.
Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from measurements import Row, add_options, open_measurements
from packaged_sweeper import between_trials, conf_without_ours, require_joblib_launcher
from usual_app import SECONDS

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.records.run_folder import read_result
from resnet_sweep.records.sweep_folder import read_sweep_trials

GRID = ["model.shortcut_kernel_size=choice(1,3)", "seed=range(0,2)"]
TRIALS = 4
COMMON = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_jobs=1"]
COMMON += [f"hydra.sweeper.n_trials={TRIALS}", *GRID]
OURS = ["train.figures=false", "tracker=none", "train.progress=false"]
OURS += ["evaluate_test=false", "search_space=[]"]
OWN = ["hydra/sweeper/pruner=none", "hydra.sweeper.study_name=own", "hydra.sweeper.start_from=[]"]
OWN += ["hydra.sweeper.noise_repeats=0"]
PACKAGED = ["hydra.sweeper.direction=maximize", "hydra.sweep.dir=many"]
FULL = ["train.epochs=10", "train.batch_size=128"]
SMALL = ["train.epochs=1", "train.batch_size=32", "train.device=cpu", "train.num_threads=1"]
SMALL += ["model.widths=[4,8]", "model.blocks=[1,1]", "model.strides=[2,2]", "data=digits"]
SMALL_DATA = ["data.train_subset=200"]
TRAINING = ["-m", "resnet_sweep.train"]
USUAL = [str(Path(__file__).parent / "usual_app.py")]


def contenders(data: list[str], size: list[str], launcher: str, small: bool) -> dict[str, Any]:
    """Return the arguments of Python for each; CONF stands for a folder of the packaged one's."""
    launch = [f"hydra/launcher={launcher}", *(["hydra.launcher.n_jobs=1"] * (launcher == "joblib"))]
    packaged = ["--config-path", "CONF", *COMMON, *PACKAGED, *launch, *size]
    usual = ["+num_images=200", "+workers=0"] if small else ["+num_images=45000", "+workers=8"]
    return {
        "this sweeper": [*TRAINING, *COMMON, *OWN, *OURS, *size, *data],
        f"packaged, {launcher}, this training": [*TRAINING, *packaged, *OURS, *data],
        f"packaged, {launcher}, usual loop": [*USUAL, *packaged, *usual],
    }


def measure(arguments: list[str]) -> Row:
    """Run one contender's sweep in an empty folder.

    Raises:
        RuntimeError: it failed, or not all trials were trained.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        conf = str(conf_without_ours(folder))
        command = [sys.executable, *(conf if each == "CONF" else each for each in arguments)]
        started = time.time()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=590)
        wall = time.time() - started
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip()[-500:])
        seconds = _train_seconds(folder)
        if len(seconds) != TRIALS:
            raise RuntimeError(f"{len(seconds)} of {TRIALS} trials were trained")
        row = {"wall_seconds": wall, "training_seconds": sum(seconds), "trials": TRIALS}
        own = folder / "outputs/sweeps/own"
        between = between_trials(read_sweep_trials(own)) if own.exists() else []
        return {**row, "trials_per_hour": 3600 * TRIALS / wall, **_summary(between)}


def _train_seconds(folder: Path) -> list[float]:
    ours = [read_result(path.parent).train_seconds for path in folder.rglob("result.json")]
    return ours + [json.loads(path.read_text()) for path in folder.rglob(SECONDS)]


def _summary(between: list[float]) -> Row:
    if not between:
        return {}
    return {
        "between_trials_seconds": statistics.median(between),
        "between_trials_seconds_longest": max(between),
        "between_trials_n": len(between),
    }


def derive(rows: dict[str, Row]) -> dict[str, float]:
    """Return this sweeper against the others, and what passes between two of its trials."""
    found = {name: row for name, row in rows.items() if "error" not in row}
    own = found.get("this sweeper")
    if own is None:
        return {}
    figures = {
        f"trials per hour against: {name}": own["trials_per_hour"] / row["trials_per_hour"]
        for name, row in found.items()
        if row is not own
    }
    return {**figures, "seconds between two trials": own["between_trials_seconds"]}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, minutes=4)  # the last one that begins may take as long again
    parser.add_argument(
        "--data",
        type=Path,
        help="image folder; else what the configuration has, and digits with --small",
    )
    parser.add_argument("--launcher", choices=["joblib", "basic"], default="joblib")
    options = parser.parse_args()
    if options.launcher == "joblib":
        require_joblib_launcher()
    data = SMALL_DATA if options.small else []
    if options.data is not None and not options.small:
        data = ["data=image_folder", f"data.root={options.data.resolve()}"]
    size = SMALL if options.small else FULL
    taken = open_measurements(options)
    for name, arguments in contenders(data, size, options.launcher, options.small).items():
        print(name, taken.take(name, partial(measure, arguments)), flush=True)
    return taken.finish(derive(taken.rows))


if __name__ == "__main__":
    folders = [str(conf_dir().parent.resolve()), str(Path(__file__).parent.resolve())]
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    raise SystemExit(main())
