"""How a rejected proposal is best told to TPE, on surrogate accuracies.

    python benchmarks/rejection_telling.py          # small: seconds
    python benchmarks/rejection_telling.py --full   # 100 trained trials, 30 seeds: ten minutes

Three objectives: the optimum at the budget's edge, inside, and at the edge of a space that is
mostly over budget. The nets are counted as a sweep counts them; their accuracy is a smooth
function of size, shape and optimizer settings, with seed noise of 0.15 points (1 sigma). A row
gives the accuracy of the net that the sweep would select, without noise, in points against
`fail` with the same seeds (mean and standard error), and the rejections in each sweep.

The sampler has the settings of conf/hydra/sweeper/sampler/tpe.yaml; what was measured stands in
benchmarks/RESULTS.md.

Strategies: `fail` (the sampler learns nothing), `pruned` (a trial without a value, worse than
all others), `constraint` (pruned with its excess as a constraint), `tenth` (what the sweeper
does), `random` (no sampler at all).
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable, Mapping
from statistics import fmean, stdev
from typing import Any

import numpy as np
import optuna
from omegaconf import OmegaConf
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

from resnet_sweep.config.compose import conf_dir
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.model.plan import plan_resnet
from resnet_sweep.search.space_building import build_space
from resnet_sweep.workers.claims import tell_rejection

BUDGET = 5_000_000
NOISE = 0.0015
MOST_REJECTIONS = 5000
SHIPPED_OPTIONS = ("multivariate", "group", "constant_liar", "n_startup_trials")
Assignments = Mapping[str, Any]
Tell = Callable[[Study, Trial, int, int], None]

SPACE = {
    "parameters": {
        "model.num_stages": "range(3, 5)",
        "model.base_width": "range(16, 97, 8)",
        "model.width_factor": "range(1.25, 2.25, 0.25)",
        **{f"model.blocks[{i}]": "range(1, 6)" for i in range(3)},
        "optimizer": "choice(sgd, adamw)",
        "train.batch_size": "choice(128, 256, 512, 1024)",
        "scheduler.warmup_fraction": "interval(0.0, 0.3)",
        "regularization.label_smoothing": "interval(0.0, 0.2)",
        "regularization.stochastic_depth": "interval(0.0, 0.2)",
    },
    "when": {
        "model.num_stages=4": {"model.blocks[3]": "range(1, 6)"},
        "optimizer=sgd": {
            "optimizer.lr": "tag(log, interval(0.02, 1.0))",
            "optimizer.one_minus_momentum": "tag(log, interval(0.02, 0.3))",
            "regularization.weight_decay": "tag(log, interval(5e-5, 5e-3))",
        },
        "optimizer=adamw": {
            "optimizer.lr": "tag(log, interval(3e-4, 1e-2))",
            "regularization.weight_decay": "tag(log, interval(1e-3, 0.5))",
        },
    },
}


def at_the_edge(num_params: int) -> float:
    """Return the cost in accuracy of a size: none at the budget, more the smaller."""
    return 0.006 * max(0.0, math.log2(BUDGET / num_params))


def inside(num_params: int) -> float:
    return 0.004 * math.log2(num_params / 1_500_000) ** 2


OBJECTIVES: dict[str, tuple[Callable[[int], float], list[str]]] = {
    "edge": (at_the_edge, []),
    "inside": (inside, []),
    "small feasible region": (at_the_edge, ["model.base_width=range(64,257,8)"]),
}


def build_net(drawn: Assignments) -> ResNetConfig:
    stages = drawn["model.num_stages"]
    return ResNetConfig(
        base_width=drawn["model.base_width"],
        width_factor=drawn["model.width_factor"],
        blocks=[drawn[f"model.blocks[{i}]"] for i in range(stages)],
    )


def accuracy(drawn: Assignments, num_params: int, size_cost: Callable[[int], float]) -> float:
    """Return the accuracy that a training would have on average."""
    is_sgd = drawn["optimizer"] == "sgd"
    blocks = sum(value for key, value in drawn.items() if key.startswith("model.blocks"))
    shape = 0.01 * math.log2(blocks / 10) ** 2 + 0.02 * (drawn["model.width_factor"] - 1.75) ** 2
    lr_distance = math.log10(drawn["optimizer.lr"] / (0.2 if is_sgd else 2e-3))
    decay = drawn["regularization.weight_decay"] / (5e-4 if is_sgd else 0.05)
    settings = 0.02 * lr_distance**2 + 0.008 * math.log10(decay) ** 2 + 0.004 * (not is_sgd)
    if is_sgd:
        settings += 0.01 * math.log10(drawn["optimizer.one_minus_momentum"] / 0.1) ** 2
    settings += 0.002 * abs(math.log2(drawn["train.batch_size"] / 256))
    settings += 0.1 * (drawn["scheduler.warmup_fraction"] - 0.1) ** 2
    settings += 0.3 * (drawn["regularization.label_smoothing"] - 0.1) ** 2
    settings += 0.2 * (drawn["regularization.stochastic_depth"] - 0.05) ** 2
    return float(0.95 - size_cost(num_params) - shape - settings)


def tell_fail(study: Study, trial: Trial, num_params: int, nth: int) -> None:
    study.tell(trial, state=TrialState.FAIL)


def tell_pruned(study: Study, trial: Trial, num_params: int, nth: int) -> None:
    study.tell(trial, state=TrialState.PRUNED)


def tell_constraint(study: Study, trial: Trial, num_params: int, nth: int) -> None:
    trial.set_constraint("budget", num_params / BUDGET - 1)
    study.tell(trial, state=TrialState.PRUNED)


def tell_tenth(study: Study, trial: Trial, num_params: int, nth: int) -> None:
    tell_rejection(study, trial, num_params / BUDGET - 1, nth)


STRATEGIES: dict[str, Tell] = {
    "fail": tell_fail,
    "pruned": tell_pruned,
    "constraint": tell_constraint,
    "tenth": tell_tenth,
    "random": tell_fail,
}


def build_sampler(strategy: str, seed: int) -> BaseSampler:
    if strategy == "random":
        return RandomSampler(seed=seed)
    shipped = OmegaConf.load(conf_dir() / "hydra" / "sweeper" / "sampler" / "tpe.yaml")
    options = {name: shipped[name] for name in SHIPPED_OPTIONS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are called experimental
        return TPESampler(seed=seed, **options)


def sweep(objective: str, strategy: str, seed: int, trials: int) -> tuple[float, int]:
    """Return the true accuracy of the net that looks best, and the number of rejections."""
    size_cost, overrides = OBJECTIVES[objective]
    space = build_space(SPACE, overrides)
    study = optuna.create_study(direction="maximize", sampler=build_sampler(strategy, seed))
    noise = np.random.default_rng(seed)
    outcomes: list[tuple[float, float]] = []  # seen, true
    rejections = in_a_row = 0
    while len(outcomes) < trials and rejections < MOST_REJECTIONS:
        trial = study.ask()
        drawn = space.suggest(trial)
        num_params = plan_resnet(build_net(drawn), num_classes=10).num_params
        if num_params > BUDGET:
            rejections, in_a_row = rejections + 1, in_a_row + 1
            STRATEGIES[strategy](study, trial, num_params, in_a_row)
            continue
        in_a_row = 0
        true = accuracy(drawn, num_params, size_cost)
        seen = true + NOISE * noise.standard_normal()
        study.tell(trial, seen)
        outcomes.append((seen, true))
    return max(outcomes)[1], rejections


def compare(objective: str, seeds: int, trials: int) -> None:
    """Print one line for each strategy."""
    baseline: list[float] = []
    for strategy in STRATEGIES:
        runs = [sweep(objective, strategy, seed, trials) for seed in range(seeds)]
        selected = [100 * true for true, _ in runs]
        baseline = baseline or selected
        gains = [mine - other for mine, other in zip(selected, baseline, strict=True)]
        error = stdev(gains) / math.sqrt(seeds) if seeds > 1 else math.nan
        rejected = fmean(rejections for _, rejections in runs)
        print(
            f"{objective:22} {strategy:11} {fmean(selected):6.2f} "
            f"{fmean(gains):+6.2f} ± {error:4.2f} {rejected:8.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="100 trained trials, 30 seeds")
    parser.add_argument("--seeds", type=int, help="sweeps of each kind")
    parser.add_argument("--trials", type=int, help="trained trials of each sweep")
    arguments = parser.parse_args()
    seeds = arguments.seeds or (30 if arguments.full else 2)
    trials = arguments.trials or (100 if arguments.full else 25)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    start = time.perf_counter()
    print(f"{trials} trained trials, {seeds} seeds; accuracy in percent")
    print(f"{'objective':22} {'telling':11} {'chosen':>6} {'against fail':>13} {'rejected':>8}")
    for objective in OBJECTIVES:
        compare(objective, seeds, trials)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
