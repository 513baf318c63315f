"""The indented commands of README and docs are accepted, and stopped before their work."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from conftest import ROOT
from hydra.core.global_hydra import GlobalHydra

from resnet_sweep import compare, confirm, export, predict, train
from resnet_sweep.analysis.summary import command as analysis
from resnet_sweep.comparison import comparing, planning
from resnet_sweep.comparison.change_files import FactorFile
from resnet_sweep.confirmation.command import Confirming
from resnet_sweep.prediction import command as prediction
from resnet_sweep.prediction import exporting
from resnet_sweep.sweep import command as sweep
from resnet_sweep.training import run, run_check

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MAINS = {
    "train": train.main,
    "confirm": confirm.main,
    "compare": compare.main,
    "predict": predict.main,
    "export": export.main,
}
NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes, width=32):
        super().__init__()
"""


class Reached(SystemExit):
    """The command has taken its words and would begin."""


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        text = re.sub(r"\\\n\s*", " ", page.read_text())
        for line in re.findall(r"^    (python .*)$", text, re.MULTILINE):
            yield page.name, line


def _stop(*_: Any, **__: Any) -> NoReturn:
    raise Reached


def _compose_the_start(file: FactorFile, composer: planning.RecipeComposer) -> NoReturn:
    """The whole design is composed in test_comparison_planning."""
    composer.compose("start", file.overrides([]))
    raise Reached


@pytest.mark.parametrize(("page", "line"), [*_commands()])
def test_it_is_accepted(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(line, comments=True)
    (tmp_path / "my_nets.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for owner, name in (
        (run, "prepare"),
        (sweep, "check_ahead"),
        (comparing, "check_runs"),
        (Confirming, "run"),
        (prediction, "predict_inputs"),
        (exporting, "export"),
        (analysis, "summarize"),
        (analysis, "find_runs"),
    ):
        monkeypatch.setattr(owner, name, _stop)
    for owner in (run_check, sweep):  # no server is there
        monkeypatch.setattr(owner, "check_trackers", lambda _: None)
    monkeypatch.setattr(planning, "plan_factors", _compose_the_start)
    if words[1] == "analysis/summarize.py":
        with pytest.raises(SystemExit) as ended:
            analysis.main(words[2:])
    elif any(word.startswith("resume=") for word in words):
        pytest.skip("its run folder is its whole configuration: tests/test_train.py")
    else:
        assert words[1] == "-m"
        package, command = words[2].split(".")
        assert package == "resnet_sweep"
        monkeypatch.setattr(sys, "argv", [command, *words[3:]])
        GlobalHydra.instance().clear()
        with pytest.raises(SystemExit) as ended:
            MAINS[command]()
    is_help = "--help" in words
    assert isinstance(ended.value, Reached) or (is_help and not ended.value.code), ended.value.code


def test_commands_are_found() -> None:
    assert len([*_commands()]) > 35
    assert {page for page, _ in _commands()} >= {"README.md", "sweeps.md", "predict.md"}


def test_a_mistake_in_a_command_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        test_it_is_accepted(
            "", "python -m resnet_sweep.train optimizer.lrr=1", tmp_path, monkeypatch
        )
