"""Going on in a run folder with the configuration that it holds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from resnet_sweep.compose import SCHEMAS, from_dict
from resnet_sweep.config import Config
from resnet_sweep.errors import ConfigError, UserError, require
from resnet_sweep.records.run_folder import (
    RecordError,
    TrialResult,
    read_config_values,
    read_result,
)

# What may differ from the run's own configuration.
FREE_FIELDS = ("train.device", "evaluate_test", "train.progress")
MULTIRUN_FLAGS = ("-m", "--multirun")


def is_resume(arguments: list[str]) -> bool:
    return any(argument.startswith("resume=") for argument in arguments) and not any(
        argument == "resume=null" for argument in arguments
    )


def resumed_config(arguments: list[str]) -> tuple[Config, Path]:
    """Return the configuration of the run that `resume=` names, and its folder.

    The YAML files of today are not read.

    Raises:
        UserError: no such run, or an override that differs from its configuration.
    """
    flags = [a for a in arguments if a.startswith("-")]
    allowed = "goes on with one run: it takes no flags such as"
    require(not flags, "resume", flags, f"{allowed} {MULTIRUN_FLAGS[0]}")
    overrides = OverridesParser.create().parse_overrides(arguments)
    run_dir = Path(str(_value_of(overrides, "resume")))
    require(run_dir.is_dir(), "resume", run_dir, "must be a run folder; there is no such folder")
    values = read_config_values(run_dir)
    changed = copy.deepcopy(values)
    for override in overrides:
        if override.key_or_group != "resume":
            _apply(changed, override, run_dir)
    return from_dict(changed), run_dir


def finished_result(run_dir: Path) -> TrialResult | None:
    """Return the result of a run that has completed; None for any other."""
    try:
        result = read_result(run_dir)
    except RecordError:
        return None
    return result if result.status == "completed" else None


def _value_of(overrides: list[Override], key: str) -> Any:
    return next(o.value() for o in reversed(overrides) if o.key_or_group == key)


def _plain_value(override: Override) -> Any:
    text = override.get_value_element_as_str()
    return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[call-overload,index]


def _apply(values: dict[str, Any], override: Override, run_dir: Path) -> None:
    """Set a free field; refuse any other override that would change the run."""
    key = override.key_or_group
    given = _plain_value(override)
    *parents, name = key.split(".")
    node = values
    for parent in parents:
        node = node.get(parent, {})
    if name not in node:
        raise ConfigError(key, given, f"there is no such field in the run {run_dir}")
    if key in FREE_FIELDS:
        node[name] = given
        return
    stored = _option_name(node[name]) if key in (*SCHEMAS, "augmentation") else node[name]
    if not _same(stored, given):
        raise UserError(
            f"resume={run_dir}: the run has {key}={stored}, not {given}; "
            f"only {', '.join(FREE_FIELDS)} may differ"
        )


def _option_name(group: dict[str, Any]) -> Any:
    """Return how the command line names what a group holds."""
    if "name" in group:
        return group["name"]
    return [name for name, part in group.items() if part is not None]


def _same(stored: Any, given: Any) -> bool:
    if isinstance(stored, list) and not isinstance(given, list):
        given = [] if given == "none" else [given]
    if isinstance(stored, list) and all(isinstance(item, str) for item in stored):
        return sorted(stored) == sorted(given)
    return bool(stored == given)
