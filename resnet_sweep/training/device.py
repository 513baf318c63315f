"""Which device, precision and compile mode a run gets."""

from __future__ import annotations

import importlib.util
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from resnet_sweep.config.errors import ConfigError, require
from resnet_sweep.config.train import TrainConfig
from resnet_sweep.system.hardware import ask_nvidia_smi

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Execution:
    """What `auto` came to.

    Args:
        dtype: of the matrix products; the weights are always float32.
        compile: none, graph or inductor.
    """

    device: torch.device
    dtype: torch.dtype
    compile: str
    channels_last: bool

    @property
    def records_graph(self) -> bool:
        """Whether the step becomes a CUDA graph; fp16's gradient scaler asks the device back."""
        on_gpu = self.device.type == "cuda" and self.compile != "none"
        return on_gpu and self.dtype != torch.float16

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which matrix products have `dtype`."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    @property
    def precision(self) -> str:
        """The name of `dtype` in configurations and records."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


# Compiling takes 20 to 60 s and fusing saves about a fifth of the traffic of a step: it pays
# after 3e15 to 9e15 multiply-adds. Estimated from the roofline of an H200 and the seconds per
# epoch of mode `graph` there; benchmarks/gpu.py prints the break-even that it measures.
INDUCTOR_PAYS_FROM = 1e16


def choose_execution(config: TrainConfig, work_ahead: float = 0.0) -> Execution:
    """Resolve device, precision and compile mode.

    Args:
        work_ahead: multiply-adds of the run's forward passes, as far as they are known.

    Raises:
        ConfigError: what was asked for is not on this machine.
    """
    device = choose_device(config.device)
    dtype = choose_dtype(config.precision, device)
    mode = choose_compile_mode(config.compile, device, dtype, work_ahead)
    return Execution(device, dtype, mode, config.channels_last)


def choose_device(name: str, field: str = "train.device") -> torch.device:
    """Return the device that `field` names; never a CPU quietly where a GPU lies idle."""
    if name in ("auto", "cuda"):
        if torch.cuda.is_available():
            return torch.device("cuda")
        reason = _why_no_cuda()
        if reason is not None:
            raise ConfigError(field, name, f"{reason}; {field}=cpu uses the CPU")
    if name in ("auto", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    require(name != "cuda", field, name, "this machine has no NVIDIA GPU; take cpu")
    require(name != "mps", field, name, "this machine has no Apple GPU; take cpu")
    return torch.device("cpu")


def _why_no_cuda() -> str | None:
    """Say why torch cannot use a GPU that nvidia-smi sees; None where it sees none."""
    drivers = ask_nvidia_smi("--query-gpu=driver_version", "--format=csv,noheader")
    if not drivers:
        return None
    if torch.version.cuda is None:
        return f"nvidia-smi sees a GPU but torch {torch.__version__} was built for CPUs alone"
    return (
        f"nvidia-smi sees a GPU (driver {drivers[0]}) but torch {torch.__version__}, built for "
        f"CUDA {torch.version.cuda}, cannot use it: the driver may be too old for it, "
        "or CUDA_VISIBLE_DEVICES hides the GPU"
    )


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of the matrix products; `auto` asks the processor what it is fast at."""
    if precision in DTYPES:
        return DTYPES[precision]
    if device.type == "cpu":
        # Others emulate bf16, at a fraction of their speed in fp32.
        has = torch.cpu.get_capabilities()
        fast = has.get("avx512_bf16", False) or has.get("amx_bf16", False)
        # ATEN_CPU_CAPABILITY may ask for less than the processor has.
        used = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        return torch.bfloat16 if fast and used else torch.float32
    if device.type != "cuda":
        return torch.float32
    capability = torch.cuda.get_device_capability(device)
    if capability >= (8, 0):
        return torch.bfloat16
    # Older chips emulate bf16 slowly; from 7.0 on they have fast fp16.
    return torch.float16 if capability >= (7, 0) else torch.float32


def choose_compile_mode(
    mode: str, device: torch.device, dtype: torch.dtype, work_ahead: float = 0.0
) -> str:
    """Return none, graph or inductor; `auto` compiles where the work ahead repays it.

    Raises:
        ConfigError: a CUDA graph without a CUDA device, or with fp16's gradient scaler.
    """
    can_graph = device.type == "cuda" and dtype != torch.float16
    if mode == "auto" and can_graph:
        # Inductor needs Triton, and a C compiler for its launchers.
        compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
        can_compile = compiler is not None and importlib.util.find_spec("triton") is not None
        return "inductor" if work_ahead >= INDUCTOR_PAYS_FROM and can_compile else "graph"
    if mode == "auto":
        return "none"
    allowed = "needs a CUDA device and a precision other than fp16; take none or inductor"
    require(mode != "graph" or can_graph, "train.compile", mode, allowed)
    return mode
