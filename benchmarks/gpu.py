"""Everything that the speed of one run on a GPU is judged by, in one command.

    python benchmarks/gpu.py --output gpu.json
    python benchmarks/gpu.py --modes none graph      (two to three minutes on one H200)
    python benchmarks/gpu.py --small                 (seconds, on any machine)

Seconds per epoch are for 50,000 images, from the median of several rounds of steps in a steady
state. The share of the roofline counts 6 operations for each multiply-add of a forward pass
(forward, and twice that backward). Figures: benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from contenders import NUM_CLASSES, Images, bare, make_step, ours, random_images, usual_loop

from resnet_sweep.config import Config
from resnet_sweep.config.data import (
    AugmentationConfig,
    CropFlipConfig,
    CutmixConfig,
    RandAugmentConfig,
)
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.train import RegularizationConfig, TrainConfig
from resnet_sweep.model.budget import check_budget

EPOCH_IMAGES = 50_000
# What one step costs at most, whatever the net: a matrix product and a copy, measured here.
MATRIX_SIZE = 8192
NETS = {
    "wrn_2343": ResNetConfig(name="wrn_2343"),
    "wrn_2343_s1122": ResNetConfig(name="wrn_2343_s1122", strides=[1, 1, 2, 2]),
}
SMALL_NET = ResNetConfig(name="small", widths=[8, 16], blocks=[1, 1])
CROP_FLIP = AugmentationConfig(crop_flip=CropFlipConfig())
HEAVY = AugmentationConfig(
    crop_flip=CropFlipConfig(), randaugment=RandAugmentConfig(), cutmix=CutmixConfig()
)


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
    """The measurements; each returns rows of plain values for the table and the JSON."""

    def __init__(self, small: bool, rounds: int, modes: list[str]) -> None:
        self.small = small
        self.rounds = rounds
        self.cuda = torch.cuda.is_available()
        self.images: Images = random_images(600 if small else EPOCH_IMAGES)
        self.nets = {"small": SMALL_NET} if small else NETS
        self.batch_sizes = [64] if small else [128, 512, 1024]
        self.modes = modes if self.cuda else ["none"]
        torch.backends.cudnn.benchmark = True  # as run_trial does

    def steps_per_round(self, batch_size: int) -> int:
        return 2 if self.small else max(20, 20_000 // batch_size)

    def seconds_per_epoch(self, run: Any, batch_size: int) -> tuple[float, float]:
        """Return the median and the relative spread over the rounds."""
        steps = self.steps_per_round(batch_size)
        run(steps)
        seconds = []
        for _ in range(self.rounds):
            start = time.perf_counter()
            run(steps)
            seconds.append((time.perf_counter() - start) / steps)
        median = statistics.median(seconds)
        return median * EPOCH_IMAGES / batch_size, (max(seconds) - min(seconds)) / median

    def row(self, what: str, make: Any, config: Config, *more: Any) -> dict[str, Any]:
        _empty_cache()
        start = time.perf_counter()
        run = make(config, self.images, *more)
        run(1)
        first_step = time.perf_counter() - start
        batch_size = config.train.batch_size
        seconds, spread = self.seconds_per_epoch(run, batch_size)
        cost = check_budget(config, NUM_CLASSES)
        row = {
            "what": what,
            "net": config.model.name,
            "batch_size": batch_size,
            "mode": config.train.compile,
            "seconds_per_epoch": seconds,
            "spread": spread,
            "images_per_second": EPOCH_IMAGES / seconds,
            "tflops": 6 * cost.multiply_adds * EPOCH_IMAGES / seconds / 1e12,
            "seconds_to_first_step": first_step,
            "peak_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if self.cuda else None,
            "n": self.rounds,
        }
        _print_row(row)
        return row

    def steps(self) -> list[dict[str, Any]]:
        """The full step of each net, batch size and mode, beside the bare one."""
        rows = []
        for net in self.nets.values():
            for batch_size in self.batch_sizes:
                for mode in self.modes:
                    if mode == "inductor" and batch_size == 512:
                        continue  # compiling takes most of the time; the ends tell enough
                    config = make_config(net, batch_size, mode)
                    rows.append(self.row("this project", ours, config))
                    rows.append(self.row("bare step", bare, config))
        return rows

    def usual(self, workers: int) -> list[dict[str, Any]]:
        """The loop that most people write, with automatic mixed precision."""
        rows = []
        for net in self.nets.values():
            config = make_config(net, self.batch_sizes[0], "none", channels_last=False)
            rows.append(self.row(f"usual loop, {workers} workers", usual_loop, config, workers))
        return rows

    def augmentation(self) -> list[dict[str, Any]]:
        """The heaviest recipe beside the lightest."""
        net, batch_size = next(iter(self.nets.values())), self.batch_sizes[-1]
        mode = "graph" if self.cuda else "none"
        recipes = {"no augmentation": AugmentationConfig(), "randaugment + cutmix": HEAVY}
        return [
            self.row(name, ours, make_config(net, batch_size, mode, recipe))
            for name, recipe in recipes.items()
        ]

    def agreement(self) -> list[dict[str, Any]]:
        """How far the modes' weights are apart after ten float32 steps with everything on."""
        regularization = RegularizationConfig(
            dropout=0.1, stochastic_depth=0.1, label_smoothing=0.1, ema_half_life_epochs=0.01
        )
        weights: dict[str, torch.Tensor] = {}
        for mode in self.modes:
            config = make_config(SMALL_NET, 64, mode, HEAVY, precision="fp32")
            config.regularization = regularization
            weights[mode] = _train_a_little(config, self.images)
        reference = weights["none"]
        rows = []
        for mode, value in weights.items():
            difference = float((value - reference).norm() / reference.norm())
            rows.append({"what": "agreement", "mode": mode, "relative_difference": difference})
            print(f"agreement of mode {mode} with none: {difference:.2e}", flush=True)
        return rows

    def profile(self) -> list[dict[str, Any]]:
        """The kernels that take the most time in the eager step of the reference net."""
        net, batch_size = next(iter(self.nets.values())), self.batch_sizes[-1]
        run = ours(make_config(net, batch_size, "none"), self.images)
        run(3)
        with torch.profiler.profile() as profiler:
            run(5)
        key = "self_device_time_total" if self.cuda else "self_cpu_time_total"
        events = sorted(profiler.key_averages(), key=lambda e: getattr(e, key), reverse=True)
        total = sum(getattr(event, key) for event in events)
        rows = [
            {"what": "profile", "name": e.key[:80], "share": getattr(e, key) / total}
            for e in events[:15]
        ]
        for row in rows:
            print(f"{row['share']:6.1%}  {row['name']}", flush=True)
        return rows


