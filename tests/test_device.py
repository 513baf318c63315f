"""Which device, precision and compile mode a run gets, on machines that this one is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import TINY_OVERRIDES, run_train

from resnet_sweep.config import Config
from resnet_sweep.config.errors import ConfigError
from resnet_sweep.config.train import TrainConfig
from resnet_sweep.records.run_folder import read_result
from resnet_sweep.training import device
from resnet_sweep.training import run as trial
from resnet_sweep.training.device import (
    choose_compile_mode,
    choose_device,
    choose_dtype,
    choose_execution,
)

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def make_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("name", ["auto", "cuda"])
@pytest.mark.parametrize("built_for", ["12.8", None])
def test_an_idle_gpu_is_never_passed_over_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, built_for: str | None
) -> None:
    make_nvidia_smi(tmp_path, monkeypatch, "echo 470.57")
    monkeypatch.setattr(torch.version, "cuda", built_for)
    reason = "built for CPUs alone" if built_for is None else "driver 470.57.*CUDA 12.8"
    with pytest.raises(ConfigError, match=rf"train\.device={name}: .*{reason}"):
        choose_device(name)
    assert choose_device("cpu") == CPU


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("script", ["exit 9", "true", "echo"])
def test_without_a_gpu_auto_is_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    make_nvidia_smi(tmp_path, monkeypatch, script)
    assert choose_device("auto") == CPU
    with pytest.raises(ConfigError, match="no NVIDIA GPU"):
        choose_device("cuda")
    with pytest.raises(ConfigError, match="no Apple GPU"):
        choose_device("mps")


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((9, 0), torch.bfloat16),
        ((8, 0), torch.bfloat16),
        ((7, 5), torch.float16),
        ((7, 0), torch.float16),
        ((6, 1), torch.float32),
    ],
)
def test_auto_precision_follows_the_compute_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert choose_dtype("auto", CUDA) == expected
    assert choose_dtype("fp32", CUDA) == torch.float32


@pytest.mark.parametrize(
    ("capabilities", "used", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "AVX512", torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, "AVX512", torch.bfloat16),
        ({"avx512_bf16": True}, "AVX2", torch.float32),  # ATEN_CPU_CAPABILITY=avx2
        ({"avx512_f": True, "avx512_bf16": False}, "AVX512", torch.float32),  # emulates bf16
        ({"neon": True, "bf16": True}, "DEFAULT", torch.float32),
    ],
)
def test_auto_precision_follows_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], used: str, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: used)
    assert choose_dtype("auto", CPU) == expected
    assert choose_dtype("fp32", CPU) == torch.float32
    assert choose_dtype("bf16", CPU) == torch.bfloat16


@pytest.mark.slow
def test_a_run_takes_what_this_processor_is_fast_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only test whose precision depends on the machine: the kernel lists what it has."""
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    flags = Path("/proc/cpuinfo").read_text().split()
    done = run_train(*TINY_OVERRIDES, "train.epochs=1", "hydra.run.dir=run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    expected = "bf16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "fp32"
    assert read_result(tmp_path / "run").precision == expected


@pytest.mark.parametrize(
    ("mode", "where", "dtype", "expected"),
    [
        ("auto", CUDA, torch.bfloat16, "graph"),
        ("auto", CUDA, torch.float16, "none"),
        ("auto", CPU, torch.float32, "none"),
        ("inductor", CPU, torch.float32, "inductor"),
    ],
)
def test_compile_modes(mode: str, where: torch.device, dtype: torch.dtype, expected: str) -> None:
    assert choose_compile_mode(mode, where, dtype) == expected


@pytest.mark.parametrize(
    ("epochs", "triton", "where", "expected"),
    [
        (30, True, CUDA, "graph"),  # a sweep's trial
        (100, True, CUDA, "graph"),
        (600, True, CUDA, "inductor"),
        (600, False, CUDA, "graph"),
        (600, True, CPU, "none"),
    ],
)
def test_auto_compiles_where_the_work_ahead_repays_it(
    epochs: int, triton: bool, where: torch.device, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of wrn_2343_s1122, 704 million multiply-adds for each of 50,000 images."""
    found = object() if triton else None
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda _: found)
    monkeypatch.setenv("CC", "cc")
    work = 704e6 * 50_000 * epochs
    dtype = torch.bfloat16 if where == CUDA else torch.float32
    assert choose_compile_mode("auto", where, dtype, work) == expected
    assert choose_compile_mode("none", where, dtype, work) == "none"


def test_a_run_tells_how_much_work_is_ahead(
    tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []

    def note(_config: TrainConfig, work_ahead: float = 0.0) -> device.Execution:
        told.append(work_ahead)
        return device.Execution(CPU, torch.float32, "none", True)

    monkeypatch.setattr(trial, "choose_execution", note)
    prepared = trial.prepare(tiny_config)
    assert told == [0, prepared.cost.multiply_adds * 200 * 2]  # images, epochs


@pytest.mark.parametrize(("where", "dtype"), [(CPU, torch.float32), (CUDA, torch.float16)])
def test_a_graph_that_cannot_be_is_refused(where: torch.device, dtype: torch.dtype) -> None:
    with pytest.raises(ConfigError, match=r"train\.compile=graph"):
        choose_compile_mode("graph", where, dtype)


@pytest.mark.parametrize(("precision", "graph"), [("bf16", True), ("fp16", False)])
def test_inductor_is_recorded_where_the_scaler_allows_it(
    monkeypatch: pytest.MonkeyPatch, precision: str, graph: bool
) -> None:
    monkeypatch.setattr(device, "choose_device", lambda _: CUDA)
    chosen = choose_execution(TrainConfig(precision=precision, compile="inductor"))
    assert chosen.records_graph == graph
