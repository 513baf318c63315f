"""How many workers one GPU feeds: trials an hour with 1, 2, 4 and 8, with and without MPS.

    python benchmarks/workers.py --output benchmarks/results/workers.json  (a call of 8 minutes)
    python benchmarks/workers.py --small                                   (seconds, anywhere)

Each worker is a process that trains wrn_2343 as a sweep's worker does (mode `graph` on a GPU). All
begin together when the last one is ready and train for some seconds; their images a second are
added up. Trials an hour are of 10 epochs of 50,000 images, training alone: what passes between two
trials is benchmarks/gpu_sweep.py's. MPS is NVIDIA's Multi-Process Service, which lets the kernels
of several processes run side by side; it is tried where nvidia-cuda-mps-control can be started.
The last lines say what `hydra.sweeper.n_jobs` should be by default. Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from agreement import CROP_FLIP, SMALL_NET
from contenders import make_step, random_images
from measurements import Row, add_options, here, open_measurements

from resnet_sweep.config import Config
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.train import TrainConfig

TRIAL_IMAGES = 10 * 50_000
ENOUGH = 0.95  # of the best rate: fewer workers are taken for so much
USABLE_MEMORY = 0.9
MPS = "nvidia-cuda-mps-control"


def train_for(seconds: float, batch_size: int, small: bool) -> None:
    """Be a worker: say `ready`, wait for a line, train, say what was done as JSON."""
    net = SMALL_NET if small else ResNetConfig(name="wrn_2343")
    train = TrainConfig(batch_size=batch_size)
    images = random_images(600 if small else 50_000)
    torch.backends.cudnn.benchmark = True  # as run_training does
    step = make_step(Config(model=net, train=train, augmentation=CROP_FLIP), images)
    count = len(images.labels) - batch_size
    order = torch.randperm(len(images.labels), device=step.execution.device)
    step(order[:batch_size], 0.01, 0)
    step.take_sums(batch_size)
    print("ready", flush=True)
    sys.stdin.readline()
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(1 if small else 50):
            first = steps * batch_size % count
            step(order[first : first + batch_size], 0.01, steps)
            steps += 1
        step.take_sums(batch_size)  # waits for the device
    rate = steps * batch_size / (time.perf_counter() - start)
    memory = _memory_bytes(step.execution.device)
    print(json.dumps({"images_per_second": rate, "memory_bytes": memory}), flush=True)


def _memory_bytes(device: torch.device) -> int:
    """Return what this process holds of the device; of a GPU, context and free blocks too."""
    if device.type != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    listing = subprocess.run(query, capture_output=True, text=True, timeout=60).stdout
    for line in listing.splitlines():
        pid, _, mebibytes = line.partition(",")
        if pid.strip() == str(os.getpid()) and mebibytes.strip().isdigit():
            return int(mebibytes) * 2**20
    return torch.cuda.max_memory_reserved(device)  # in a container nvidia-smi may see no process


def measure(workers: int, batch_size: int, seconds: float, small: bool, mps: bool) -> Row:
    """Return the summed rate of so many workers and the largest one's memory."""
    with mps_server() if mps else _plain_environment() as environment:
        answers = _run_together(workers, batch_size, seconds, small, environment)
    rate = sum(answer["images_per_second"] for answer in answers)
    return {
        "workers": workers,
        "batch_size": batch_size,
        "mps": mps,
        "images_per_second": rate,
        "trials_per_hour": 3600 * rate / TRIAL_IMAGES,
        "memory_bytes_per_worker": max(answer["memory_bytes"] for answer in answers),
    }


