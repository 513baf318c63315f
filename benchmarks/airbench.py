"""Beside KellerJordan/cifar10-airbench, on the same GPU and the same images.

    git clone https://github.com/KellerJordan/cifar10-airbench
    python benchmarks/airbench.py --checkout cifar10-airbench --data data/cifar10-jpeg \
        --output benchmarks/results/airbench.json

Their programs legacy/airbench94.py and airbench95.py are run as they are, from a folder of the
user's; nothing of them is kept here. The images are written as the file that their loader keeps,
so that nothing is downloaded. Compared are images a second times multiply-adds of an image's
forward pass, which torch's FlopCounterMode counts for their nets and the plan of the net for ours;
their time is what they time themselves up to the last epoch: whitening and training, without
validation. The first of their runs warms up. --small needs no GPU where their checkout needs none
(a stand-in with the same names, as the tests have). Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from agreement import CROP_FLIP, SMALL_NET
from contenders import NUM_CLASSES, Images, ours, random_images
from measurements import Row, add_options, here, open_measurements
from torch.utils.flop_counter import FlopCounterMode

from resnet_sweep.config import Config
from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.train import TrainConfig
from resnet_sweep.data.dataset import Dataset
from resnet_sweep.data.registry import load_dataset
from resnet_sweep.model.budget import check_budget

PROGRAMS = ("airbench94", "airbench95")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def write_images(data: Dataset, folder: Path) -> None:
    """Write train.pt and test.pt: images uint8 [N, 32, 32, 3], labels int64 [N], classes."""
    folder.mkdir()
    parts = {
        "train": (data.train_images, data.train_labels),
        "test": (data.test_images, data.test_labels),
    }
    for name, (images, labels) in parts.items():
        content = {"images": images.permute(0, 2, 3, 1).contiguous(), "labels": labels.clone()}
        torch.save({**content, "classes": list(CLASSES)}, folder / f"{name}.pt")


def load_program(checkout: Path, name: str) -> ModuleType:
    """Return their program as a module; its main is guarded."""
    path = checkout / "legacy" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"--checkout={checkout}: has no legacy/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def count_multiply_adds(module: ModuleType) -> int:
    """Return the multiply-adds of one image's forward pass."""
    net = module.make_net()
    parameter = next(net.parameters())
    images = torch.zeros(2, 3, 32, 32, device=parameter.device, dtype=parameter.dtype)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(images)
    return int(counter.get_total_flops()) // 2 // len(images)


def run_program(checkout: Path, name: str, runs: int) -> Row:
    """Train `runs` times after a warm-up, in the current folder, which holds cifar10/."""
    module = load_program(checkout, name)
    last: dict[str, Any] = {}

    def remember(variables: dict[str, Any], is_final_entry: bool) -> None:
        if not is_final_entry:
            last.update({k: variables[k] for k in ("total_time_seconds", "current_steps")})

    module.print_training_details = remember  # type: ignore[attr-defined]
    seconds, accuracies = [], []
    for run in ["warmup", *range(runs)]:
        accuracy = module.main(run)
        if run != "warmup":
            seconds.append(last["total_time_seconds"])
            accuracies.append(accuracy)
    images = last["current_steps"] * module.hyp["opt"]["batch_size"]
    return _row(images / statistics.median(seconds), count_multiply_adds(module)) | {
        "seconds": statistics.median(seconds),
        "accuracy": statistics.mean(accuracies),
        "n": runs,
    }


def _row(images_per_second: float, multiply_adds: int) -> Row:
    rate = images_per_second * multiply_adds
    return {
        "images_per_second": images_per_second,
        "multiply_adds": multiply_adds,
        "multiply_adds_per_second": rate,
    }


def measure_theirs(checkout: Path, name: str, runs: int, images: Path) -> Row:
    """Run one of their programs in a process of its own."""
    command = [sys.executable, __file__, "--be-program", name, "--runs", str(runs)]
    command += ["--checkout", str(checkout.resolve())]
    done = subprocess.run(command, cwd=images, capture_output=True, text=True, timeout=540)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def measure_ours(
    net: ResNetConfig, mode: str, batch_size: int, images: Images, steps: int, rounds: int
) -> Row:
    """Time this project's step in a steady state."""
    train = TrainConfig(batch_size=batch_size, compile=mode)
    config = Config(model=net, train=train, augmentation=CROP_FLIP)
    torch.backends.cudnn.benchmark = True  # as run_training and their programs do
    run = ours(config, images)
    run(steps)
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        run(steps)
        rates.append(steps * batch_size / (time.perf_counter() - start))
    return _row(statistics.median(rates), check_budget(config, NUM_CLASSES).multiply_adds) | {
        "n": rounds
    }


def derive(rows: dict[str, Row]) -> dict[str, float]:
    """Return the best of ours against each of theirs."""
    rates = {
        name: row["multiply_adds_per_second"] for name, row in rows.items() if "error" not in row
    }
    mine = [rate for name, rate in rates.items() if name.startswith("ours/")]
    theirs = {name: rate for name, rate in rates.items() if not name.startswith("ours/")}
    return {f"ours against {name}": max(mine) / rate for name, rate in theirs.items() if mine}


def _load_images(root: Path | None, small: bool) -> Dataset:
    if root is not None:
        return load_dataset(ImageFolderConfig(root=str(root)))
    if not small:
        raise SystemExit("--data: must be a folder with train/<class>/ and test/<class>/")
    train, test = random_images(600), random_images(100)
    return Dataset(train.images, train.labels, test.images, test.labels, CLASSES, "")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--checkout", type=Path, required=True, help="their repository")
    parser.add_argument("--data", type=Path, help="image folder, for both")
    parser.add_argument("--runs", type=int, default=5, help="of each of their programs")
    parser.add_argument("--be-program", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_program:
        row = run_program(options.checkout, options.be_program, options.runs)
        print(f"\n{json.dumps(row)}")
        return 0
    taken = open_measurements(options)
    data = _load_images(options.data, options.small)
    images = Images(data.train_images, data.train_labels)
    modes = ["graph", "inductor"] if here().type == "cuda" else ["none"]
    nets = [SMALL_NET] if options.small else [ResNetConfig(name="wrn_2343")]
    if not options.small:
        nets.append(ResNetConfig(name="wrn_2343_s1122", strides=[1, 1, 2, 2]))
    size = (64, 2, 1) if options.small else (1024, 49, 5)
    with tempfile.TemporaryDirectory() as folder:
        write_images(data, Path(folder) / "cifar10")
        for name in PROGRAMS:
            run = partial(measure_theirs, options.checkout, name, options.runs, Path(folder))
            print(name, taken.take(name, run), flush=True)
    for net in nets:
        for mode in modes:
            own = partial(measure_ours, net, mode, size[0], images, *size[1:])
            name = f"ours/{net.name}/{size[0]}/{mode}"
            print(name, taken.take(name, own), flush=True)
    return taken.finish(derive(taken.rows))


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)  # for the processes
    raise SystemExit(main())
