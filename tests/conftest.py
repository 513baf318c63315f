"""What most tests start from: the smallest run on the bundled digits."""

from __future__ import annotations

import gc
import logging
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hydra.core.global_hydra import GlobalHydra

from resnet_sweep.config import Config
from resnet_sweep.config.data import DigitsConfig
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.config.train import TrainConfig

if TYPE_CHECKING:
    import torch

pytest_plugins = ["checked_summary"]

# The same precision on every processor: `auto` takes bf16 on those that multiply it.
if platform.machine() == "x86_64":
    os.environ["ATEN_CPU_CAPABILITY"] = "avx2"

# A shell in the background ignores SIGINT, nohup SIGHUP, and so would the programs that the tests
# interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).parent.parent
TINY_OVERRIDES = [
    "data=digits",
    "data.train_subset=200",
    "model.widths=[4,8]",
    "model.blocks=[1,1]",
    "model.strides=[2,2]",
    "train.epochs=2",
    "train.batch_size=64",
    "train.device=cpu",
    "train.figures=false",
    "tracker=none",
]


# Processes of pytest-xdist take whole files, these first: none is left alone with a long one.
LONG_FILES = (
    "test_train",
    "test_compare",
    "test_sweep",
    "test_sweep_samplers",
    "test_confirm",
    "test_sweep_command",
    "test_sweep_benchmarks",
    "test_run",
    "test_export",
    "test_comparison_planning",
)


def pytest_collection_finish() -> None:
    """Spare every later search for garbage, one in each run, what was imported until here."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONG_FILES)


class Killed(BaseException):
    """As a kill: nothing of the program may react to it."""


class MakesFolder:
    """A pickle of it makes a folder when it is loaded: code that must not run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def seeded(seed: int = 0) -> torch.Generator:
    import torch  # slow to import, and few tests need it

    return torch.Generator().manual_seed(seed)


def make_tiny_config() -> Config:
    """Return a run of two epochs of three steps that takes a fraction of a second."""
    return Config(
        model=ResNetConfig(name="tiny", widths=[4, 8], blocks=[1, 1], strides=[2, 2]),
        data=DigitsConfig(val_size=0.2, train_subset=200),
        train=TrainConfig(epochs=2, batch_size=64, device="cpu", figures=False, progress=False),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, a and b, and sets of digits; see prediction.make_runs."""
    from prediction import make_runs  # brings torch

    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def quiet_optuna() -> None:
    """No line for each trial."""
    import optuna  # slow to import, and few tests need it

    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw only the first figure, where a test is not about figures."""
    from resnet_sweep.analysis import figures  # brings matplotlib

    monkeypatch.setattr(figures, "FIGURES", figures.FIGURES[:1])


@pytest.fixture
def tiny_config() -> Config:
    return make_tiny_config()


def run_train(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m resnet_sweep.train` in `cwd` and return what it printed."""
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-m", "resnet_sweep.train", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def run_here(command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: a new one takes seconds to import torch."""
    out, err = StringIO(), StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        restored_logger(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.chdir(cwd)
        patch.delenv("HYDRA_FULL_ERROR", raising=False)
        patch.setattr(sys, "argv", [command, *arguments])
        status = _exit_status(import_module(f"resnet_sweep.{command}").main)
    GlobalHydra.instance().clear()
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def train_here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Do what `run_train` does in this process."""
    return run_here("train", *arguments, cwd=cwd)


@contextmanager
def restored_logger() -> Iterator[None]:
    logger = logging.getLogger("resnet_sweep")
    before = logger.level, logger.propagate, [*logger.handlers]
    try:
        yield
    finally:
        logger.level, logger.propagate, logger.handlers = before


def _exit_status(program: Callable[[], None]) -> int:
    try:
        program()
    except SystemExit as ended:
        assert ended.code is None or isinstance(ended.code, int)
        return ended.code or 0
    return 0
