"""Prediction beside the bare forward pass, and the memory that it takes.

    python benchmarks/predict.py                                     # 10,000 images
    python benchmarks/predict.py --images 2000                       # on a slow machine
    python benchmarks/predict.py --folder data/cifar10-jpeg/test     # also from image files
    python benchmarks/predict.py --memory                            # with a tiny net, on the CPU

wrn_2343 with random weights. The contenders take turns in one process, so that a noisy machine is
noisy for all of them; compare the ratios. The bare pass gets its batches normalised and on the
device. Peak memory is that of processes of their own. Figures:
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from resnet_sweep.config import Config
from resnet_sweep.config.compose import to_dict
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.data.custom import read_custom
from resnet_sweep.model.build import build_model
from resnet_sweep.prediction.predicting import predict
from resnet_sweep.records.checkpoint import write_model
from resnet_sweep.system.environment import device_name
from resnet_sweep.training.device import choose_device
from resnet_sweep.training.evaluation import default_batch_size
from resnet_sweep.training.trained_net import TrainedNet, load_net

PIXELS = 3 * 32 * 32  # bytes of an image, which the mapped file brings into memory
RESULTS = 10 * 4 + 8  # of its probabilities and its class
CLASSES = ["airplane", "automobile", "bird", "cat", "deer"]
CLASSES += ["dog", "frog", "horse", "ship", "truck"]
PEAK = """
import resource, sys
from pathlib import Path
from resnet_sweep.data.custom import read_custom
from resnet_sweep.prediction.predicting import predict
from resnet_sweep.training.trained_net import load_net
net = load_net(Path(sys.argv[1]), "cpu")
images = read_custom(Path(sys.argv[2]), net.class_names, 32).images
predict([net], images)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write_run(folder: Path, small: bool) -> None:
    """Write the model.pt of a run that never was."""
    model = ResNetConfig(name="wrn_2343")
    if small:
        model = ResNetConfig(name="small", widths=[8, 16], blocks=[1, 1], strides=[1, 2])
    config = Config(model=model)
    half = torch.full((3,), 0.5)
    content = {"class_names": CLASSES, "image_size": 32, "mean": half, "std": half / 2}
    state = build_model(config, len(CLASSES), 32).state_dict()
    folder.mkdir()
    write_model(folder, {"config": to_dict(config), "state_dict": state, **content})


def write_images(path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    np.save(path, rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))


def bare_pass(net: TrainedNet, path: Path) -> Callable[[], object]:
    """Return the forward pass alone over batches that are ready."""
    device, memory_format = net.execution.device, net.execution.memory_format
    images = torch.from_numpy(read_custom(path, CLASSES, 32).images.read(range(_count(path))))
    batches = [
        net.normalize(batch.to(device), memory_format)
        for batch in images.split(default_batch_size(net.execution, images.shape[-1]))
    ]

    @torch.no_grad()
    def run() -> object:
        with net.execution.autocast():
            logits = [net.model(batch) for batch in batches]
        return [each.cpu() for each in logits]  # waits for the device

    return run


def _count(path: Path) -> int:
    return len(np.load(path, mmap_mode="r"))


def measure(
    contenders: dict[str, Callable[[], object]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return (seconds, the process's CPU seconds) of each round, after one of warm-up."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        names = list(contenders)
        for name in names[round_number % len(names) :] + names[: round_number % len(names)]:
            start, cpu_start = time.perf_counter(), time.process_time()
            contenders[name]()
            if round_number > 0:
                spent = time.perf_counter() - start, time.process_time() - cpu_start
                seconds[name].append(spent)
    return seconds


def describe_ratios(
    ours: list[tuple[float, float]], bare: list[tuple[float, float]], kind: int
) -> str:
    """Return the median of the rounds' ratios, the quartiles, the lowest and the highest."""
    ratios = sorted(a[kind] / b[kind] for a, b in zip(ours, bare, strict=True))
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.3f} (quartiles {low:.3f}, {high:.3f}; {ratios[0]:.3f} to {ratios[-1]:.3f})"


def print_memory(run: Path, folder: Path, count: int) -> None:
    """Print how the peak memory of a whole process follows the number of images."""
    peaks = {}
    for images in (count, 4 * count):
        path = folder / f"{images}.npy"
        write_images(path, images)
        command = [sys.executable, "-c", PEAK, str(run), str(path)]
        peaks[images] = int(subprocess.run(command, check=True, capture_output=True).stdout)
    growth = (peaks[4 * count] - peaks[count]) * 1024 / (3 * count)
    listed = ", ".join(f"{n} images {kib / 2**20:.2f} GiB" for n, kib in peaks.items())
    beyond = (
        f"{growth - PIXELS - RESULTS:+.0f} beyond its pixels ({PIXELS}) and results ({RESULTS})"
    )
    print(f"peak memory on the CPU: {listed}; {growth:.0f} bytes an image, {beyond}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, help="image files, of which --images are read")
    parser.add_argument("--small", action="store_true", help="a tiny net, to try the benchmark")
    parser.add_argument("--memory", action="store_true", help="the peak memory instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, run = folder / "images.npy", folder / "run"
        write_run(run, options.small or options.memory)
        if options.memory:
            print_memory(run, folder, options.images)
            return
        write_images(path, options.images)
        net = load_net(run, options.device)
        images = read_custom(path, CLASSES, 32).images
        contenders: dict[str, Callable[[], object]] = {
            "bare forward pass": bare_pass(net, path),
            "prediction, .npy": lambda: predict([net], images),
        }
        if options.folder:
            files = read_custom(options.folder, CLASSES, 32).images
            files.paths = files.paths[:: max(1, len(files) // options.images)][: options.images]
            contenders["prediction, image files"] = lambda: predict([net], files)
        seconds = measure(contenders, options.rounds)
        device = device_name(choose_device(options.device))
        told = f"{net.execution.dtype}, {torch.get_num_threads()} threads"
        print(f"torch {torch.__version__}, {device}, {told}, n={options.rounds} rounds")
        bare = seconds["bare forward pass"]
        for contender, values in seconds.items():
            rate = options.images / statistics.median(wall for wall, _ in values)
            wall, cpu = (describe_ratios(values, bare, kind) for kind in (0, 1))
            print(f"{contender:24} {rate:9.1f} images/s   {wall} times the bare pass")
            print(f"{'':46}{cpu} times its CPU seconds")


if __name__ == "__main__":
    main()
