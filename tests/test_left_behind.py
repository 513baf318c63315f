"""A signal, a kill or a full disk while files are written leaves nothing that looks whole."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from resnet_sweep.system.staging import staged_folder

pytestmark = pytest.mark.usefixtures("own_folder")

INPUT = "input=digits.npz"
ARGUMENTS = {
    "predict": ["run=a", INPUT, "output=made/out", "device=cpu"],
    "predict several": ["run=a", f"input=[test,{INPUT[6:]}]", "output=made/out", "device=cpu"],
    "export": ["run=a", "format=torch_export", "num_images=2", "output=made/out"],
}
# The last thing that each writes, into a file that is open by then.
LAST = {
    "predict": ("resnet_sweep.prediction.command", "draw_sheets"),
    "predict several": ("resnet_sweep.reporting.report", "write_json"),
    "export": ("resnet_sweep.system.atomic", "os.fsync"),
}


@pytest.fixture
def before(runs: Path, tmp_path: Path) -> list[str]:
    for name in ("a", "digits.npz"):
        os.symlink(runs / name, tmp_path / name)
    return sorted(os.listdir(tmp_path))


def _run(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """Run a command in this process and return its exit status and what it said on stderr."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    module = command.split()[0]
    monkeypatch.setattr(sys, "argv", [module, *ARGUMENTS[command]])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        import_module(f"resnet_sweep.{module}").main()
    return stopped.value.code, capsys.readouterr().err


def _at_the_end(command: str, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    module, name = LAST[command]
    monkeypatch.setattr(f"{module}.{name}", lambda *arguments, **options: do())


@pytest.mark.slow
@pytest.mark.parametrize("command", ARGUMENTS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_while_files_are_written(
    command: str,
    number: signal.Signals,
    before: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    _at_the_end(command, lambda: signal.raise_signal(number), monkeypatch)
    code, said = _run(command, monkeypatch, capsys)
    assert (code, said) == (128 + number, "interrupted\n")
    assert sorted(os.listdir()) == before
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers


@pytest.mark.slow
@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_disk_that_takes_no_more(
    command: str,
    before: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A limit on the size of files, which the system reports as it does a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        code, said = _run(command, monkeypatch, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2 and said.count("\n") == 1
    assert said.startswith("error: made/out") and "cannot be written (File too large)" in said
    assert sorted(os.listdir()) == before


SLEEPY = """
import signal, sys
from importlib import import_module
module, name, command = sys.argv[1:4]
sys.argv[1:4] = []
owner = import_module(module)
*path, name = name.split(".")
for each in path:
    owner = getattr(owner, each)
def sleep(*arguments, **options):
    print("writing", flush=True)
    signal.pause()
setattr(owner, name, sleep)
import_module(f"resnet_sweep.{command}").main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_kill_while_files_are_written(command: str, before: list[str], tmp_path: Path) -> None:
    words = [sys.executable, "-c", SLEEPY, *LAST[command], command, *ARGUMENTS[command]]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any(line == "writing\n" for line in process.stdout)
    process.kill()
    process.communicate()
    assert not list(Path("made").rglob("model.pt2"))
    if command == "predict":  # the hidden folder goes when the next call writes there
        assert not Path("made/out").exists()
        with staged_folder(Path("made/other")):
            pass
        assert os.listdir("made") == ["other"]
