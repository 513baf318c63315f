"""The GPUs of this machine and how many workers they get by default, without torch."""

from __future__ import annotations

import os
import shutil
import subprocess

CORES_PER_WORKER = 4


def num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the ids of the NVIDIA GPUs, without torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        ids = [gpu.strip() for gpu in chosen.split(",")]
        return [gpu for gpu in ids if gpu not in ("", "-1")]
    lines = _ask_nvidia_smi("-L")
    return [str(i) for i, line in enumerate(lines) if line.startswith("GPU ")]


def default_n_jobs() -> int:
    """One worker for each GPU; without one, one for each four cores.

    In mode `graph` more workers on a GPU gained nothing (benchmarks/RESULTS.md, one H200 without
    MPS), and one that has its GPU's memory to itself never loses it to another. With MPS nothing
    has been measured: benchmarks/workers.py measures both and prints what to take.
    """
    return len(visible_gpus()) or max(1, num_cores() // CORES_PER_WORKER)


def describe_workers(n_jobs: int, is_given: bool) -> str:
    """Return one line: how many workers of this machine, why, and what memory each has."""
    gpus = len(visible_gpus())
    start = f"workers: {n_jobs}"
    if not is_given:
        why = "one for each GPU" if gpus else f"one for each {CORES_PER_WORKER} of its cores"
        return f"{start}, {why}; hydra.sweeper.n_jobs=N takes another number"
    if n_jobs <= gpus or not gpus:
        return f"{start}, as asked for"
    on_each = -(-n_jobs // gpus)
    shared = f"{start}, as asked for: up to {on_each} share a GPU"
    memory = _least_memory_gib()
    if memory is None:
        return shared
    return (
        f"{shared} of {memory:.0f} GiB, so that trials of over {memory / on_each:.1f} GiB may fail"
    )


def _least_memory_gib() -> float | None:
    """Return the memory of the smallest GPU, of this machine's or of the visible ones."""
    query = ["--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    lines = _ask_nvidia_smi(*query, *(["-i", chosen] if chosen else []))
    sizes = [int(line) for line in lines if line.strip().isdigit()]
    return min(sizes) / 1024 if sizes else None


def _ask_nvidia_smi(*arguments: str) -> list[str]:
    """Return the lines of its answer; none where it is missing or fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        answer = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):  # as without a driver
        return []
    return answer.stdout.splitlines() if answer.returncode == 0 else []
