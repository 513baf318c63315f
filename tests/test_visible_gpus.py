"""How many GPUs a sweep's launcher sees, by a stand-in for nvidia-smi."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_sweep.sweep.launching import visible_gpus

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
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,-1")
    assert visible_gpus() == ["3"]
