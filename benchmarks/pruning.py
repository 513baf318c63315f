"""What each pruner saves and what it risks, on the learning curves of real trainings.

    python benchmarks/pruning.py --train outputs/pruning      # 60 trainings: minutes on 2 cores
    python benchmarks/pruning.py --curves outputs/pruning/curves.csv --orders 200
    python benchmarks/pruning.py                              # the curves in benchmarks/results

The curves are those of a random search over small nets on the bundled digits, none of them cut
short: validation accuracy after each of 30 epochs. A replay lets the same trials arrive in a
random order, two at a time, and asks the pruner, built as a sweep builds it, after every epoch.
A row gives means over the orders, with the standard error of the share saved:

saved       share of all epochs that were not trained
winner      share of the orders in which the trial with the best last epoch was pruned
best five   share of the best five that were pruned
regret      accuracy of the best trial minus that of the best one that was left, in points

`--fade POINTS` asks what happens where short runs tell less: it shifts each curve, anew in each
order, by a normal draw of so many points that fades to nothing at the last epoch. The rank
correlation between a third of the epochs and the end stands above the table.

`optuna's ...` are the pruners with Optuna's own defaults, for comparison.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import optuna
from numpy.typing import NDArray
from omegaconf import OmegaConf
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import Trial, TrialState
from scipy.stats import spearmanr

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.records.run_folder import read_metrics
from resnet_sweep.records.sweep_folder import read_sweep
from resnet_sweep.search.pruners import build_pruner, read_pruner
from resnet_sweep.search.schema import PRUNERS

STORED = Path(__file__).parent / "results" / "digits_curves.csv"
WORKERS = 2
BEST = 5
SWEEP = [
    "-m",
    "hydra/sweeper=optuna",
    "hydra/sweeper/sampler=random",
    "hydra.sweeper.sampler.seed=0",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.study_name=curves",
    "hydra.sweeper.start_from=[]",
    "hydra.sweeper.noise_repeats=0",
    "hydra.sweeper.n_jobs=2",
    "search_space=[]",
    "data=digits",
    "data.val_size=0.5",
    "data.train_subset=400",
    "model.strides=[2,2,2]",
    "model.blocks=[1,1,1]",
    "model.base_width=range(4,17,4)",
    "model.squeeze_excitation=choice(true,false)",
    "optimizer.lr=tag(log,interval(0.003,1))",
    "optimizer.momentum=interval(0.7,0.98)",
    "regularization.weight_decay=tag(log,interval(0.00005,0.05))",
    "regularization.label_smoothing=interval(0,0.2)",
    "regularization.ema_half_life_epochs=interval(0.1,3)",
    "augmentation=choice([none],[crop_flip],[cutout])",
    "scheduler=choice(cosine,one_cycle,linear)",
    "train.batch_size=choice(16,32,64)",
    "train.num_threads=1",
    "train.device=cpu",
]

Curves = NDArray[np.float64]


def train_curves(folder: Path, trials: int, epochs: int) -> Path:
    """Train a random search without pruning and return the file of its curves."""
    length = [f"hydra.sweeper.n_trials={trials}", f"train.epochs={epochs}"]
    place = f"hydra.sweeper.folder={folder}"
    command = [sys.executable, "-m", "resnet_sweep.train", *SWEEP, *length, place]
    subprocess.run(command, check=True)
    sweep = read_sweep(folder / "curves")
    path = folder / "curves.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        for trial in sweep.trained():
            run_dir = sweep.run_dir(trial)
            assert run_dir is not None
            rows = read_metrics(run_dir)
            if trial.state == "completed":
                writer.writerow(f"{row.val_accuracy:.6f}" for row in rows)
    return path


def read_curves(path: Path) -> Curves:
    """Return accuracies [trial, epoch], float64."""
    return np.loadtxt(path, delimiter=",", ndmin=2)


def pruners(epochs: int) -> dict[str, Callable[[], BasePruner]]:
    """Return those of conf/hydra/sweeper/pruner, and Optuna's own defaults."""
    made: dict[str, Callable[[], BasePruner]] = {}
    for name in PRUNERS:
        node = OmegaConf.to_container(
            OmegaConf.load(conf_dir() / f"hydra/sweeper/pruner/{name}.yaml")
        )
        assert isinstance(node, dict)
        options = {str(key): value for key, value in node.items() if key != "defaults"}
        config = read_pruner(options)
        made[name] = lambda config=config: build_pruner(config, epochs, [])  # type: ignore[misc]
    made["optuna's median"] = MedianPruner
    made["optuna's asha"] = SuccessiveHalvingPruner
    made["optuna's hyperband"] = HyperbandPruner
    return made


