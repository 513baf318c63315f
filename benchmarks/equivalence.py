"""Whether the fastest mode keeps the accuracy of float32 in eager mode: an equivalence test.

    python benchmarks/equivalence.py --data data/cifar10-jpeg --mode graph \
        --output benchmarks/results/equivalence.json         (again until it exits with 0)
    python benchmarks/equivalence.py --mode inductor --seeds 90 data=digits ...   (another recipe)
    python benchmarks/equivalence.py --small                 (seconds, on any machine)

The same short recipe with the same seeds (8 epochs, 12 seeds each) in both; validation accuracy
of the last epoch on 10,000 images. Overrides at the end change the recipe of both; without a GPU
`none` and `inductor` can be compared, on a net that a CPU trains in seconds. Two one-sided tests
(Schuirmann 1987, doi:10.1007/BF01068419) with Welch's degrees of freedom and a margin of 0.2
points: equivalent at the level of 5% where the 90% interval of the difference lies within the
margin. Three runs each prove nothing, which is said where the interval is too wide to decide.
`--paired` tests the differences of equal seeds instead, with a paired t test: a seed gives both the
same weights, images and order, so that far fewer seeds decide where these matter more than the
rounding. Which test and how many seeds is to be settled before the first run. Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from measurements import Row, add_options, here, open_measurements
from scipy import stats

from resnet_sweep.config.compose import conf_dir, register_schemas, to_config
from resnet_sweep.training.run import run_training

MARGIN = 0.002  # as a fraction: 0.2 points
LEVEL = 0.05
QUIET = ["train.figures=false", "tracker=none", "train.progress=false"]
QUIET += ["evaluate_test=false", "train.checkpoint_interval_seconds=600"]
RECIPE = ["train.epochs=8", "train.batch_size=512", "scheduler=one_cycle", "data.val_size=10000"]
SMALL = ["data=digits", "data.train_subset=200", "model.widths=[4,8]", "model.blocks=[1,1]"]
SMALL += ["model.strides=[2,2]", "train.epochs=2", "train.batch_size=32", "train.device=cpu"]
REFERENCE = ["train.precision=fp32", "train.compile=none"]


@dataclass(frozen=True)
class Equivalence:
    """Of two samples of accuracies, as fractions.

    Args:
        difference: mean of the first minus mean of the second.
        low, high: its 90% interval; null where the values do not differ among themselves.
        p: the larger of the two one-sided tests' p values, likewise.
        verdict: equivalent; different, where the interval lies outside the margin; or undecided.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    verdict: str


def compare_means(
    first: list[float], second: list[float], margin: float, paired: bool = False
) -> Equivalence:
    """Test by two one-sided t tests that the means differ by less than `margin`.

    Args:
        paired: values at the same place belong together; otherwise by Welch's t test.
    """
    difference = statistics.mean(first) - statistics.mean(second)
    samples = [[a - b for a, b in zip(first, second, strict=True)]] if paired else [first, second]
    if all(statistics.pstdev(sample) < 1e-9 for sample in samples):  # equal but for rounding
        return Equivalence(difference, None, None, None, "undecided")
    test = stats.ttest_rel if paired else partial(stats.ttest_ind, equal_var=False)
    above = test([value + margin for value in first], second, alternative="greater")
    below = test([value - margin for value in first], second, alternative="less")
    interval = test(first, second).confidence_interval(1 - 2 * LEVEL)
    low, high = float(interval.low), float(interval.high)
    p = float(max(above.pvalue, below.pvalue))
    verdict = "equivalent" if p < LEVEL else "undecided"
    if low > margin or high < -margin:
        verdict = "different"
    return Equivalence(difference, low, high, p, verdict)


def accuracy(overrides: list[str]) -> Row:
    """Train one run and return its validation accuracy."""
    register_schemas()
    with initialize_config_dir(str(conf_dir().resolve())):
        config = to_config(compose("config", overrides))
    with tempfile.TemporaryDirectory() as folder:
        result = run_training(config, Path(folder) / "run")
    if result.status == "interrupted":
        raise SystemExit(f"ended by {result.error}")
    if result.status != "completed" or result.val_accuracy is None:
        raise RuntimeError(f"{result.status}: {result.error}")
    return {"val_accuracy": result.val_accuracy, "train_seconds": result.train_seconds}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--data", help="image folder; else the configuration's own data set")
    parser.add_argument("--mode", default="graph", choices=["none", "graph", "inductor"])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--paired", action="store_true", help="test the differences of equal seeds")
    parser.add_argument("overrides", nargs="*", metavar="GROUP.FIELD=VALUE", help="for both")
    options = parser.parse_intermixed_args()
    if not options.small and options.mode == "graph" and here().type != "cuda":
        parser.error("--mode=graph: needs a CUDA device; take inductor or none, or --small")
    torch.backends.cudnn.allow_tf32 = False  # the reference is float32 to the end
    data = ["data=image_folder", f"data.root={options.data}"] if options.data else []
    test = "paired" if options.paired else "Welch"
    base = [*QUIET, *(SMALL if options.small else [*RECIPE, *data]), *options.overrides]
    taken = open_measurements(options)
    mode = "none" if options.small else options.mode  # a CPU has no graphs
    asked = {"recipe": base, "mode": mode, "test": test}
    if taken.rows and any(taken.content.get(name) != asked[name] for name in asked):
        parser.error(f"--output={options.output}: is of another recipe, mode or test")
    taken.content |= asked
    fast = f"bf16, {mode}"
    arms = {"fp32, none": REFERENCE, fast: ["train.precision=bf16", f"train.compile={mode}"]}
    pairs: list[list[float]] = []
    # Seed by seed, so that what there is can be compared at any time.
    for seed in range(2 if options.small else options.seeds):
        rows = [
            taken.take(f"{name}/{seed}", partial(accuracy, [*base, *arm, f"seed={seed}"]))
            for name, arm in arms.items()
        ]
        values = [row["val_accuracy"] for row in rows if row is not None]
        if len(values) == len(arms):
            pairs.append(values)
    if len(pairs) < 2:
        return taken.finish({})
    reference, accuracies = ([*values] for values in zip(*pairs, strict=True))
    found = compare_means(accuracies, reference, MARGIN, options.paired)
    print(f"{fast} minus fp32, none")
    return taken.finish({**asdict(found), "margin": MARGIN, "n": len(pairs)})


if __name__ == "__main__":
    raise SystemExit(main())
