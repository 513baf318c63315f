"""The cores and the NVIDIA GPUs of this machine, without torch."""

from __future__ import annotations

import os
import shutil
import subprocess


def num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the ids of the NVIDIA GPUs that a program may use."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        ids = [gpu.strip() for gpu in chosen.split(",")]
        return [gpu for gpu in ids if gpu not in ("", "-1")]
    lines = ask_nvidia_smi("-L")
    return [str(i) for i, line in enumerate(lines) if line.startswith("GPU ")]


def least_memory_gib() -> float | None:
    """Return the memory of the smallest GPU, of this machine's or of the visible ones."""
    query = ["--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    lines = ask_nvidia_smi(*query, *(["-i", chosen] if chosen else []))
    sizes = [int(line) for line in lines if line.strip().isdigit()]
    return min(sizes) / 1024 if sizes else None


def ask_nvidia_smi(*arguments: str) -> list[str]:
    """Return the lines of nvidia-smi's answer; none where it is missing or fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        answer = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):  # as without a driver
        return []
    return answer.stdout.strip().splitlines() if answer.returncode == 0 else []
