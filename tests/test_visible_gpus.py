"""How many GPUs a sweep's launcher sees and what it says of them, by a stand-in for nvidia-smi."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from resnet_sweep.system.hardware import visible_gpus
from resnet_sweep.workers.launchers import (
    BASIC_LAUNCHER,
    RAY_LAUNCHER,
    SLURM_LAUNCHER,
    default_n_jobs,
    describe_workers,
)

LISTING = "#!/bin/sh\necho 'GPU 0: NVIDIA H200'\necho 'GPU 1: NVIDIA H200'\n"


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        (LISTING, ["0", "1"]),
        ("#!/bin/sh\nexit 9\n", []),
        ("#!/no/such/shell\n", []),  # the call itself fails
    ],
)
def test_what_nvidia_smi_lists_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, seen: list[str]
) -> None:
    (tmp_path / "nvidia-smi").write_text(script)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == seen


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 1,-1")
    assert visible_gpus() == ["3", "1"]


def test_the_workers_are_told_with_the_memory_that_each_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "case $1 in -L) echo GPU 0; echo GPU 1;; *) echo 81920; echo 24576;; esac"
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    here, slurm, ray, cluster = (
        OmegaConf.create(
            {"hydra": {"launcher": {"_target_": name, "ray": {"init": {"address": at}}}}}
        )
        for name, at in (
            (BASIC_LAUNCHER, None),
            (SLURM_LAUNCHER, None),
            (RAY_LAUNCHER, None),
            (RAY_LAUNCHER, "auto"),
        )
    )
    assert (default_n_jobs(here), default_n_jobs(ray)) == (2, 2)
    assert (default_n_jobs(slurm), default_n_jobs(cluster)) == (1, 1)  # these GPUs are not theirs
    assert describe_workers(2, is_given=False).startswith("workers: 2, one for each GPU;")
    assert describe_workers(2, is_given=True) == "workers: 2, as asked for"
    shared = "up to 2 share a GPU of 24 GiB, so that trials of over 12.0 GiB may fail"
    assert describe_workers(3, is_given=True) == f"workers: 3, as asked for: {shared}"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert describe_workers(1, is_given=False).startswith("workers: 1, one for each 4 of its cores")
    assert describe_workers(5, is_given=True) == "workers: 5, as asked for"
