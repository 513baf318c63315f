"""Everything that the speed of one run on a GPU is judged by, in one command.

    python benchmarks/gpu.py --output benchmarks/results/gpu.json      (8 minutes a call)
    python benchmarks/gpu.py --only steps --modes none graph
    python benchmarks/gpu.py --small                                   (seconds, on any machine)

Begins nothing new after 8 minutes and then exits with status 75; called again with the same
--output it goes on. Seconds per epoch are for 50,000 images, from the median of several rounds of
steps in a steady state; the time to the first step includes building, compiling (no cache of an
earlier run is used) and recording. TFLOP/s count 6 operations for each multiply-add of a forward
pass. The share of the roofline is the least time that the eager kernels could take (roofline.py,
with this chip's measured rates) over the time taken. Figures: benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from functools import partial
from typing import Any

import agreement
import torch
from agreement import CROP_FLIP, HEAVY, SMALL_NET
from chip import measure_chip
from contenders import NUM_CLASSES, bare, ours, random_images, usual_loop
from gpu_figures import derive
from measurements import Measurements, Row, add_options, here, open_measurements
from roofline import Chip, Operation, count_operations, limits
from torch.autograd import DeviceType

from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import AugmentationConfig
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.train import TrainConfig
from resnet_sweep.model.budget import check_budget
from resnet_sweep.training.device import choose_dtype

EPOCH_IMAGES = 50_000
NETS = {
    "wrn_2343": ResNetConfig(name="wrn_2343"),
    "wrn_2343_s1122": ResNetConfig(name="wrn_2343_s1122", strides=[1, 1, 2, 2]),
}
NO_AUGMENTATION = AugmentationConfig()


def make_config(
    model: ResNetConfig,
    batch_size: int,
    mode: str,
    augmentation: AugmentationConfig = CROP_FLIP,
    **train: Any,
) -> Config:
    settings = TrainConfig(batch_size=batch_size, compile=mode, **train)
    return Config(model=model, train=settings, augmentation=augmentation)


class Benchmark:
    """The sections; each takes its rows unless the file has them."""

    def __init__(self, options: argparse.Namespace, taken: Measurements) -> None:
        self.small = options.small
        self.rounds = 1 if self.small else options.rounds
        self.workers = 0 if self.small else options.workers
        self.taken = taken
        self.cuda = torch.cuda.is_available()
        self.images = random_images(600 if self.small else EPOCH_IMAGES)
        self.nets = {"small": SMALL_NET} if self.small else NETS
        self.batch_sizes = [64] if self.small else [128, 512, 1024]
        modes = [mode for mode in options.modes if self.cuda or mode != "graph"]
        self.quick = sorted(set(modes) - {"inductor"})  # graph before none
        self.slow = sorted(set(modes) & {"inductor"})
        self.fast = "graph" if self.cuda else "none"
        torch.backends.cudnn.benchmark = True  # as run_training does
        torch.compiler.config.force_disable_caches = True
        # Of the first call: the rows of one file are shares of one chip's rates.
        kept = taken.content.get("chip")
        self.chip = measure_chip(here(), self.small) if kept is None else Chip(**kept)
        self.operations: dict[str, list[Operation]] = {}

    def take(self, sections: list[str]) -> None:
        """Take what is wanted most first; compiling takes the most time.

        The profiler comes last: it slows what follows it, and has hung with CUDA graphs before.
        """
        for section, modes in (
            ("steps", self.quick[:1]),
            ("usual", []),
            ("augmentation", []),
            ("agreement", self.quick),
            ("steps", self.quick[1:]),
            ("steps", self.slow),
            ("agreement", self.slow),
            ("profile", self.quick),
        ):
            if section in sections:
                getattr(self, section)(modes)

    def agreement(self, modes: list[str]) -> None:
        """How far the modes' weights, statistics and averages are apart, by ingredient."""
        for ingredient in agreement.INGREDIENTS:
            for mode in modes:
                if mode != "none":
                    compare = partial(agreement.compare, ingredient, mode)
                    row = self.taken.take(f"agreement/{ingredient}/{mode}", compare)
                    print(f"agreement of {mode} with none, {ingredient}: {row}", flush=True)

    def steps(self, modes: list[str]) -> None:
        """The full step of each net, batch size and mode, beside the bare one."""
        for mode in modes:
            for net in self.nets.values():
                for batch_size in self.batch_sizes:
                    config = make_config(net, batch_size, mode)
                    self._row("full step", ours, config)
                    self._row("bare step", bare, config)

    def usual(self, _modes: list[str]) -> None:
        """The loop that most people write, with automatic mixed precision."""
        for net in self.nets.values():
            for batch_size in self.batch_sizes:
                config = make_config(net, batch_size, "none", channels_last=False)
                self._row("usual loop", usual_loop, config, self.workers)

    def augmentation(self, _modes: list[str]) -> None:
        """The heaviest recipe beside none at all, at the smallest and the largest batch."""
        net = next(iter(self.nets.values()))
        for batch_size in sorted({self.batch_sizes[0], self.batch_sizes[-1]}):
            for name, recipe in (("no augmentation", NO_AUGMENTATION), ("heaviest", HEAVY)):
                self._row(name, ours, make_config(net, batch_size, self.fast, recipe))

    def profile(self, modes: list[str]) -> None:
        """The kernels that take the most time, and the part of the time that has any."""
        net, batch_size = next(iter(self.nets.values())), self.batch_sizes[-1]
        for mode in modes:
            config = make_config(net, batch_size, mode)
            row = self.taken.take(f"profile/{mode}", partial(self._profile, config))
            for name, share in (row or {}).get("top", {}).items():
                print(f"{mode:9} {share:6.1%}  {name}", flush=True)

    def _row(self, what: str, make: Any, config: Config, *more: Any) -> None:
        net, batch_size, mode = config.model.name, config.train.batch_size, config.train.compile
        name = f"{what}/{net}/{batch_size}/{mode}"
        row = self.taken.take(name, partial(self._measure, make, config, *more))
        if row is not None:
            _print_row(name, row)

    def _measure(self, make: Any, config: Config, *more: Any) -> Row:
        _forget()
        start = time.perf_counter()
        run = make(config, self.images, *more)
        run(1)
        first_step = time.perf_counter() - start
        seconds = self._seconds_per_epoch(run, config.train.batch_size)
        median = statistics.median(seconds)
        cost = check_budget(config, NUM_CLASSES)
        return {
            "net": config.model.name,
            "batch_size": config.train.batch_size,
            "mode": config.train.compile,
            "seconds_per_epoch": median,
            "spread": (max(seconds) - min(seconds)) / median,
            "images_per_second": EPOCH_IMAGES / median,
            "tflops": 6 * cost.multiply_adds * EPOCH_IMAGES / median / 1e12,
            **self._roofline_shares(config, median),
            "seconds_to_first_step": first_step,
            "peak_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if self.cuda else None,
            "n": self.rounds,
        }

    def _seconds_per_epoch(self, run: Any, batch_size: int) -> list[float]:
        steps = 2 if self.small else max(20, 20_000 // batch_size)
        run(steps)
        seconds = []
        for _ in range(self.rounds):
            start = time.perf_counter()
            run(steps)
            seconds.append((time.perf_counter() - start) / steps * EPOCH_IMAGES / batch_size)
        return seconds

    def _roofline_shares(self, config: Config, seconds: float) -> dict[str, float]:
        net = config.model.name
        if net not in self.operations:
            dtype = choose_dtype(config.train.precision, here())
            self.operations[net] = count_operations(config, dtype)
        least = limits(self.operations[net], self.chip, EPOCH_IMAGES)
        return {
            "roofline_share": least["eager_kernels"] / seconds,
            "arithmetic_share": least["arithmetic"] / seconds,
        }

    def _profile(self, config: Config) -> Row:
        _forget()
        run = ours(config, self.images)
        run(3)
        with torch.profiler.profile() as profiler:
            start = time.perf_counter()
            run(5)
            wall = time.perf_counter() - start
        key = "self_device_time_total" if self.cuda else "self_cpu_time_total"
        # Of a GPU the kernels alone: operations bear the time of the kernels that they start.
        where = DeviceType.CUDA if self.cuda else DeviceType.CPU
        events = [event for event in profiler.key_averages() if event.device_type == where]
        events.sort(key=lambda event: getattr(event, key), reverse=True)
        total = sum(getattr(event, key) for event in events)
        top = {event.key[:80]: getattr(event, key) / total for event in events[:15]}
        return {"top": top, "busy_share": total / 1e6 / wall}


def _forget() -> None:
    """Free memory and compiled code, so that no row profits from the one before."""
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _print_row(name: str, row: Row) -> None:
    memory = row["peak_memory_gib"]
    print(
        f"{name:44} {row['seconds_per_epoch']:8.3f} s/epoch (spread {row['spread']:4.0%}) "
        f"{row['tflops']:7.2f} TFLOP/s {row['roofline_share']:4.0%} of the roofline, "
        f"first step {row['seconds_to_first_step']:5.1f} s"
        + (f"  {memory:.2f} GiB" if memory is not None else ""),
        flush=True,
    )


SECTIONS = ("agreement", "steps", "usual", "augmentation", "profile")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=8, help="of the usual loop's DataLoader")
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=SECTIONS)
    modes = ["none", "graph", "inductor"] if torch.cuda.is_available() else ["none"]
    parser.add_argument("--modes", nargs="*", choices=["none", "graph", "inductor"], default=modes)
    options = parser.parse_args()
    taken = open_measurements(options)
    benchmark = Benchmark(options, taken)
    taken.put("chip", vars(benchmark.chip))
    benchmark.take(options.only)
    return taken.finish(derive(taken.rows))


if __name__ == "__main__":
    raise SystemExit(main())