def replay(curves: Curves, pruner: BasePruner, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return after how many epochs each trial ended: all of them, unless it was pruned."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    waiting, running = list(order), dict[Trial, int]()
    ended = np.zeros(len(curves), dtype=np.int64)
    while waiting or running:
        while waiting and len(running) < WORKERS:
            running[study.ask()] = int(waiting.pop(0))
        for trial, index in list(running.items()):
            ended[index] += 1
            if _is_over(study, trial, curves[index], int(ended[index])):
                del running[trial]
    return ended


def _is_over(study: optuna.Study, trial: Trial, curve: NDArray[np.float64], epoch: int) -> bool:
    """Report an epoch; tell the study of a trial that ends there."""
    trial.report(float(curve[epoch - 1]), epoch)
    prunes = trial.should_prune()
    if epoch == len(curve):
        study.tell(trial, float(curve[-1]))
        return True
    if prunes:
        study.tell(trial, state=TrialState.PRUNED)
    return prunes


def fade(curves: Curves, points: float, seed: int) -> Curves:
    """Shift each curve by a draw that fades until its last epoch, which stays what it was."""
    shifts = np.random.default_rng([seed, 1]).normal(0, points / 100, (len(curves), 1))
    return curves + shifts * np.linspace(1, 0, curves.shape[1])


def rank_correlation(curves: Curves, points: float, orders: int) -> float:
    """Return the mean of Spearman's coefficient between a third of the epochs and the end."""
    third = round(curves.shape[1] / 3) - 1
    faded = (fade(curves, points, seed)[:, third] for seed in range(orders))
    return fmean(float(spearmanr(each, curves[:, -1]).statistic) for each in faded)


def measure(
    curves: Curves, make: Callable[[], BasePruner], orders: int, points: float = 0.0
) -> str:
    """Replay many orders and return a row of the table."""
    last, epochs = curves[:, -1], curves.shape[1]
    best = np.argsort(-last, kind="stable")[:BEST]
    rows = []
    for seed in range(orders):
        order = np.random.default_rng(seed).permutation(len(curves))
        ended = replay(fade(curves, points, seed), make(), order)
        is_left = ended == epochs
        is_winner_lost = not is_left[last == last.max()].any()
        regret = 100 * (last.max() - last[is_left].max())
        saved = 1 - ended.sum() / curves.size
        rows.append((saved, float(is_winner_lost), 1 - is_left[best].mean(), regret))
    saved, winner, five, regret = (fmean(column) for column in zip(*rows, strict=True))
    error = stdev(row[0] for row in rows) / orders**0.5 if orders > 1 else 0.0
    return f"{saved:6.1%} ± {error:4.1%} {winner:8.1%} {five:10.1%} {regret:8.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, help="folder for new trainings")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--curves", type=Path, default=STORED)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--fade", type=float, default=0.0, help="points; see above")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = arguments.curves
    if arguments.train is not None:
        path = train_curves(arguments.train, arguments.trials, arguments.epochs)
    curves, started = read_curves(path), time.monotonic()
    correlation = rank_correlation(curves, arguments.fade, arguments.orders)
    length = f"{len(curves)} trials of {curves.shape[1]} epochs, {arguments.orders} orders"
    print(f"{length}, rank correlation {correlation:.2f}")
    print(f"{'pruner':20} {'saved':>14} {'winner':>9} {'best five':>10} {'regret':>8}")
    for name, make in pruners(curves.shape[1]).items():
        print(f"{name:20} {measure(curves, make, arguments.orders, arguments.fade)}", flush=True)
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
