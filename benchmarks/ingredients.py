"""What each ingredient changes in a small net, paired by seed, on a CPU.

    python benchmarks/ingredients.py digits
    python benchmarks/ingredients.py data/cifar10-jpeg

A run folder for each ingredient and seed; an interrupted call goes on where it stopped, and a
larger --seeds adds to what is there. Validation accuracy of the last epoch, in points; the test
set is not read. Distillation is from one wider and deeper net, trained before on the same images.
Test-time augmentation is measured on the nets of the baseline and stands in a table of its own.
The small net and its few epochs tell little about 100 epochs of a large one. Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from resnet_sweep.comparison.trained import compare_recipes
from resnet_sweep.config.compose import conf_dir, register_schemas, to_config
from resnet_sweep.prediction.predicting import VIEWS, apply_view
from resnet_sweep.records.comparison import Row
from resnet_sweep.records.run_folder import finished_result, read_predictions
from resnet_sweep.reporting.numbers import point_bounds, points
from resnet_sweep.reporting.tables import Table, to_markdown
from resnet_sweep.training.run import run_training
from resnet_sweep.training.trained_net import load_net, read_run_data

DIGITS = ["data=digits", "data.val_size=0.5", "data.train_subset=400", "train.batch_size=32"]
DIGITS += ["model.strides=[2,2,2]", "train.epochs=20"]
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
    "tracker=none",
    "train.progress=false",
    "evaluate_test=false",
]
TEACHER = ["model.blocks=[2,2,2]", "model.base_width=16", "seed=1000"]
TEACHER_PLACE = "{teacher}"  # its run folder
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
    "distillation": [f"regularization.distill_from={TEACHER_PLACE}"],
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
    asked = [each for name in options.only for each in _with_base(name)]
    names = list(dict.fromkeys(["baseline", *asked]))
    accuracies: dict[str, dict[int, float]] = {_short(name): {} for name in names}
    # Seed by seed, so that what there is can be compared at any time.
    for seed in range(options.seeds):
        for name in names:
            overrides = [*base, *_changes(name, base, outputs / "teacher"), f"seed={seed}"]
            run_dir = outputs / _short(name) / str(seed)
            accuracies[_short(name)][seed] = _accuracy(overrides, run_dir)
    rows = [(_short(name), _with_base(name)[0]) for name in names]
    print(to_markdown(_table("ingredient", rows, accuracies)))
    views = _seen_again([outputs / "baseline" / str(seed) for seed in range(options.seeds)])
    rows = [(name, "none") for name in views]
    print(to_markdown(_table("test-time augmentation", rows, views)))


def _with_base(name: str) -> list[str]:
    return [name.partition(":")[2] or "baseline", name]


def _short(name: str) -> str:
    return name.partition(":")[0]


def _changes(name: str, base: list[str], teacher: Path) -> list[str]:
    """Return what an ingredient adds to the command line; a teacher is trained once before."""
    changes = INGREDIENTS[name]
    if any(TEACHER_PLACE in change for change in changes):
        _accuracy([*base, *TEACHER], teacher)
    return [change.format(teacher=teacher) for change in changes]


def _accuracy(overrides: list[str], run_dir: Path) -> float:
    """Train, unless the folder holds the finished run."""
    result = finished_result(run_dir)
    if result is None:
        register_schemas()
        with initialize_config_dir(str(conf_dir().resolve())):
            config = to_config(compose("config", overrides))
        result = run_training(config, run_dir)
        seconds = f"{result.train_seconds:.0f} s"
        print(f"{run_dir}: {result.val_accuracy} in {seconds}", file=sys.stderr, flush=True)
    if result.status != "completed" or result.val_accuracy is None:
        raise SystemExit(f"{run_dir}: {result.status}: {result.error}")
    return result.val_accuracy


def _seen_again(run_dirs: list[Path]) -> dict[str, dict[int, float]]:
    """Return by mode and seed the validation accuracy of the mean over the views."""
    found: dict[str, dict[int, float]] = {mode: {} for mode in VIEWS}
    for seed, run_dir in enumerate(run_dirs):
        net, known = load_net(run_dir, "cpu"), read_predictions(run_dir)
        images = read_run_data(net).dataset.train_images[torch.from_numpy(known.indices)]
        for mode, views in VIEWS.items():
            seen = sum(net.probabilities(apply_view(images, view)) for view in views)
            found[mode][seed] = float((np.argmax(seen, 1) == known.labels).mean())
    return found


def _table(
    what: str, rows: list[tuple[str, str]], accuracies: dict[str, dict[int, float]]
) -> Table:
    """Compare each row with the one that it changes, paired by seed.

    Args:
        rows: names, each with that of the other.
    """
    names = [name for name, _ in rows]
    values = np.array([[by_seed[s] for s in sorted(by_seed)] for by_seed in accuracies.values()])
    found = compare_recipes(names, values, [names.index(other) for _, other in rows])
    columns = ["n", "mean %", "gain, points", "95% interval", "of all rows together", "verdict"]
    pairs = zip(rows, found, strict=True)
    cells = [_row(name, other, row) for (name, other), row in pairs]
    return Table([*columns, "against", what], cells, 5)


def _row(name: str, other: str, row: Row) -> list[str]:
    start = [str(row.n), points(row.mean, ".2f")]
    if np.isnan(row.gain) or name == other:
        return [*start, "", "", "", "", "", name]
    alone = point_bounds(row.gain_low, row.gain_high)
    together = point_bounds(row.all_low, row.all_high)
    return [*start, points(row.gain), alone, together, row.verdict, other, name]


if __name__ == "__main__":
    main()
