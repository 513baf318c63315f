"""--help explains every field, and neither it nor a mistake costs the import of torch."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import AugmentationConfig, RandAugmentConfig
from resnet_sweep.config.compose import SCHEMAS, conf_dir
from resnet_sweep.config.help import field_table, field_texts
from resnet_sweep.search.schema import PRUNERS, SweeperConfig

COMMANDS = ("train", "confirm", "compare", "predict", "export")
ALL_SCHEMAS = [
    Config,
    SweeperConfig,
    *PRUNERS.values(),
    *(schema for variants in SCHEMAS.values() for schema in variants.values()),
]
WITHOUT_TORCH = """
import runpy, sys
command = sys.argv.pop(1)
try:
    runpy.run_module(f"resnet_sweep.{command}", run_name="__main__")
except SystemExit as stopped:
    sys.exit(9 if "torch" in sys.modules else stopped.code)
"""


def _run(command: str, argument: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", WITHOUT_TORCH, command, argument]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("schema", ALL_SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_field_is_explained(schema: type) -> None:
    shown = re.sub(r"\n {4,}", " ", field_table(schema))
    for field in fields(schema):
        is_group = field.name in SCHEMAS or field.name in ("sampler", "pruner")
        if not field.name.startswith("_") and field.name != "name" and not is_group:
            line = next(each for each in shown.split("\n") if each.startswith(f"  {field.name}="))
            assert len(line.split(maxsplit=1)) == 2, line


def test_an_augmentation_that_is_off_is_explained_with_its_fields() -> None:
    shown = " ".join(field_table(AugmentationConfig).split())
    summary = (RandAugmentConfig.__doc__ or "").strip()
    assert f"randaugment=null {summary} Fields: num_ops=2; magnitude=9." in shown


def test_help_lists_the_groups_that_train_takes() -> None:
    command = [sys.executable, "-m", "resnet_sweep.train", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    listed = text.partition("== Groups")[2].partition("== Fields")[0]
    lines = (line.partition(": ") for line in listed.split("\n")[1:] if line)
    found = {group: options.split(", ") for group, _, options in lines}
    for group in ("model", "optimizer", "search_space", "experiment"):
        assert found[group] == sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))
    assert not {"schema", "schema/model", "comparison/steps", "hydra/sweeper"} & set(found)


def test_a_table_shows_the_values_that_hold() -> None:
    node = OmegaConf.structured(SCHEMAS["optimizer"]["sgd"])
    node.momentum = 0.5
    line = next(
        line
        for line in field_table(type(OmegaConf.to_object(node)), node).split("\n")
        if "momentum=" in line
    )
    assert (
        line.startswith("  momentum=0.5 ")
        and field_texts(SCHEMAS["optimizer"]["sgd"])["momentum"] in line
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_field(command: str, tmp_path: Path) -> None:
    done = _run(command, "--help", tmp_path)
    assert done.returncode == 0, done.stderr
    schema = {"train": SweeperConfig}.get(command)
    if schema is None:
        module = __import__(f"resnet_sweep.config.{command}", fromlist=["_"])
        schema = getattr(module, f"{command.capitalize()}Config")
    prefix = "hydra.sweeper." if command == "train" else ""
    for field in fields(schema):
        is_group = command == "train" and field.name in ("sampler", "pruner")
        shown = f"hydra/sweeper/{field.name} " if is_group else f"{prefix}{field.name}="
        assert field.name.startswith("_") or shown in done.stdout, field.name


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_mistake_is_one_line(command: str, tmp_path: Path) -> None:
    done = _run(command, "rum=a", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.endswith("did you mean run?\n")
