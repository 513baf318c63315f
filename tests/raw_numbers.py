"""The numbers of a summary from the raw files: json, csv, numpy and formulas written out here.

Nothing is imported from the project, from scipy or from pandas.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np


def read_runs(root: Path) -> dict[str, dict[str, Any]]:
    """Return config, result and rows of metrics.csv of every readable run, by its place."""
    found = {}
    for path in sorted(root.rglob("result.json")):
        folder = path.parent
        try:
            result = json.loads(path.read_text())
        except ValueError:
            continue
        with open(folder / "metrics.csv", newline="") as file:
            rows = [
                {k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(file)
            ]
        config = json.loads((folder / "config.json").read_text())
        name = folder.relative_to(root).as_posix()
        found[name] = {"config": config, "result": result, "rows": rows}
    return found


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def split_of(run: dict[str, Any]) -> tuple[float, int]:
    return run["config"]["data"]["val_size"], run["config"]["data"]["split_seed"]


def configuration_key(run: dict[str, Any]) -> str:
    """Return what the generated runs differ in by intent; all else only says where they ran."""
    values = flat(run["config"])
    names = ("optimizer.name", "optimizer.lr", "regularization.dropout", "model.blocks")
    drawn = [values[name] for name in (*names, "train.batch_size", "train.epochs")]
    used = [name for name, options in run["config"]["augmentation"].items() if options is not None]
    return json.dumps([drawn, used, run["result"]["data_fingerprint"]])


def configurations(runs: dict[str, dict[str, Any]]) -> dict[str, dict[int, list[str]]]:
    """Return configuration -> seed -> its completed runs."""
    groups: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, run in runs.items():
        if run["result"]["status"] == "completed" and run["result"]["val_accuracy"] is not None:
            groups[configuration_key(run)][run["config"]["seed"]].append(name)
    return groups


def seed_means(runs: dict[str, Any], seeds: dict[int, list[str]], field: str) -> list[float]:
    return [sum(runs[n]["result"][field] for n in names) / len(names) for names in seeds.values()]


# ---- distributions ----


def beta_share(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function, by Simpson's rule on x = sin(t)^2."""
    t = np.linspace(0, math.asin(math.sqrt(x)), 20001)
    y = 2 * np.sin(t) ** (2 * a - 1) * np.cos(t) ** (2 * b - 1)
    weights = np.ones(len(t))
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    area = float((weights * y).sum() * (t[1] - t[0]) / 3)
    return area * math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))


def t_tails(t: float, degrees: float) -> float:
    """Return the probability of a larger absolute value."""
    return beta_share(degrees / 2, 0.5, degrees / (degrees + t * t))


def t_quantile(degrees: float) -> float:
    """Return what Student's t passes in either direction in 5%."""
    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tails(middle, degrees) > 0.05 else (low, middle)
    return low


# ---- estimates ----


def interval(values: list[float]) -> tuple[float, float, float]:
    n, mean = len(values), sum(values) / len(values)
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    half = t_quantile(n - 1) * sd / math.sqrt(n)
    return mean, mean - half, mean + half


def pooled(groups: list[list[float]]) -> tuple[float, int]:
    """Return the standard deviation within groups and its degrees of freedom."""
    several = [group for group in groups if len(group) > 1]
    squares = sum(sum((v - sum(g) / len(g)) ** 2 for v in g) for g in several)
    degrees = sum(len(g) - 1 for g in several)
    return math.sqrt(squares / degrees), degrees


def _correct(folder: Path) -> np.ndarray:
    with np.load(folder / "val_predictions.npz") as arrays:
        right: np.ndarray = arrays["probabilities"].argmax(1) == arrays["labels"]
    return right


def mcnemar(first: Path, second: Path) -> tuple[float, float, int]:
    """Return the difference in accuracy, the exact p value and the number of images."""
    right = [_correct(folder) for folder in (first, second)]
    n, only = len(right[0]), int((right[0] & ~right[1]).sum())
    discordant = only + int((right[1] & ~right[0]).sum())
    few = min(only, discordant - only)
    tail = sum(math.comb(discordant, k) for k in range(few + 1)) / 2**discordant
    return (2 * only - discordant) / n, min(1.0, 2 * tail), n


def paired_interval(first: Path, second: Path) -> tuple[float, float]:
    """Return the 95% interval of the difference in accuracy by the normal approximation."""
    differences = _correct(first).astype(float) - _correct(second)
    half = 1.959964 * differences.std() / math.sqrt(len(differences))
    return differences.mean() - half, differences.mean() + half
