"""What a sweep costs beyond its trainings, beside the packaged hydra-optuna-sweeper.

    uv pip install -c constraints.txt -e '.[benchmarks]'
    python benchmarks/sweep_overhead.py --rounds 3    # the contest: 90 s a round on 2 cores
    python benchmarks/sweep_overhead.py --longer 5    # the tenfold case with 5 and 50 epochs

The contest trains the same 40 tiny nets on the bundled digits (a grid, so that every sweeper has
the same ones), with 2 workers of one thread each: this sweeper, the packaged one under Hydra's
basic launcher and under joblib. Once all trials are equally long, once half of them has ten times
the epochs; `lengths` is how much longer these then take. Start-up, the time to the first trial, is
reported apart from the rest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from packaged_sweeper import between_trials, conf_without_ours, require_joblib_launcher

from resnet_sweep.records.run_folder import RunResult, read_result
from resnet_sweep.records.sweep_folder import read_sweep_trials

TRIALS, WORKERS = 40, 2
COMMON = [
    "-m",
    "hydra/sweeper=optuna",
    "hydra/sweeper/sampler=grid",
    f"hydra.sweeper.n_trials={TRIALS}",
    f"hydra.sweeper.n_jobs={WORKERS}",
    "search_space=[]",
    "data=digits",
    "data.train_subset=200",
    "model.widths=[4,8]",
    "model.blocks=[1,1]",
    "model.strides=[2,2]",
    "train.batch_size=64",
    "train.num_threads=1",
    "train.device=cpu",
    "train.figures=false",
    "tracker=none",
    "train.progress=false",
    "evaluate_test=false",
]
OWN = ["hydra/sweeper/pruner=none", "hydra.sweeper.study_name=own", "hydra.sweeper.start_from=[]"]
PACKAGED = ["hydra.sweeper.direction=maximize", "hydra.sweep.dir=many"]
CONTENDERS = {
    "this sweeper": OWN,
    "packaged, basic": PACKAGED,
    "packaged, joblib": [*PACKAGED, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
}


def lengths(longer: int) -> dict[str, list[str]]:
    """Return what each sweeper searches: 40 points of a grid."""
    tenfold = [f"train.epochs=choice({longer},{10 * longer})", f"seed=range(0,{TRIALS // 2})"]
    equal = ["train.epochs=2", f"seed=range(0,{TRIALS})"]
    return {"equal": equal, "tenfold": tenfold} if longer == 1 else {"tenfold": tenfold}


@dataclass(frozen=True)
class Timing:
    """Of one sweep.

    Args:
        start_up: to the first trial.
        rest: from there to the end of the program.
        training: sum over the trials, inside of them.
        length_ratio: median length of the trials of most epochs over that of fewest.
    """

    start_up: float
    rest: float
    training: float
    length_ratio: float

    @property
    def idle(self) -> float:
        """Share of the workers' time outside of trainings."""
        return 1 - self.training / (WORKERS * self.rest)


def run_contender(name: str, overrides: list[str], folder: Path) -> Timing:
    """Run one sweep in an empty folder and read its times from its run folders."""
    config = [] if name == "this sweeper" else ["--config-path", str(conf_without_ours(folder))]
    command = [sys.executable, "-m", "resnet_sweep.train", *config, *COMMON, *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.time()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    ended = time.time()
    if done.returncode != 0:
        sys.exit(f"{name} failed: {done.stderr[-2000:]}")
    runs = [path.parent for path in folder.rglob("result.json")]
    assert len(runs) == TRIALS, f"{name} trained {len(runs)} nets"
    first = min((run / "config.json").stat().st_mtime for run in runs)
    results = [read_result(run) for run in runs]
    training = sum(result.train_seconds for result in results)
    return Timing(first - started, ended - first, training, _length_ratio(results))


def _length_ratio(results: list[RunResult]) -> float:
    epochs = [result.epochs for result in results]
    longest, shortest = (
        statistics.median(r.train_seconds for r in results if r.epochs == limit)
        for limit in (max(epochs), min(epochs))
    )
    return longest / shortest


def contest(rounds: int, longer: int) -> None:
    """Run all contenders one after the other, several times, and compare within each round.

    Args:
        longer: factor on the epochs of the tenfold case, to see what remains of fixed costs.
    """
    columns = f"{'start-up':>9} {'rest':>8} {'training':>9} {'idle':>6} {'lengths':>7}"
    print(f"{'trials':8} {'sweeper':18} {columns}")
    for length, space in lengths(longer).items():
        ratios = [_round(length, space) for _ in range(rounds)]
        for name, values in zip(
            ("rest", "start-up and rest"), zip(*ratios, strict=True), strict=True
        ):
            spread = f"{min(values):.2f} to {max(values):.2f}, n={rounds}"
            median = statistics.median(values)
            print(f"{length}, {name}: {median:.2f} times less than the better one ({spread})")


def _round(length: str, space: list[str]) -> tuple[float, float]:
    """Return how many times less this sweeper takes, without start-up and with it."""
    timings: dict[str, Timing] = {}
    for name, overrides in CONTENDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            timing = run_contender(name, [*overrides, *space], Path(folder))
            if name == "this sweeper":
                gaps = between_trials(read_sweep_trials(Path(folder) / "outputs/sweeps/own"))
        timings[name] = timing
        times = f"{timing.start_up:8.1f}s {timing.rest:7.1f}s {timing.training:8.1f}s"
        ratio = f"{timing.length_ratio:7.1f}"
        print(f"{length:8} {name:18} {times} {timing.idle:6.0%} {ratio}", flush=True)
    print(f"{length}: between two trials of a worker {statistics.median(gaps):.3f} s (median)")
    own = timings.pop("this sweeper")
    best = min(each.rest for each in timings.values())
    best_in_all = min(each.start_up + each.rest for each in timings.values())
    return best / own.rest, best_in_all / (own.start_up + own.rest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--longer", type=int, default=1, help="factor on the tenfold case's epochs")
    arguments = parser.parse_args()
    require_joblib_launcher()
    load = os.getloadavg()[0]
    print(f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPU cores, load {load:.1f}")
    contest(arguments.rounds, arguments.longer)


if __name__ == "__main__":
    main()
