"""Runs with damaged files, through predict and export: one line, or a note, and the work."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("own_folder")

ARGUMENTS = {
    "predict": ["run=a", "input=unlabelled.npy", "output=out", "device=cpu", "figures=false"],
    "predict the test set": ["run=a", "input=test", "output=out", "device=cpu", "figures=false"],
    "export": ["run=a", "format=torch_export", "num_images=2", "output=out"],
}
DAMAGE = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "other": lambda content: b"[1, 2]",
    "flipped": lambda content: content[:300] + bytes([content[300] ^ 255]) + content[301:],
}


@pytest.fixture
def copied(runs: Path, tmp_path: Path) -> None:
    for name in ("model.pt", "config.json", "result.json"):
        (tmp_path / "a").mkdir(exist_ok=True)
        shutil.copy(runs / "a" / name, tmp_path / "a")
    shutil.copy(runs / "unlabelled.npy", tmp_path)


def _run(command: str, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    module = command.split()[0]
    monkeypatch.setattr(sys, "argv", [module, *ARGUMENTS[command]])
    try:
        import_module(f"resnet_sweep.{module}").main()
    except SystemExit as stopped:
        return stopped.code
    return 0


def _spoil(name: str, kind: str) -> None:
    path = Path("a", name)
    path.write_bytes(DAMAGE[kind](path.read_bytes()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_damaged_model_is_one_line(
    command: str,
    kind: str,
    copied: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _spoil("model.pt", kind)
    assert _run(command, monkeypatch) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line.startswith("error: a/model.pt: cannot be read: ")
    assert sorted(os.listdir()) == ["a", "unlabelled.npy"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["result.json", "config.json"])
@pytest.mark.parametrize("command", ARGUMENTS)
def test_the_model_serves_without_the_other_files(
    command: str,
    name: str,
    copied: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A result alone says which data were read: without one a reader is told."""
    for kind in ("cut", "other"):
        shutil.rmtree("out", ignore_errors=True)
        whole = Path("a", name).read_bytes()
        _spoil(name, kind)
        assert _run(command, monkeypatch) == 0
        told = "note: cannot tell whether the data are those that a read: a/result.json"
        is_told = command != "predict" and name == "result.json"
        assert (told in capsys.readouterr().out) == is_told, kind
        Path("a", name).write_bytes(whole)