def _run_together(
    workers: int, batch_size: int, seconds: float, small: bool, environment: dict[str, str]
) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, "--be-worker", str(seconds), str(batch_size)]
    threads = str(max(1, len(os.sched_getaffinity(0)) // workers))
    environment = {**environment, "OMP_NUM_THREADS": threads}
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(
            [*command, *(["--small"] if small else [])],
            env=environment,
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        for _ in range(workers)
    ]
    try:
        for process in processes:
            _expect_ready(process)
        return [json.loads(answer) for answer in _begin(processes)]
    finally:
        for process in processes:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Let a process end by itself first: MPS may fail for all where a client is killed."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _expect_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise RuntimeError("a worker died before its first step")


def _begin(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Let all begin, and return what each says at its end."""
    for process in processes:
        assert process.stdin is not None
        print("go", file=process.stdin, flush=True)
    answers = [process.stdout.readline() for process in processes if process.stdout is not None]
    if not all(answers):
        raise RuntimeError("a worker died while it trained")
    return answers


@contextmanager
def _plain_environment() -> Iterator[dict[str, str]]:
    yield dict(os.environ)


@contextmanager
def mps_server() -> Iterator[dict[str, str]]:
    """Run NVIDIA's Multi-Process Service and yield the environment in which it is found.

    Raises:
        RuntimeError: it is not installed, or cannot be started.
    """
    if shutil.which(MPS) is None:
        raise RuntimeError(f"{MPS} is not installed")
    with tempfile.TemporaryDirectory(prefix="mps") as folder:
        pipes, logs = Path(folder) / "pipe", Path(folder) / "log"
        pipes.mkdir()
        logs.mkdir()
        environment = {
            **os.environ,
            "CUDA_MPS_PIPE_DIRECTORY": str(pipes),
            "CUDA_MPS_LOG_DIRECTORY": str(logs),
        }
        started = subprocess.run([MPS, "-d"], env=environment, capture_output=True, text=True)
        if started.returncode != 0:
            raise RuntimeError(f"{MPS} -d: {(started.stderr or started.stdout).strip()}")
        try:
            yield environment
        finally:
            subprocess.run([MPS], input="quit\n", env=environment, text=True, timeout=60)


def recommend(rows: list[Row], memory_bytes: float) -> int:
    """Return the fewest workers that come near the best rate of those that fit into memory.

    Args:
        rows: of one batch size, with or without MPS.
    """
    usable = USABLE_MEMORY * memory_bytes
    fitting = [row for row in rows if row["workers"] * row["memory_bytes_per_worker"] <= usable]
    if not fitting:
        return 1
    best = max(row["images_per_second"] for row in fitting)
    return min(row["workers"] for row in fitting if row["images_per_second"] >= ENOUGH * best)


def _device_memory() -> float:
    if torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(0).total_memory)
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def derive(rows: dict[str, Row]) -> dict[str, Any]:
    """Return the gain of several workers over one and the default that follows."""
    found = [row for row in rows.values() if "error" not in row]
    figures: dict[str, Any] = {}
    for batch_size, mps in sorted({(row["batch_size"], row["mps"]) for row in found}):
        group = [r for r in found if (r["batch_size"], r["mps"]) == (batch_size, mps)]
        where = f"batch {batch_size}, {'with' if mps else 'without'} MPS"
        alone = [
            r["images_per_second"]
            for r in found
            if (r["batch_size"], r["workers"], r["mps"]) == (batch_size, 1, False)
        ]
        if alone:
            best = max(row["images_per_second"] for row in group)
            figures[f"best against one worker, {where}"] = best / alone[0]
        figures[f"default n_jobs for each GPU, {where}"] = recommend(group, _device_memory())
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--be-worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=6, help="of training together")
    options = parser.parse_args()
    if options.be_worker:
        train_for(float(options.be_worker[0]), int(options.be_worker[1]), options.small)
        return 0
    taken = open_measurements(options)
    seconds = 0.3 if options.small else options.seconds
    counts, batch_sizes = ([1, 2], [32]) if options.small else ([1, 2, 4, 8], [128, 512])
    for mps in (False, True) if here().type == "cuda" else (False,):
        for batch_size in batch_sizes:
            for workers in counts:
                name = f"{batch_size}/{workers}/{'mps' if mps else 'plain'}"
                run = partial(measure, workers, batch_size, seconds, options.small, mps)
                print(name, taken.take(name, run), flush=True)
    return taken.finish(derive(taken.rows))


if __name__ == "__main__":
    raise SystemExit(main())
