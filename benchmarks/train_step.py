"""Images per second of the training step, beside the usual loop and the bare step.

    python benchmarks/train_step.py

All contenders take turns in one process, so that a noisy machine is noisy for all of them;
compare the ratios. Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from contenders import Run, bare, ours, random_images, usual_loop

from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import AugmentationConfig, CropFlipConfig
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.train import TrainConfig
from resnet_sweep.training.device import choose_execution


def make_config(
    batch_size: int, channels_last: bool, small: bool, precision: str = "auto"
) -> Config:
    model = ResNetConfig(name="wrn_2343")
    if small:
        model = ResNetConfig(name="small", widths=[8, 16], blocks=[1, 1])
    train = TrainConfig(
        batch_size=batch_size, channels_last=channels_last, precision=precision, compile="none"
    )
    return Config(model=model, train=train, augmentation=AugmentationConfig(CropFlipConfig()))


def measure(contenders: dict[str, Run], rounds: int, steps: int) -> dict[str, list[float]]:
    """Return seconds per step of each contender in each round, after one round of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run(steps)
            if round_number > 0:
                seconds[name].append((time.perf_counter() - start) / steps)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2, help="of the usual loop's DataLoader")
    parser.add_argument("--small", action="store_true", help="a tiny net, to try the benchmark")
    options = parser.parse_args()

    images = random_images(max(2000, 4 * options.batch_size))
    last = make_config(options.batch_size, True, options.small)
    first = make_config(options.batch_size, False, options.small)
    contenders = {
        "bare step, channels_last": bare(last, images),
        "this project, channels_last": ours(last, images),
        "bare step, contiguous": bare(first, images),
        "this project, contiguous": ours(first, images),
    }
    taken = choose_execution(last.train)
    usual = first
    if taken.device.type == "cpu" and taken.precision != "fp32":
        # What `auto` gains there; the usual loop knows no autocast on a CPU.
        full = make_config(options.batch_size, True, options.small, "fp32")
        contenders["this project, channels_last, fp32"] = ours(full, images)
        usual = make_config(options.batch_size, False, options.small, "fp32")
    contenders["usual loop"] = usual_loop(usual, images, options.workers)
    seconds = measure(contenders, options.rounds, options.steps)
    threads = torch.get_num_threads()
    print(
        f"torch {torch.__version__}, {threads} threads, n={options.rounds} rounds; "
        f"precision {taken.precision} where no other is named"
    )
    for name, values in seconds.items():
        rate = options.batch_size / statistics.median(values)
        spread = (max(values) - min(values)) / statistics.median(values)
        print(f"{name:34} {rate:9.1f} images/s   spread {spread:.0%}")
    _print_ratio(seconds, "this project, channels_last", "bare step, channels_last")
    for other in ("this project, channels_last, fp32", "usual loop"):
        if other in seconds:
            _print_ratio(seconds, "this project, channels_last", other)


def _print_ratio(seconds: dict[str, list[float]], ours_name: str, other: str) -> None:
    ratios = [b / a for a, b in zip(seconds[ours_name], seconds[other], strict=True)]
    low, high = min(ratios), max(ratios)
    print(f"{ours_name} / {other}: {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