def _train_a_little(config: Config, images: Images) -> torch.Tensor:
    """Return all weights, averaged ones too, after ten steps."""
    _empty_cache()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    step = make_step(config, images)
    torch.manual_seed(1)
    batch_size = config.train.batch_size
    for i in range(10):
        first = i * batch_size % (len(images.labels) - batch_size)
        indices = torch.arange(first, first + batch_size, device=step.execution.device)
        step(indices, 0.01 * (i + 1), i)
    torch.backends.cudnn.allow_tf32 = True
    assert step.ema is not None
    state = [*step.model.state_dict().values(), *step.ema.model.state_dict().values()]
    return torch.cat([value.detach().double().flatten() for value in state]).cpu()


def ceilings() -> dict[str, float]:
    """Return what the chip can do: bf16 TFLOP/s of a product, TB/s of a copy."""
    matrix = torch.randn(MATRIX_SIZE, MATRIX_SIZE, device="cuda", dtype=torch.bfloat16)
    product = _time_on_gpu(lambda: matrix @ matrix)
    buffer = torch.empty(2**31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(buffer)
    copy = _time_on_gpu(lambda: target.copy_(buffer))
    return {
        "bf16_tflops": 2 * MATRIX_SIZE**3 / product / 1e12,
        "copy_tb_per_second": 2 * buffer.numel() / copy / 1e12,
    }


def _time_on_gpu(run: Any, repeats: int = 10) -> float:
    for _ in range(3):
        run()
    seconds = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)
    return statistics.median(seconds)


def _empty_cache() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _print_row(row: dict[str, Any]) -> None:
    memory = row["peak_memory_gib"]
    print(
        f"{row['net']:15} batch {row['batch_size']:5} {row['mode']:9} {row['what']:24} "
        f"{row['seconds_per_epoch']:8.3f} s/epoch (spread {row['spread']:4.0%}) "
        f"{row['tflops']:6.1f} TFLOP/s  first step {row['seconds_to_first_step']:6.1f} s"
        + (f"  {memory:.2f} GiB" if memory is not None else ""),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="tiny sizes, on any machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=8, help="of the usual loop's DataLoader")
    parser.add_argument("--output", type=Path, help="write all figures there as JSON")
    parser.add_argument("--only", nargs="*", help="sections: agreement steps usual ...")
    parser.add_argument("--modes", nargs="*", default=["none", "graph", "inductor"])
    options = parser.parse_args()

    benchmark = Benchmark(options.small, 1 if options.small else options.rounds, options.modes)
    workers = 0 if options.small else options.workers
    sections: dict[str, Any] = {
        "agreement": benchmark.agreement,
        "usual": lambda: benchmark.usual(workers),
        "augmentation": benchmark.augmentation,
        "profile": benchmark.profile,
        "steps": benchmark.steps,
    }
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    figures: dict[str, Any] = {"device": device, "torch": torch.__version__}
    if torch.cuda.is_available():
        figures["ceilings"] = ceilings()
    print(json.dumps(figures))
    for name, measure in sections.items():
        if options.only and name not in options.only:
            continue
        figures[name] = measure()
        if options.output is not None:
            options.output.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
