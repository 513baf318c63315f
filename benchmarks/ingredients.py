"""What each ingredient changes in a small net, paired by seed, on a CPU.

    python benchmarks/ingredients.py digits
    python benchmarks/ingredients.py data/cifar10-jpeg

A run folder for each ingredient and seed; an interrupted call goes on where it stopped, and a
larger --seeds adds to what is there. Validation accuracy of the last epoch, in points; the test
set is not read. The small net and its few epochs tell little about 100 epochs of a large one.
Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

from hydra import compose, initialize_config_dir

from resnet_sweep.analysis.statistics import mean_interval
from resnet_sweep.compose import conf_dir, register_schemas, to_config
from resnet_sweep.resume import finished_result
from resnet_sweep.trial import run_trial

DIGITS = ["data=digits", "data.val_size=0.5", "data.train_subset=400", "train.batch_size=32"]
DIGITS += ["model.strides=[2,2,2]", "train.epochs=10"]
FOLDER = ["data=image_folder", "data.val_size=5000", "data.train_subset=5000"]
BASE = [
    "model.blocks=[1,1,1]",
    "model.base_width=8",
    "optimizer.lr=0.05",
    "scheduler.warmup_epochs=1",
    "train.epochs=6",
    "train.device=cpu",
    "train.num_threads=1",
    "train.figures=false",
    "train.tensorboard=false",
    "train.progress=false",
    "evaluate_test=false",
]
# Each against `baseline`, or against the one named after the colon.
INGREDIENTS: dict[str, list[str]] = {
    "baseline": [],
    "sam": ["regularization.sam=sam"],
    "asam": ["regularization.sam=asam"],
    "muon": ["optimizer=muon", "optimizer.lr=0.02"],
    "ghost_norm_8": ["regularization.ghost_batch_size=8"],
    "whitened_stem": ["model.whitened_stem=true"],
    "alternating_flip": ["augmentation.crop_flip.alternate_flip=true"],
    "dirac": ["init=dirac"],
    "preact": ["model.block=preact"],
    "pyramid:preact": ["model.block=pyramid"],
    "lookahead": ["optimizer.lookahead_steps=5"],
    "ema": ["regularization.ema_half_life_epochs=0.5"],
    "swa": ["regularization.swa_start=0.7"],
    "cosine_restarts": ["scheduler=cosine_restarts", "scheduler.cycles=2"],
    "cutmix": ["augmentation=[crop_flip,cutmix]"],
    "progressive": ["train.start_image_size=16"],
    "ricap": ["augmentation=[crop_flip,ricap]"],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder with train/<class>/ and test/<class>/, or digits")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(INGREDIENTS), choices=list(INGREDIENTS))
    parser.add_argument("--outputs", type=Path, default=Path("outputs/ingredients"))
    parser.add_argument("overrides", nargs="*", metavar="GROUP.FIELD=VALUE", help="for every run")
    options = parser.parse_intermixed_args()
    logging.getLogger("resnet_sweep").setLevel(logging.WARNING)
    data = DIGITS if options.root == "digits" else [*FOLDER, f"data.root={options.root}"]
    base = [*BASE, *data, *options.overrides]
    outputs = options.outputs / Path(options.root).name
    names = list(dict.fromkeys(each for name in options.only for each in _with_base(name)))
    accuracies: dict[str, dict[int, float]] = {name.partition(":")[0]: {} for name in names}
    # Seed by seed, so that what there is can be compared at any time.
    for seed in range(options.seeds):
        for name in names:
            short = name.partition(":")[0]
            run_dir = outputs / short / str(seed)
            accuracy = _accuracy([*base, *INGREDIENTS[name], f"seed={seed}"], run_dir)
            accuracies[short][seed] = accuracy
    for line in _table(names, accuracies):
        print(line)


def _with_base(name: str) -> list[str]:
    return [name.partition(":")[2] or "baseline", name]


def _accuracy(overrides: list[str], run_dir: Path) -> float:
    """Train, unless the folder holds the finished run."""
    result = finished_result(run_dir)
    if result is None:
        register_schemas()
        with initialize_config_dir(str(conf_dir().resolve())):
            config = to_config(compose("config", overrides))
        result = run_trial(config, run_dir)
    if result.status != "completed" or result.val_accuracy is None:
        raise SystemExit(f"{run_dir}: {result.status}: {result.error}")
    print(f"{run_dir}: {result.val_accuracy:.4f} in {result.train_seconds:.0f} s", flush=True)
    return result.val_accuracy


def _table(names: list[str], accuracies: dict[str, dict[int, float]]) -> Iterator[str]:
    yield "| ingredient | against | n | mean % | difference in points | 95% interval | verdict |"
    yield "|---|---|---|---|---|---|---|"
    for name in names:
        short, _, other = name.partition(":")
        mean = 100 * mean_interval(list(accuracies[short].values())).mean
        if name == "baseline":
            yield f"| {short} | | {len(accuracies[short])} | {mean:.2f} | | | |"
            continue
        against = other or "baseline"
        pairs = accuracies[short].keys() & accuracies[against].keys()
        gains = [100 * (accuracies[short][s] - accuracies[against][s]) for s in sorted(pairs)]
        found = mean_interval(gains)
        better = "better" if found.low > 0 else "worse" if found.high < 0 else "undecided"
        interval = f"{found.low:+.2f} to {found.high:+.2f}"
        row = (short, against, found.n, f"{mean:.2f}", f"{found.mean:+.2f}", interval, better)
        yield f"| {' | '.join(map(str, row))} |"


if __name__ == "__main__":
    main()
