"""The commands of README and docs are accepted, and stopped before their work.

They are whole lines, indented or inline, or options that the text says to add to a command.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import pytest
from conftest import ROOT
from hydra.core.global_hydra import GlobalHydra

from resnet_sweep import compare, compose_config, confirm, export, predict, train
from resnet_sweep.analysis.summary import command as analysis
from resnet_sweep.comparison import command as comparing
from resnet_sweep.comparison import planning
from resnet_sweep.comparison.planning import FactorFile, StepFile
from resnet_sweep.config.compare import CompareConfig
from resnet_sweep.config.compose import LIST_GROUPS, SCHEMAS
from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.config.export import ExportConfig
from resnet_sweep.config.predict import PredictConfig
from resnet_sweep.confirmation.command import Confirming
from resnet_sweep.prediction import command as prediction
from resnet_sweep.prediction import exporting
from resnet_sweep.records.run_folder import write_config
from resnet_sweep.sweep import checks
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
# What an option is added to where a page says "add", and the options that each command has.
COMMANDS = {
    "train": "python -m resnet_sweep.train",
    "sweep": "python -m resnet_sweep.train -m hydra/sweeper=optuna",
    "confirm": "python -m resnet_sweep.confirm sweep=outputs/sweeps/night",
    "compare": "python -m resnet_sweep.compare recipes=[source,fast_93]",
    "predict": "python -m resnet_sweep.predict run=outputs/runs/NAME input=my_images",
    "export": "python -m resnet_sweep.export run=outputs/runs/NAME",
    "analysis": "python analysis/summarize.py outputs/",
}
SCHEMA_OF = {
    "confirm": ConfirmConfig,
    "compare": CompareConfig,
    "predict": PredictConfig,
    "export": ExportConfig,
}
# What the text leaves open, and what stands there in a command.
PLACEHOLDERS = {
    "data.num_classes=N": "data=arrays data.root=PATH data.num_classes=3",
    "=N": "=3",
    "factors=FILE": "factors=ingredients",
    "steps=FILE": "steps=source_to_best",
    "each=true": "'run=[outputs/runs/A,outputs/runs/B]' each=true",
}
NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes, width=32):
        super().__init__()


def draw(draws, trial):
    pass
"""


class Reached(SystemExit):
    """The command has taken its words and would begin."""


def _commands() -> Iterator[tuple[str, str]]:
    """Return each command once, with the page where it stands first."""
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    for page in PAGES:
        for line in _on_page(page):
            found.setdefault(tuple(shlex.split(line, comments=True)), (page.name, line))
    yield from found.values()


def _on_page(page: Path) -> Iterator[str]:
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    yield from re.findall(r"^    (python .*)$", text, re.MULTILINE)
    for code in _inline(page):
        if code.startswith("python "):
            yield code
        elif re.match(r"--(where|watch|compare|top) .", code):
            yield f"{COMMANDS['analysis']} {code}"
        elif "..." not in code and _are_options(code):
            for placeholder, value in PLACEHOLDERS.items():
                code = re.sub(rf"{placeholder}$", value, code)
            yield _with_options(COMMANDS[_command_of(page.stem, code)], code)


def _inline(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text())


def _are_options(code: str) -> bool:
    return all(re.match(r"\'?\+{0,2}[a-z_][\w./]*=.", word) for word in code.split())


def _command_of(page: str, code: str) -> str:
    """Return the page's own command where that has the option, else the one that does."""
    key = re.split(r"[.=/]", code.strip("'"))[0]
    if page == "sweeps" or code.strip("'").startswith(("hydra/", "hydra.sweeper")):
        return "sweep"
    owners = [name for name, schema in SCHEMA_OF.items() if key in {f.name for f in fields(schema)}]
    if key in (*SCHEMAS, *LIST_GROUPS, "experiment", "resume", "evaluate_test", "hydra"):
        owners = ["train"]
    assert owners, (page, code)
    return page if page in owners else owners[0]


