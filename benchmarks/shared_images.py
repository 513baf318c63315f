"""Memory of several workers that train on the same images of one machine's CPU.

    python benchmarks/shared_images.py data/cifar10-jpeg --workers 1 4 8

Each worker places the data as a sweep's worker does, reads all pixels and waits; then every
process's memory is read from /proc (Linux): PSS counts a page that n processes share as one
n-th for each, so that its sum is what they occupy together. `data` is what placing added to the
sum, libraries loaded meanwhile included, `copies` that over the size of the decoded images.
Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path

import torch

from resnet_sweep.config.data import ImageFolderConfig
from resnet_sweep.data.device import place_data


def hold(root: str) -> None:
    """Be a worker: say `started`, place the data on a line, say `placed`, wait for another."""
    print("started", flush=True)
    sys.stdin.readline()
    data = place_data(
        ImageFolderConfig(root=root, val_size=0.1), torch.device("cpu"), with_test=True
    )
    parts = [part for part in (data.train, data.val, data.test) if part is not None]
    chunks = (chunk for part in parts for chunk in part.images.split(1000))
    is_read = sum(int(chunk.sum(dtype=torch.int64)) for chunk in chunks) > 0
    print("placed", sum(math.prod(part.images.shape) for part in parts), is_read, flush=True)
    sys.stdin.readline()


def proportional_bytes(pid: int) -> int:
    """Return a process's PSS."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("no Pss in smaps_rollup")


def measure(root: str, workers: int) -> tuple[int, int]:
    """Return bytes that placing added to the sum over all workers, and those of the images."""
    command = [sys.executable, __file__, root, "--hold"]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(workers)
    ]
    try:
        for process in processes:
            _answer(process)
        before = sum(proportional_bytes(process.pid) for process in processes)
        images = 0
        for process in processes:
            images = int(_answer(process, "place")[1])
        after = sum(proportional_bytes(process.pid) for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return after - before, images


def _answer(process: subprocess.Popen[str], question: str | None = None) -> list[str]:
    assert process.stdin is not None and process.stdout is not None
    if question is not None:
        print(question, file=process.stdin, flush=True)
    words = process.stdout.readline().split()
    if not words:
        raise RuntimeError("a worker died")
    return words


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder with train/<class>/ and test/<class>/")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--hold", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold:
        hold(options.root)
        return
    place_data(
        ImageFolderConfig(root=options.root, val_size=0.1), torch.device("cpu"), with_test=True
    )  # cache
    for workers in options.workers:
        added, images = measure(options.root, workers)
        print(
            f"{workers} workers: {added / 2**20:.0f} MiB for the data, {added / images:.2f} copies"
        )


if __name__ == "__main__":
    main()
