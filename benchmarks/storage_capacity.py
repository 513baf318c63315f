"""How many trials a storage carries, with as many workers as the machine can bear.

    python benchmarks/storage_capacity.py                              # the journal
    python benchmarks/storage_capacity.py --url postgresql+psycopg://user@host/database
    python benchmarks/storage_capacity.py --url postgresql+psycopg://... --proxy

Each worker is a process with its own connection that does nothing but what a trial asks of the
storage: it draws the parameters of `core` at random, reports 30 epochs and ends. `--proxy` puts
Optuna's gRPC proxy between the workers and the storage. A row gives what all workers together
finish in a second, and the median and the 99th percentile of one write. A worker whose trials
take minutes asks for a small part of that.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from storage_cost import core_space

from resnet_sweep.workers.storage import open_storage

EPOCHS = 30
PROXY = """
import sys, optuna
from pathlib import Path
from resnet_sweep.workers.storage import open_storage
storage = open_storage(sys.argv[1] or None, Path(sys.argv[2]))
optuna.storages.run_grpc_proxy_server(storage, host="localhost", port=int(sys.argv[3]))
"""


def work(
    url: str | None, folder: Path, name: str, seed: int, seconds: float, start: Barrier
) -> tuple[int, list[float]]:
    """Carry out trials for some seconds; return how many, and the seconds of each report."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, _ = core_space()
    storage, sampler = open_storage(url, folder), RandomSampler(seed=seed)
    study = optuna.load_study(study_name=name, storage=storage, sampler=sampler)
    start.wait()
    until, done, writes = time.monotonic() + seconds, 0, list[float]()
    while time.monotonic() < until:
        trial = study.ask()
        space.suggest(trial)
        for epoch in range(1, EPOCHS + 1):
            began = time.perf_counter()
            trial.report(0.5, epoch)
            writes.append(time.perf_counter() - began)
        study.tell(trial, 0.5)
        done += 1
    return done, writes


def _put(results: Any, *arguments: Any) -> None:
    results.put(work(*arguments))


def measure(url: str | None, folder: Path, name: str, workers: int, seconds: float) -> str:
    """Return one row: workers, trials a second, writes a second, milliseconds of a write."""
    optuna.create_study(study_name=name, storage=open_storage(url, folder))
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(workers + 1), context.Queue()
    common = (url, folder, name)
    processes = [
        context.Process(target=_put, args=(results, *common, seed, seconds, start))
        for seed in range(workers)
    ]
    for process in processes:
        process.start()
    start.wait()
    began = time.monotonic()
    found = [results.get() for _ in processes]
    elapsed = time.monotonic() - began
    trials = sum(done for done, _ in found)
    writes = sorted(1000 * each for _, times in found for each in times)
    last = writes[int(0.99 * len(writes))]
    rate, share = trials / elapsed, len(writes) / elapsed
    median = statistics.median(writes)
    return f"{workers:7} {rate:9.1f} {share:10.0f} {median:9.1f} ms {last:9.1f} ms"


@contextmanager
def proxy(url: str | None, folder: Path) -> Iterator[str]:
    """Run Optuna's proxy in front of a storage and yield its URL."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", PROXY, url or "", str(folder), str(port)]
    server = subprocess.Popen(command)
    try:
        yield f"grpc://localhost:{port}"
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--url", help="of a database; else a journal")
    parser.add_argument("--proxy", action="store_true", help="Optuna's gRPC proxy before it")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("workers  trials/s  reports/s  median of one  99th percentile")
    for workers in arguments.workers:
        name = f"{time.time():.6f}"
        with tempfile.TemporaryDirectory() as folder:
            if arguments.proxy:
                with proxy(arguments.url, Path(folder)) as url:
                    row = measure(url, Path(folder), name, workers, arguments.seconds)
            else:
                row = measure(arguments.url, Path(folder), name, workers, arguments.seconds)
        print(row, flush=True)


if __name__ == "__main__":
    main()