def _with_options(command: str, code: str) -> str:
    """Return the command with options in place of its own of the same name, or design."""
    given = {word.split("=")[0].strip("'") for word in code.split()}
    if given & {"steps", "factors"}:
        given.add("recipes")
    kept = [word for word in command.split() if word.split("=")[0] not in given]
    return " ".join([*kept, code])


def _are_all_of_hydra(options: list[str]) -> bool:
    return bool(options) and all(option.startswith("hydra") for option in options)


def _stop(*_: Any, **__: Any) -> NoReturn:
    raise Reached


def _compose_the_start(file: FactorFile | StepFile, composer: planning.RecipeComposer) -> NoReturn:
    """The whole design is composed in test_comparison_planning."""
    start = file.overrides([]) if isinstance(file, FactorFile) else file.start
    composer.compose("start", start)
    raise Reached


@pytest.mark.slow
@pytest.mark.parametrize(("page", "line"), [*_commands()])
def test_it_is_accepted(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(line, comments=True)
    if words[1].startswith("benchmarks/"):
        text = (ROOT / words[1]).read_text()
        assert all(word in text for word in words[2:] if word.startswith("--"))
        return
    (tmp_path / "my_nets.py").write_text(NET)
    shutil.copy(ROOT / "conf/comparison/factors/ingredients.yaml", tmp_path / "mine.yaml")
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
    for name in ("connect", "old_settings"):  # no database, no older sweep
        monkeypatch.setattr(checks, name, lambda *_: None)
    if words[4:5] == ["hydra/sweeper=optuna"] and _are_all_of_hydra(words[5:]):
        monkeypatch.setattr(checks, "check_space", lambda *_: None)  # that of the plain command
    for name in ("plan_factors", "plan_steps"):
        monkeypatch.setattr(planning, name, _compose_the_start)
    if words[1] == "analysis/summarize.py":
        with pytest.raises(SystemExit) as ended:
            analysis.main(words[2:])
    else:
        for run_dir in (word[7:] for word in words if word.startswith("resume=")):
            Path(run_dir).mkdir(parents=True)
            write_config(Path(run_dir), compose_config())
        assert words[1] == "-m"
        package, command = words[2].split(".")
        assert package == "resnet_sweep"
        monkeypatch.setattr(sys, "argv", [command, *words[3:]])
        GlobalHydra.instance().clear()
        with pytest.raises(SystemExit) as ended:
            MAINS[command]()
    is_help = "--help" in words
    assert isinstance(ended.value, Reached) or (is_help and not ended.value.code), ended.value.code


MAKE = sorted({c for p in PAGES for c in _inline(p) if re.match(r"make \w+( [^.]*)?$", c)})


@pytest.mark.parametrize("line", MAKE)
def test_make_has_the_target(line: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "--dry-run", *shlex.split(line)[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_readme_has_the_sweep_of_quickstart() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shown = next(line for page, line in _commands() if page == "README.md" and "=first" in line)
    command = ["make", "--dry-run", "quickstart"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = re.sub(r"\\\n", "", done.stdout).splitlines()
    made = next(line for line in lines if "hydra/sweeper=optuna" in line)
    assert {*shlex.split(shown)} - {*shlex.split(made)} <= {
        "python",
        "hydra.sweeper.study_name=first",
    }


def test_the_extras_are_there() -> None:
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"pip install '(?:\.|resnet_sweep)\[(\w+)\]'", text))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert named and named <= project["optional-dependencies"].keys()


def test_the_table_of_groups_is_that_of_the_files() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+` ?)+)\|", text, re.MULTILINE)
    shown = {group: set(re.findall(r"\w+", options)) for group, options in rows}
    assert shown.keys() == {*SCHEMAS, *LIST_GROUPS, "experiment"}
    for group, options in shown.items():
        assert options == {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}


def test_commands_are_found() -> None:
    assert len([*_commands()]) > 80
    assert {page for page, _ in _commands()} >= {"README.md", "sweeps.md", "predict.md"}


def test_a_mistake_in_a_command_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        test_it_is_accepted(
            "", "python -m resnet_sweep.train optimizer.lrr=1", tmp_path, monkeypatch
        )
