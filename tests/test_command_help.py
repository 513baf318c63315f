"""--help explains every field, and neither it nor a mistake costs the import of torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from resnet_sweep.config import Config
from resnet_sweep.config.compose import SCHEMAS
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
    texts = field_texts(schema)
    for field in fields(schema):
        node = OmegaConf.structured(schema)._get_node(field.name)
        is_group = is_dataclass(OmegaConf.get_type(node)) or field.name in ("sampler", "pruner")
        if not field.name.startswith("_") and field.name != "name" and not is_group:
            assert texts.get(field.name), field.name


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
        assert field.name.startswith("_") or f"{prefix}{field.name}=" in done.stdout, field.name


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_mistake_is_one_line(command: str, tmp_path: Path) -> None:
    done = _run(command, "rum=a", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.endswith("did you mean run?\n")
